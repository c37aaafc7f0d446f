"""Ratios of sums in two arms of an experiment, with confidence intervals. It must never read anything: numbers in, numbers out.

The calls of one asset depend on each other, whichever arms they are in, so that assets are the clusters and not calls. Of each cluster
four numbers count: grams and units (calls, or accepted assets) in the treated arm, and the same in the arm that was held back. A ratio of
sums is linear in them to first order, which gives the variance of each ratio and of their difference (the delta method).
"""

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final, NamedTuple

CONFIDENCE: Final = 0.95
LEAST_UNITS: Final = 20
"""Below so many units in an arm the distribution of a ratio is too skew for an interval that keeps its word."""

_TREATED, _TREATED_UNITS, _HELD, _HELD_UNITS = range(4)
_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)


class Interval(NamedTuple):
    """A figure with its confidence interval; the ends are None where there is not enough to tell."""

    value: float | None
    low: float | None
    high: float | None


NOTHING: Final = Interval(None, None, None)


class Comparison(NamedTuple):
    """Grams per unit in both arms, and treated less held back."""

    treated: Interval
    held_back: Interval
    difference: Interval


class Share(NamedTuple):
    """What one cluster adds to both arms."""

    treated: float
    treated_units: float
    held: float
    held_units: float


@dataclass(slots=True)
class Moments:
    """Sums and products of sums over clusters. Clusters that are known one by one need not be kept."""

    clusters: int = 0
    in_arm: list[int] = field(default_factory=lambda: [0, 0])
    sums: list[float] = field(default_factory=lambda: [0.0] * 4)
    products: list[float] = field(default_factory=lambda: [0.0] * 16)

    def add(self, share: Share) -> None:
        """One more cluster."""
        self.clusters += 1
        self.in_arm[0] += share.treated > 0 or share.treated_units > 0
        self.in_arm[1] += share.held > 0 or share.held_units > 0
        for i, x in enumerate(share):
            self.sums[i] += x
            for j, y in enumerate(share):
                self.products[4 * i + j] += x * y

    def compare(self) -> Comparison:
        """Both ratios and their difference; intervals where every arm that counts has units enough."""
        treated = self._slope(_TREATED, _TREATED_UNITS)
        held = self._slope(_HELD, _HELD_UNITS)
        both = None if treated is None or held is None else [a - b for a, b in zip(treated, held, strict=True)]
        ratios = [self._ratio(_TREATED, _TREATED_UNITS), self._ratio(_HELD, _HELD_UNITS)]
        gap = None if ratios[0] is None or ratios[1] is None else ratios[0] - ratios[1]
        enough = [self.sums[_TREATED_UNITS] >= LEAST_UNITS, self.sums[_HELD_UNITS] >= LEAST_UNITS]
        return Comparison(
            self._interval(ratios[0], treated, enough[0], self.in_arm[0]),
            self._interval(ratios[1], held, enough[1], self.in_arm[1]),
            self._interval(gap, both, all(enough), min(self.in_arm)),
        )

    def _ratio(self, grams: int, units: int) -> float | None:
        return self.sums[grams] / self.sums[units] if self.sums[units] > 0 else None

    def _slope(self, grams: int, units: int) -> list[float] | None:
        """By how much the ratio changes with each of the four sums."""
        ratio = self._ratio(grams, units)
        if ratio is None:
            return None
        slope = [0.0] * 4
        slope[grams], slope[units] = 1 / self.sums[units], -ratio / self.sums[units]
        return slope

    def _interval(self, value: float | None, slope: list[float] | None, enough: bool, clusters: int) -> Interval:
        if value is None or slope is None or not enough or clusters < LEAST_UNITS:
            return Interval(value, None, None)
        pairs = [slope[i] * slope[j] * self.products[4 * i + j] for i in range(4) for j in range(4)]
        variance = max(math.fsum(pairs), 0.0) * self.clusters / (self.clusters - 1)
        reach = t_quantile(clusters - 1) * math.sqrt(variance)
        return Interval(value, value - reach, value + reach)


def t_quantile(freedom: int) -> float:
    """Upper quantile of Student's t for the confidence of all intervals here, by its expansion around the normal's; freedom >= 10."""
    z = _Z
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
