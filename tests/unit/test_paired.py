"""Differences summed over calls: shared doubts cancel within a call and stay in the sum, as drawing them says."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimators.paired import PairedTotal
from estimators.quantity import LogVariance, Quantity, ScopeKeys, difference

LARGE = ScopeKeys("tokens", "azure", "large", "US")
SMALL = ScopeKeys("tokens", "azure", "small", "US")
SWEDEN = ScopeKeys("tokens", "azure", "small", "SE")
VARIANCE = LogVariance(method=0.1, provider=0.05, model=0.2, zone=0.03, call=0.04)

variances = st.builds(LogVariance, *[st.floats(0, 0.4)] * 5)
quantities = st.builds(Quantity, st.floats(0.01, 10), variances)


@given(quantities, quantities, st.sampled_from([LARGE, SMALL, SWEDEN]))
def test_of_one_call_it_is_the_difference_of_its_two_figures(a: Quantity, b: Quantity, keys_b: ScopeKeys) -> None:
    total = PairedTotal()
    total.add(a, LARGE, b, keys_b)
    shared = [scope for scope, mine, other in zip(ScopeKeys._fields, LARGE, keys_b, strict=True) if mine == other]
    expected, found = difference(a, b, shared=shared, same_call=True), total.difference()
    width = max(a.p95, b.p95)
    assert found.mean == pytest.approx(expected.mean, abs=1e-9)
    assert (found.p5, found.p95) == pytest.approx((expected.p5, expected.p95), abs=0.01 * width)


def test_of_no_call_it_is_nothing() -> None:
    assert PairedTotal().difference()[:3] == (0.0, 0.0, 0.0)


def test_of_calls_that_stay_as_they_are_it_is_nothing_and_without_doubt() -> None:
    total = PairedTotal()
    for grams in (1.0, 2.0, 5.0):
        total.add(Quantity(grams, VARIANCE), LARGE, Quantity(grams, VARIANCE), LARGE)
    mean, low, high, _ = total.difference()
    assert mean == pytest.approx(0)
    assert (low, high) == pytest.approx((0, 0), abs=1e-6)


def test_many_calls_are_as_uncertain_as_drawing_all_errors_says() -> None:
    made = np.random.default_rng(11)
    pairs = [(made.uniform(1, 3), LARGE, made.uniform(0.1, 0.6), (SMALL, SWEDEN)[made.integers(2)]) for _ in range(60)]
    total = PairedTotal()
    for a, keys_a, b, keys_b in pairs:
        total.add(Quantity(a, VARIANCE), keys_a, Quantity(b, VARIANCE), keys_b)
    drawn = sorted(_drawn(pairs, np.random.default_rng(seed)) for seed in range(4000))
    mean, low, high, _ = total.difference()
    spread = high - low
    assert mean == pytest.approx(statistics.fmean(drawn), abs=0.03 * spread)
    assert low == pytest.approx(drawn[200], abs=0.05 * spread)
    assert high == pytest.approx(drawn[3800], abs=0.05 * spread)


def _drawn(pairs: list[tuple[float, ScopeKeys, float, ScopeKeys]], made: np.random.Generator) -> float:
    errors: dict[tuple[str, str], float] = {}

    def factor(keys: ScopeKeys, own: float) -> float:
        found = 0.0
        for scope, key in zip(ScopeKeys._fields, keys, strict=True):
            error = errors.setdefault((scope, key), made.normal())
            found += math.sqrt(getattr(VARIANCE, scope)) * error
        return math.exp(found + math.sqrt(VARIANCE.call) * own)

    whole = 0.0
    for a, keys_a, b, keys_b in pairs:
        own = made.normal()
        whole += a * factor(keys_a, own) - b * factor(keys_b, own)
    return whole


@given(st.integers(1, 40))
def test_doubt_that_all_calls_share_does_not_shrink_by_their_number(count: int) -> None:
    one, many = PairedTotal(), PairedTotal()
    shared = VARIANCE._replace(call=0.0)
    one.add(Quantity(0.2, shared), SMALL, Quantity(1.0, shared), LARGE)
    for _ in range(count):
        many.add(Quantity(0.2, shared), SMALL, Quantity(1.0, shared), LARGE)
    assert many.difference()[:3] == pytest.approx([count * figure for figure in one.difference()[:3]], rel=1e-3)
