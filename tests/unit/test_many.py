"""Many calls weighed at once must weigh just what each weighs alone, line by line and scope by scope."""

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalogue import ModelCard
from config.places import Place
from estimators import Usage, prepare
from estimators.columns import Quantities, UsageColumns, Variances, add_columns, columns_of
from estimators.estimate import Estimate
from estimators.many import CALLS_AT_ONCE, can_weigh_many, estimate_many
from estimators.prepared import Prepared
from estimators.profiles import PROFILES
from estimators.quantity import LogVariance, Quantity, add
from estimators.usage import Media, Metered
from tests.weighing_samples import CLOSED_FRONTIER, OPEN_8B, OPEN_MOE, PARIS, UNKNOWN, US, shipped_factors

CLOSE = 1e-9
BILLED_BY_33, BILLED_BY_2 = (replace(CLOSED_FRONTIER, id=name) for name in ("gpt-4o-mini", "gpt-4.1-nano"))
A_MILLION = 1_000_000


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    n_in, n_out = draw(st.integers(0, 100_000)), draw(st.integers(0, 50_000))
    return Usage(
        input_tokens=n_in,
        cached_input_tokens=draw(st.integers(0, n_in)),
        image_input_tokens=draw(st.just(0) | st.integers(0, n_in)),
        output_tokens=n_out,
        input_images=draw(st.just(0) | st.integers(0, 5)),
        source=draw(st.sampled_from(("provider", "counted", "estimated"))),
        partial=draw(st.booleans()),
        calls=draw(st.just(1) | st.integers(1, 5_000)),
    )


calls = st.lists(st.tuples(usages(), st.none() | st.integers(0, 10**8), st.none() | st.integers(0, 100_000)), min_size=1, max_size=6)


def same(found: Estimate, alone: Estimate) -> None:
    for name in Estimate._fields:
        one, other = getattr(found, name), getattr(alone, name)
        if isinstance(other, Quantity):
            assert one.p50 == pytest.approx(other.p50, rel=CLOSE, abs=0), name
            assert one.mean == pytest.approx(other.mean, rel=CLOSE, abs=0), name
            assert list(one.variance) == pytest.approx(list(other.variance), rel=CLOSE, abs=1e-12), name
        else:
            assert one == other, name


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from((OPEN_8B, OPEN_MOE, CLOSED_FRONTIER, UNKNOWN, BILLED_BY_33, BILLED_BY_2)),
    st.sampled_from((US, PARIS)),
    st.sampled_from(("chat", "embeddings")),
    st.sampled_from(sorted(PROFILES)),
    calls,
)
def test_calls_weigh_together_what_each_weighs_alone(
    card: ModelCard, place: Place, operation: str, profile: str, sent: list[tuple[Usage, int | None, int | None]]
) -> None:
    prepared = prepare(card, place, shipped_factors(), operation=operation, profile=profile)
    assert can_weigh_many(prepared)
    columns = columns_of([call[0] for call in sent], [call[1] for call in sent], [call[2] for call in sent])
    found = estimate_many(prepared, columns)
    for i, (usage, travelled, most) in enumerate(sent):
        same(found.at(i), prepared.estimate(usage, most, travelled))


def test_a_line_that_no_call_has_is_none_and_one_that_some_have_is_unknown_for_the_others() -> None:
    prepared = prepare(OPEN_8B, PARIS, shipped_factors())
    each = [Usage(input_tokens=5, output_tokens=5)] * 2
    assert estimate_many(prepared, columns_of(each)).lines["network_gco2e"] is None
    some = estimate_many(prepared, columns_of(each, [None, 800]))
    assert some.at(0).network_gco2e is None
    assert some.at(1).network_gco2e is not None
    assert estimate_many(prepare(OPEN_8B, US, shipped_factors()), columns_of(each)).lines["market_based_gco2e"] is None


def test_no_calls_weigh_nothing() -> None:
    found = estimate_many(prepare(OPEN_8B, US, shipped_factors()), columns_of([]))
    gco2e = found.lines["gco2e"]
    assert gco2e is not None
    assert len(gco2e.mean) == 0


class OwnArithmetic(Prepared):
    """A method that weighs in a way of its own."""


def test_what_cannot_be_weighed_together_is_refused() -> None:
    made = prepare(OPEN_8B, US, shipped_factors())
    own = OwnArithmetic(made.energy, made.lines, made.labels)
    assert not can_weigh_many(own)
    with pytest.raises(ValueError, match="one by one"):
        estimate_many(own, columns_of([Usage(input_tokens=1)]))
    for usage in (Usage(media=Media(images=1)), Usage(metered=Metered(energy_wh=1.0, boundary="gpu", source="test"))):
        with pytest.raises(ValueError, match="one by one"):
            columns_of([usage])


@pytest.mark.parametrize(
    "change",
    [
        {"input_tokens": np.array([1, 2])},
        {"output_tokens": np.array([-1])},
        {"cached_input_tokens": np.array([11])},
        {"image_input_tokens": np.array([11])},
        {"calls": np.array([0])},
    ],
)
def test_columns_that_cannot_be_are_refused(change: dict[str, Any]) -> None:
    good = columns_of([Usage(input_tokens=10, output_tokens=10)])
    with pytest.raises(ValueError, match=r"columns|counts|input_tokens|calls"):
        replace(good, **change)


variances = st.builds(LogVariance, *([st.just(0.0) | st.floats(0.0, 3.0)] * 5))
quantities = st.builds(Quantity, st.just(0.0) | st.floats(1e-9, 1e9), variances)


@given(quantities, quantities)
def test_columns_add_as_single_quantities_do(a: Quantity, b: Quantity) -> None:
    columns = [Quantities(np.array([q.p50]), Variances(*(np.array([v]) for v in q.variance))) for q in (a, b)]
    found, alone = add_columns(*columns).at(0), add(a, b)
    assert found.p50 == pytest.approx(alone.p50, rel=CLOSE, abs=0)
    assert list(found.variance) == pytest.approx(list(alone.variance), rel=CLOSE, abs=1e-12)


def random_columns(length: int) -> UsageColumns:
    rng = np.random.default_rng(7)
    n_in, n_out = rng.integers(1, 20_000, length), rng.integers(0, 4_000, length)
    return UsageColumns(
        input_tokens=n_in,
        cached_input_tokens=n_in // 3,
        image_input_tokens=np.zeros(length, dtype=np.int64),
        input_images=rng.integers(0, 2, length),
        output_tokens=n_out,
        source=rng.integers(0, 3, length),
        partial=rng.random(length) < 0.05,
        network_bytes=n_in * 4,
        possible_output_tokens=np.where(rng.random(length) < 0.05, 8_000, -1),
        calls=np.ones(length, dtype=np.int64),
    )


def test_a_million_calls_are_weighed_in_less_than_20_seconds_of_one_core() -> None:
    prepared = prepare(CLOSED_FRONTIER, US, shipped_factors(), profile="ghgp-cat1")
    columns = random_columns(CALLS_AT_ONCE)
    start = time.process_time()
    sums = []
    for _ in range(A_MILLION // CALLS_AT_ONCE):
        lines = estimate_many(prepared, columns).lines
        sums.append(math.fsum(float(line.mean.sum()) for line in lines.values() if line is not None))
    spent_s = time.process_time() - start
    assert min(sums) > 0
    assert spent_s < 20, f"{spent_s:.1f} s"
