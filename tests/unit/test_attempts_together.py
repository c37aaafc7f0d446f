"""The attempts of one call add as one opinion: against drawn samples of the same causes."""

from dataclasses import replace
from functools import reduce

import numpy as np
import pytest
from numpy.typing import NDArray

from estimators import Estimate, Usage, prepare
from estimators.quantity import Quantity
from estimators.together import together
from tests.weighing_samples import CLOSED_FRONTIER, OPEN_8B, OPEN_MOE, PARIS, US, shipped_factors

DRAWS = 400_000
LINES = ("it_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml", "training_gco2e")
CUT = Usage(input_tokens=4000, output_tokens=150, source="counted", partial=True)
WHOLE = Usage(input_tokens=4000, output_tokens=900)


def attempts() -> list[Estimate]:
    """One that was cut, one elsewhere, one that came to its end."""
    factors = shipped_factors()
    return [
        prepare(CLOSED_FRONTIER, US, factors).estimate(CUT, possible_output_tokens=2000),
        prepare(OPEN_MOE, PARIS, factors).estimate(replace(WHOLE, output_tokens=300)),
        prepare(CLOSED_FRONTIER, US, factors).estimate(WHOLE),
    ]


def drawn(quantities: list[Quantity]) -> NDArray[np.float64]:
    """Samples of the sum, each scope one cause that all attempts share."""
    causes = np.random.default_rng(4).standard_normal((5, DRAWS))
    return reduce(np.add, (q.p50 * np.exp(np.sqrt(np.array(q.variance)) @ causes) for q in quantities))


@pytest.mark.parametrize("line", LINES)
def test_attempts_add_as_samples_of_their_common_causes_do(line: str) -> None:
    each = [getattr(attempt, line) for attempt in attempts()]
    found, samples = getattr(together(attempts()), line), drawn(each)
    assert found.mean == pytest.approx(sum(q.mean for q in each), rel=1e-9)
    assert found.mean == pytest.approx(samples.mean(), rel=0.02)
    assert found.p95 == pytest.approx(np.quantile(samples, 0.95), rel=0.05)
    low = np.quantile(samples, 0.05)
    assert 0.7 * low < found.p5 < 1.02 * low, "an attempt that was cut makes the sum lopsided: then p5 is too low, never too high"


def test_the_sum_is_no_surer_than_its_attempts_would_be_alone_and_keeps_their_weakest_tier() -> None:
    parts = attempts()
    whole = together(parts)
    assert whole.gco2e.p95 > max(part.gco2e.p95 for part in parts)
    assert whole.quality == max(part.quality for part in parts)
    assert set(whole.warnings) == {code for part in parts for code in part.warnings}


def test_a_line_that_one_attempt_lacks_is_the_sum_of_the_others() -> None:
    factors = shipped_factors()
    known, unknown = (prepare(OPEN_8B, PARIS, factors).estimate(WHOLE, None, travelled) for travelled in (5000, None))
    assert known.network_gco2e is not None
    assert together([known, unknown]).network_gco2e == known.network_gco2e
    assert together([unknown, unknown]).network_gco2e is None
    assert together([known]) is known
