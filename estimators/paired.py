"""Differences summed over many calls, each weighed in two ways. It must never shrink a doubt that both ways, or several calls, share."""

import math

from estimators.quantity import Difference, Group, LogVariance, Quantity, ScopeKeys, Total, difference

SCOPES = range(4)
_SHARED = ("method",)
"""Where the covariance of two sums is put, so that `difference` finds it; the rest of their doubt stands apart."""


class PairedTotal:
    """Sum over calls of a - b, where a and b are two figures of one and the same call.

    Within a scope figures with the same key share their error in full, be it within a call or across calls; the error of a call's own
    counts is shared by its two figures and by no other. Calls are grouped by the keys of both figures, so that memory grows with
    distinct combinations. The distribution is that of a difference of two log-normals with the exact means, variances and covariance.
    """

    __slots__ = ("_a", "_b", "_own", "_sides", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self._a = Total()
        self._b = Total()
        self._sides: dict[tuple[ScopeKeys, ScopeKeys], tuple[Group, Group]] = {}
        self._own = 0.0

    def add(self, a: Quantity, keys_a: ScopeKeys, b: Quantity, keys_b: ScopeKeys) -> None:
        """Put one call's two figures under the keys that each shares with others."""
        self.calls += 1
        self._a.add(a, keys_a)
        self._b.add(b, keys_b)
        sides = self._sides.get((keys_a, keys_b))
        if sides is None:
            sides = self._sides[keys_a, keys_b] = (Group(), Group())
        sides[0].add(a)
        sides[1].add(b)
        common = math.fsum(math.sqrt(a.variance[i] * b.variance[i]) for i in SCOPES if keys_a[i] == keys_b[i])
        self._own += a.mean * b.mean * math.exp(common) * math.expm1(math.sqrt(a.variance.call * b.variance.call))

    @property
    def a(self) -> Total:
        """The sum of the first figures."""
        return self._a

    @property
    def b(self) -> Total:
        """The sum of the second figures."""
        return self._b

    def difference(self) -> Difference:
        """Sum of a less sum of b, in their unit, with p5, p95 and the probability that the first is less. Nothing for no calls."""
        if not self.calls:
            return Difference(0.0, 0.0, 0.0, 0.5)
        covariance = self._log_covariance()
        sums = [_two_parts(total, covariance, self._a.log_variance, self._b.log_variance) for total in (self._a, self._b)]
        return difference(sums[0], sums[1], shared=_SHARED)

    def _log_covariance(self) -> float:
        """Of the logarithms of both sums, by their mixed second moment."""
        weight = self._a.mean * self._b.mean
        if weight <= 0:
            return 0.0
        terms = [self._own]
        for (keys_a, _), (side_a, _) in self._sides.items():
            for (_, keys_b), (_, side_b) in self._sides.items():
                common = [i for i in SCOPES if keys_a[i] == keys_b[i]]
                if common and side_a.mean > 0 and side_b.mean > 0:
                    terms.append(side_a.mean * side_b.mean * side_a.excess_moment(side_b, common))
        return math.log1p(math.fsum(terms) / weight)


def _two_parts(total: Total, covariance: float, variance_a: float, variance_b: float) -> Quantity:
    """The log-normal of a sum, its variance split so that two such have the covariance in one scope and nothing else in common."""
    variance = total.log_variance
    most = math.sqrt(variance_a * variance_b)
    share = min(max(covariance / most, 0.0), 1.0) if most > 0 else 0.0
    return Quantity(total.p50, LogVariance(method=variance * share, call=variance * (1 - share)))
