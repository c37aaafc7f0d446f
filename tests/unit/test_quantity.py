"""Sums and differences of log-normals, compared with a seeded Monte Carlo."""

import math
from statistics import NormalDist, fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators.quantity import NOTHING, LogVariance, Quantity, ScopeKeys, Total, add, difference, exact, multiply, probability_less, scale

DRAWS = 40_000
KEYS = ScopeKeys("tokens@1", "openai", "gpt", "US")

variances = st.builds(LogVariance, *[st.floats(0, 0.6)] * 5)
quantities = st.builds(Quantity, st.floats(1e-6, 1e6), variances)


def draws(seed: int) -> list[float]:
    return NormalDist().samples(DRAWS, seed=seed)


def shared_draws() -> list[list[float]]:
    return [draws(seed) for seed in range(4)]


def sample(q: Quantity, shared: list[list[float]], call_seed: int) -> list[float]:
    """Draws of q; calls that get the same `shared` normal draws have the same errors in these scopes."""
    sds = [math.sqrt(v) for v in q.variance]
    return [
        q.p50 * math.exp(math.fsum(sd * z for sd, z in zip(sds, zs, strict=True))) for zs in zip(*shared, draws(call_seed), strict=True)
    ]


def percentile(values: list[float], probability: float) -> float:
    return sorted(values)[int(probability * len(values))]


A = Quantity(1.0, LogVariance(0.05, 0.3, 0.1, 0.1, 0.05))
B = Quantity(0.6, LogVariance(0.05, 0.02, 0.15, 0.1, 0.05))


def test_sum_inside_one_call_keeps_the_mean_and_matches_a_simulation() -> None:
    total = add(A, B)
    shared = shared_draws()
    simulated = [x + y for x, y in zip(sample(A, shared, 9), sample(B, shared, 9), strict=True)]
    assert total.mean == pytest.approx(A.mean + B.mean, rel=1e-9)
    assert total.mean == pytest.approx(fmean(simulated), rel=0.02)
    assert total.p5 == pytest.approx(percentile(simulated, 0.05), rel=0.05)
    assert total.p95 == pytest.approx(percentile(simulated, 0.95), rel=0.05)


def test_sum_of_two_calls_matches_a_simulation() -> None:
    total = Total()
    total.add(A, KEYS)
    total.add(B, KEYS)
    shared = shared_draws()
    simulated = [x + y for x, y in zip(sample(A, shared, 10), sample(B, shared, 11), strict=True)]
    assert total.mean == pytest.approx(fmean(simulated), rel=0.02)
    assert total.p5 == pytest.approx(percentile(simulated, 0.05), rel=0.06)
    assert total.p95 == pytest.approx(percentile(simulated, 0.95), rel=0.06)


def test_sum_over_two_models_in_one_zone_matches_a_simulation() -> None:
    total = Total()
    total.add(A, KEYS)
    total.add(B, KEYS._replace(model="mistral"))
    shared = shared_draws()
    other = [*shared[:2], draws(21), shared[3]]
    simulated = [x + y for x, y in zip(sample(A, shared, 10), sample(B, other, 11), strict=True)]
    assert total.mean * math.sqrt(math.expm1(total.log_variance)) == pytest.approx(stdev(simulated), rel=0.05)
    assert total.p5 == pytest.approx(percentile(simulated, 0.05), rel=0.08)
    assert total.p95 == pytest.approx(percentile(simulated, 0.95), rel=0.05)


def test_calls_of_unequal_doubt_in_one_group_match_a_simulation() -> None:
    sharp, vague = Quantity(1.0, LogVariance(provider=0.05)), Quantity(0.7, LogVariance(provider=0.9))
    total = Total()
    for q in (sharp, vague):
        total.add(q, KEYS)
    shared = shared_draws()
    simulated = [x + y for x, y in zip(sample(sharp, shared, 10), sample(vague, shared, 11), strict=True)]
    assert total.mean * math.sqrt(math.expm1(total.log_variance)) == pytest.approx(stdev(simulated), rel=0.05)


def test_difference_matches_a_simulation() -> None:
    found = difference(A, B)
    shared = shared_draws()
    simulated = [x - y for x, y in zip(sample(A, shared, 10), sample(B, shared, 11), strict=True)]
    spread = percentile(simulated, 0.95) - percentile(simulated, 0.05)
    assert found.mean == pytest.approx(A.mean - B.mean, rel=1e-9)
    assert found.p5 == pytest.approx(percentile(simulated, 0.05), abs=0.03 * spread)
    assert found.p95 == pytest.approx(percentile(simulated, 0.95), abs=0.03 * spread)
    assert found.probability_a_is_less == pytest.approx(fmean(d < 0 for d in simulated), abs=0.01)


def test_shared_doubt_cancels_in_a_difference() -> None:
    doubt = LogVariance(method=0.4, provider=0.4, zone=0.4)
    found = difference(Quantity(0.9, doubt), Quantity(1.0, doubt))
    assert found.probability_a_is_less == 1.0
    assert found.p95 < 0


def test_doubt_that_is_not_shared_does_not_cancel() -> None:
    doubt = LogVariance(model=0.4)
    a, b = Quantity(0.9, doubt), Quantity(1.0, doubt)
    assert difference(a, b).probability_a_is_less == 1.0
    assert 0.5 < difference(a, b, shared=("method", "provider", "zone")).probability_a_is_less < 0.6


