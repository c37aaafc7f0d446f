"""Intervals of ratios in two arms: they hold the truth as often as they say, and are not given where too little is known."""

import numpy as np
import pytest

from proxy.reports.ratio import LEAST_UNITS, Moments, Share, t_quantile

RUNS = 1000


def test_the_ratio_is_that_of_the_sums() -> None:
    moments = Moments()
    for number in range(40):
        moments.add(Share(2.0 + number % 3, 1.0, 5.0, 2.0))
    found = moments.compare()
    assert found.treated.value == pytest.approx(sum(2.0 + number % 3 for number in range(40)) / 40)
    assert found.held_back == pytest.approx((2.5, 2.5, 2.5))
    assert found.difference.value == pytest.approx((found.treated.value or 0) - 2.5)


@pytest.mark.parametrize(("units", "known"), [(LEAST_UNITS - 1, False), (LEAST_UNITS, True)])
def test_too_few_units_have_a_ratio_and_no_interval(units: int, known: bool) -> None:
    moments = Moments()
    for number in range(units):
        moments.add(Share(1.0 + number, 1.0, 0.0, 0.0))
        moments.add(Share(0.0, 0.0, 2.0 + number, 1.0))
    found = moments.compare()
    assert found.difference.value == pytest.approx(-1)
    assert (found.treated.low is not None) == (found.difference.high is not None) == known


def test_an_arm_without_units_has_no_ratio() -> None:
    moments = Moments()
    for _ in range(50):
        moments.add(Share(1.0, 1.0, 3.0, 0.0))
    found = moments.compare()
    assert (found.held_back.value, found.difference.value) == (None, None)
    assert found.treated.low == pytest.approx(1)


@pytest.mark.parametrize(("freedom", "quantile"), [(19, 2.093), (29, 2.045), (99, 1.984), (100_000, 1.960)])
def test_the_quantile_is_that_of_student(freedom: int, quantile: float) -> None:
    assert t_quantile(freedom) == pytest.approx(quantile, abs=5e-4)


@pytest.mark.parametrize(("assets", "share"), [(250, 0.4)])
def test_the_intervals_hold_the_truth_as_often_as_they_say(assets: int, share: float) -> None:
    """Assets of 1 to 4 calls, drawn call by call; grams depend on the asset, acceptance on the arm of the last call."""
    means, accepted = (0.4, 1.0), (0.6, 0.75)
    truth = [2.5 * mean / chance for mean, chance in zip(means, accepted, strict=True)]
    per_call, per_asset = [0, 0, 0], [0, 0, 0]
    for seed in range(RUNS):
        calls, finished = _month(np.random.default_rng(seed), assets, share, means, accepted)
        for hits, found, true in ((per_call, calls.compare(), means), (per_asset, finished.compare(), truth)):
            for number, (interval, value) in enumerate(zip(found, (true[0], true[1], true[0] - true[1]), strict=True)):
                assert interval.low is not None
                assert interval.high is not None
                hits[number] += interval.low <= value <= interval.high
    assert all(0.93 <= hits / RUNS <= 0.97 for hits in (*per_call, *per_asset)), (per_call, per_asset)


def _month(
    made: np.random.Generator, assets: int, share: float, means: tuple[float, float], accepted: tuple[float, float]
) -> tuple[Moments, Moments]:
    calls, finished = Moments(), Moments()
    for _ in range(assets):
        size = made.lognormal(-0.08, 0.4)
        grams, counts, arm = [0.0, 0.0], [0.0, 0.0], 0
        for _ in range(int(made.integers(1, 5))):
            arm = int(made.random() < share)
            grams[arm] += means[arm] * size * made.lognormal(-0.045, 0.3)
            counts[arm] += 1
        units = [0.0, 0.0]
        units[arm] = float(made.random() < accepted[arm])
        calls.add(Share(grams[0], counts[0], grams[1], counts[1]))
        finished.add(Share(grams[0], units[0], grams[1], units[1]))
    return calls, finished