def test_difference_of_two_exact_numbers_is_exact() -> None:
    found = difference(exact(3.0), exact(2.0))
    assert found.mean == 1.0
    assert found.p5 == pytest.approx(1.0, rel=1e-9)
    assert found.p95 == pytest.approx(1.0, rel=1e-9)
    assert found.probability_a_is_less == 0.0


def test_difference_to_nothing_is_the_quantity() -> None:
    found = difference(A, NOTHING)
    assert (found.p5, found.p95, found.probability_a_is_less) == (A.p5, A.p95, 0.0)
    assert difference(NOTHING, A).p5 == -A.p95


def test_many_calls_that_share_everything_are_as_doubtful_as_one() -> None:
    q = Quantity(2.0, LogVariance(0.1, 0.2, 0.1, 0.1, 0.0))
    total = Total()
    for _ in range(1000):
        total.add(q, KEYS)
    assert total.calls == 1000
    assert total.mean == pytest.approx(1000 * q.mean, rel=1e-9)
    assert total.p95 / total.p5 == pytest.approx(q.p95 / q.p5, rel=1e-9)


def test_call_doubt_averages_out_and_shared_doubt_stays() -> None:
    q = Quantity(2.0, LogVariance(model=0.2, call=0.3))
    total = Total()
    for _ in range(10_000):
        total.add(q, KEYS)
    assert total.log_variance == pytest.approx(0.2, rel=1e-3)


def test_different_zones_average_out_only_their_own_doubt() -> None:
    q = Quantity(1.0, LogVariance(model=0.2, zone=0.3))
    total = Total()
    for zone in range(100):
        total.add(q, KEYS._replace(zone=str(zone)))
    assert 0.2 < total.log_variance < 0.21


def test_an_empty_total_is_zero() -> None:
    total = Total()
    assert (total.calls, total.mean, total.p5, total.p95) == (0, 0.0, 0.0, 0.0)


@settings(deadline=None)
@given(quantities, quantities)
def test_a_sum_has_the_sum_of_the_means_whatever_the_order(a: Quantity, b: Quantity) -> None:
    assert add(a, b).mean == pytest.approx(a.mean + b.mean, rel=1e-9)
    assert add(a, b).p50 == pytest.approx(add(b, a).p50, rel=1e-9)
    assert min(add(a, b).variance) >= 0


@settings(deadline=None)
@given(quantities)
def test_adding_nothing_changes_nothing(q: Quantity) -> None:
    assert add(q, NOTHING) == q
    assert add(NOTHING, q) == q


@settings(deadline=None)
@given(quantities)
def test_doubling_a_call_by_addition_is_scaling_it(q: Quantity) -> None:
    doubled = add(q, q)
    assert doubled.p50 == pytest.approx(scale(q, 2).p50, rel=1e-9)
    assert tuple(doubled.variance) == pytest.approx(tuple(q.variance), rel=1e-6, abs=1e-12)


@settings(deadline=None)
@given(quantities, quantities)
def test_a_product_carries_the_doubt_of_both(a: Quantity, b: Quantity) -> None:
    product = multiply(a, b)
    assert product.mean == pytest.approx(a.mean * b.mean, rel=1e-9)
    assert product.variance.total == pytest.approx(a.variance.total + b.variance.total, rel=1e-9, abs=1e-12)


@settings(deadline=None)
@given(quantities, st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")), min_size=1, max_size=12))
def test_a_total_is_ordered_and_never_wider_than_one_call(q: Quantity, keys: list[tuple[str, str]]) -> None:
    total = Total()
    for model, zone in keys:
        total.add(q, KEYS._replace(model=model, zone=zone))
    assert 0 <= total.p5 <= total.p50 <= total.p95
    assert total.mean >= total.p50
    assert total.mean == pytest.approx(len(keys) * q.mean, rel=1e-9)
    assert q.variance.method + q.variance.provider - 1e-9 <= total.log_variance <= q.variance.total + 1e-9


@settings(deadline=None, max_examples=30)
@given(quantities, quantities)
def test_a_difference_turns_around_with_its_sign(a: Quantity, b: Quantity) -> None:
    there, back = difference(a, b), difference(b, a)
    assert there.mean == pytest.approx(-back.mean, rel=1e-9, abs=1e-9)
    assert there.probability_a_is_less + back.probability_a_is_less == pytest.approx(1.0, abs=1e-9)
    assert there.p5 <= there.p95


def test_the_probability_alone_is_that_of_the_difference() -> None:
    a = Quantity(1.0, LogVariance(method=0.1, provider=0.2, model=0.3, zone=0.05, call=0.4))
    b = Quantity(1.5, LogVariance(method=0.2, provider=0.1, model=0.1, zone=0.02, call=0.3))
    for shared in ((), ("method",), ("method", "provider", "model", "zone")):
        for same_call in (False, True):
            told = difference(a, b, shared=shared, same_call=same_call)
            assert probability_less(a, b, shared=shared, same_call=same_call) == told.probability_a_is_less


def test_the_counts_of_one_call_are_as_wrong_for_its_baseline() -> None:
    noisy = LogVariance(zone=0.01, call=0.5)
    a, b = Quantity(1.0, noisy), Quantity(2.0, noisy)
    assert probability_less(a, b, shared=(), same_call=True) > 0.999 > probability_less(a, b, shared=())
    assert difference(a, b, shared=(), same_call=True).p95 < 0 < difference(a, b, shared=()).p95
