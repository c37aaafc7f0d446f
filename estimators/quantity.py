"""A log-normal quantity whose doubt is kept by scope, and how such quantities add. It must never shrink shared doubt by counting calls."""

import math
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import NamedTuple

Z95 = 1.6448536269514722
"""Standard normal quantile at 0.95 (definition)."""

SHARED_SCOPES = ("method", "provider", "model", "zone")
"""Scopes whose error two calls can have in common; `call` never is."""

_QUANTILE_NODES = 400
_BISECTIONS = 50


class LogVariance(NamedTuple):
    """Variance of the natural logarithm, by what causes it; calls that share a cause share its error.

    method: form of the method, host and idle overhead, software stack. provider: PUE, batch prior.
    model: size and architecture. zone: carbon intensity. call: token counts of this call alone.
    """

    method: float = 0.0
    provider: float = 0.0
    model: float = 0.0
    zone: float = 0.0
    call: float = 0.0

    @property
    def total(self) -> float:
        """Sum of the components."""
        return self.method + self.provider + self.model + self.zone + self.call


class Spread(NamedTuple):
    """What is shown of a quantity: expected value, 5th and 95th percentile."""

    mean: float
    p5: float
    p95: float


class Quantity(NamedTuple):
    """A log-normal quantity >= 0: its median and the variance components of its logarithm. The unit stands in the field's name."""

    p50: float
    variance: LogVariance

    @property
    def mean(self) -> float:
        """Expected value, the one number that is shown and summed: p50 * exp(variance / 2)."""
        return self.p50 * math.exp(self.variance.total / 2)

    @property
    def p5(self) -> float:
        """5th percentile."""
        return self.p50 * math.exp(-Z95 * math.sqrt(self.variance.total))

    @property
    def p95(self) -> float:
        """95th percentile."""
        return self.p50 * math.exp(Z95 * math.sqrt(self.variance.total))

    def spread(self) -> Spread:
        """Expected value with p5 and p95, worked out in one go."""
        total = self.variance.total
        factor = math.exp(Z95 * math.sqrt(total))
        return Spread(self.p50 * math.exp(total / 2), self.p50 / factor, self.p50 * factor)


NOTHING = Quantity(0.0, LogVariance())


class Difference(NamedTuple):
    """a - b, in the unit of both: expected value, p5, p95, and the probability that a < b."""

    mean: float
    p5: float
    p95: float
    probability_a_is_less: float


class ScopeKeys(NamedTuple):
    """What a call shares with others, one key per scope: the same key means the same error."""

    method: str
    provider: str
    model: str
    zone: str


def exact(value: float) -> Quantity:
    """A quantity without doubt."""
    return Quantity(value, LogVariance())


def around(mean: float, variance: LogVariance) -> Quantity:
    """The log-normal with this MEAN and doubt."""
    return Quantity(mean * math.exp(-variance.total / 2), variance)


def scale(q: Quantity, x: float) -> Quantity:
    """x times q, x >= 0 known exactly."""
    return Quantity(q.p50 * x, q.variance)


def multiply(a: Quantity, b: Quantity) -> Quantity:
    """a * b, where the doubts of a and b have different causes even inside one scope: variances add."""
    va, vb = a.variance, b.variance
    return Quantity(
        a.p50 * b.p50,
        LogVariance(va.method + vb.method, va.provider + vb.provider, va.model + vb.model, va.zone + vb.zone, va.call + vb.call),
    )


def add(a: Quantity, b: Quantity) -> Quantity:
    """a + b of ONE call: every component, `call` included, has the same cause in both, so it adds coherently.

    Log-normal with the exact mean and the exact second moment of the sum; the variance is shared out over the scopes in
    proportion to the square of their mean-weighted standard deviations.
    """
    (ma, pa, oa, za, ca), (mb, pb, ob, zb, cb) = a.variance, b.variance
    total_a, total_b = ma + pa + oa + za + ca, mb + pb + ob + zb + cb
    mean_a, mean_b = a.p50 * math.exp(total_a / 2), b.p50 * math.exp(total_b / 2)
    mean = mean_a + mean_b
    if mean_a <= 0 or mean_b <= 0:
        return a if mean_b <= 0 else b
    share_a, share_b = mean_a / mean, mean_b / mean
    root = math.sqrt
    sds = ((root(ma), root(mb)), (root(pa), root(pb)), (root(oa), root(ob)), (root(za), root(zb)), (root(ca), root(cb)))
    covariance = sum([x * y for x, y in sds])
    moment = (
        share_a * share_a * math.expm1(total_a) + share_b * share_b * math.expm1(total_b) + 2 * share_a * share_b * math.expm1(covariance)
    )
    variance = math.log1p(moment)
    weights = [(share_a * x + share_b * y) ** 2 for x, y in sds]
    whole = sum(weights)
    parts = LogVariance._make([variance * w / whole for w in weights]) if whole > 0 else LogVariance()
    return Quantity(mean * math.exp(-variance / 2), parts)


def difference(a: Quantity, b: Quantity, *, shared: Collection[str] = SHARED_SCOPES, same_call: bool = False) -> Difference:
    """a - b of two calls, or of a call and its baseline; the error of a scope named in `shared` is the same in both and cancels.

    same_call: both are of one and the same call, at the same counts, so that the error of these is the same too.
    The mean and the probability are exact for log-normals, p5 and p95 come from a fixed quadrature (error below 1 % of the spread).
    """
    covariance = _covariance(a, b, shared, same_call)
    gap_sd = math.sqrt(max(a.variance.total + b.variance.total - 2 * covariance, 0.0))
    if a.p50 <= 0 or b.p50 <= 0:
        low, high = (a.p5, a.p95) if b.p50 <= 0 else (-b.p95, -b.p5)
    else:
        low, high = _difference_percentiles(a, b, covariance)
    return Difference(a.mean - b.mean, low, high, _probability_less(a.p50, b.p50, gap_sd))


def probability_less(a: Quantity, b: Quantity, *, shared: Collection[str] = SHARED_SCOPES, same_call: bool = False) -> float:
    """Probability that a < b, as `difference` has it, without the cost of its percentiles."""
    gap = a.variance.total + b.variance.total - 2 * _covariance(a, b, shared, same_call)
    return _probability_less(a.p50, b.p50, math.sqrt(max(gap, 0.0)))


def _covariance(a: Quantity, b: Quantity, shared: Collection[str], same_call: bool) -> float:
    """Of the logarithms of two figures that share the errors of some scopes; `call` only where both are of the same call."""
    found = sum(math.sqrt(getattr(a.variance, scope) * getattr(b.variance, scope)) for scope in shared if scope != "call")
    return found + math.sqrt(a.variance.call * b.variance.call) if same_call else found


def _probability_less(p50_a: float, p50_b: float, gap_sd: float) -> float:
    """P(a < b) of log-normals whose logarithms differ with standard deviation gap_sd; one half where both are the same number."""
    if p50_a == p50_b:
        return 0.5
    if gap_sd < 1e-12 or p50_a <= 0 or p50_b <= 0:
        return 1.0 if p50_a < p50_b else 0.0
    return _normal_cdf(math.log(p50_b / p50_a) / gap_sd)


def _normal_cdf(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))


def _difference_percentiles(a: Quantity, b: Quantity, covariance: float) -> tuple[float, float]:
    """p5 and p95 of a - b: b is laid out at equal-probability nodes, a given b is log-normal, the distribution function is bisected."""
    mu_a, mu_b = math.log(a.p50), math.log(b.p50)
    sd_b = math.sqrt(b.variance.total)
    slope = covariance / sd_b if sd_b > 0 else 0.0
    rest_sd = math.sqrt(max(a.variance.total - slope**2, 0.0))
    pairs = [(math.exp(mu_b + sd_b * z), mu_a + slope * z) for z in (_quantile_nodes() if sd_b > 0 else (0.0,))]

    def cdf(d: float) -> float:
        return math.fsum(_conditional_cdf(d + at_b, median, rest_sd) for at_b, median in pairs) / len(pairs)

    reach = 4 * (a.p95 + b.p95)
    return _bisect(cdf, 0.05, -reach, reach), _bisect(cdf, 0.95, -reach, reach)


def _conditional_cdf(value_a: float, log_median: float, sd: float) -> float:
    if value_a <= 0:
        return 0.0
    gap = math.log(value_a) - log_median
    if sd < 1e-9:
        return 1.0 if gap >= 0 else 0.0
    return _normal_cdf(gap / sd)


def _bisect(cdf: Callable[[float], float], target: float, low: float, high: float) -> float:
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if cdf(middle) < target else (low, middle)
    return (low + high) / 2


@cache
def _quantile_nodes() -> tuple[float, ...]:
    """Standard normal quantiles at the midpoints of equal-probability slices."""
    return tuple(_bisect(_normal_cdf, (i + 0.5) / _QUANTILE_NODES, -8.0, 8.0) for i in range(_QUANTILE_NODES))


class Total:
    """Sum over many calls. Within a scope, calls with the same key share their error in full, others not at all; `call` errors never are.

    Exact mean. Calls are grouped by their four keys, so memory and time grow with distinct combinations, not with calls; the second
    moment is exact where the calls of a group are equally doubtful, else right to the second order of how they differ.
    """

    __slots__ = ("_groups", "_variance", "calls")

    def __init__(self) -> None:
        self.calls = 0
        self._groups: dict[ScopeKeys, Group] = {}
        self._variance: float | None = None

    def add(self, q: Quantity, keys: ScopeKeys) -> None:
        """Put one call's quantity under the keys it shares with others."""
        group = self._groups.get(keys)
        if group is None:
            group = self._groups[keys] = Group()
        group.add(q)
        self.calls += 1
        self._variance = None

    @property
    def mean(self) -> float:
        """Expected value: the sum of the expected values."""
        return math.fsum(group.mean for group in self._groups.values())

    @property
    def p50(self) -> float:
        """Median of the log-normal with the mean and variance of the sum."""
        return self.mean * math.exp(-self.log_variance / 2)

    @property
    def p5(self) -> float:
        """5th percentile of that log-normal."""
        return self.p50 * math.exp(-Z95 * math.sqrt(self.log_variance))

    @property
    def p95(self) -> float:
        """95th percentile of that log-normal."""
        return self.p50 * math.exp(Z95 * math.sqrt(self.log_variance))

    @property
    def log_variance(self) -> float:
        """Variance of the logarithm of the sum, by its second moment."""
        if self._variance is None:
            self._variance = self._matched_log_variance()
        return self._variance

    def _matched_log_variance(self) -> float:
        whole = self.mean
        groups = [(keys, group, group.mean / whole) for keys, group in self._groups.items() if group.mean > 0]
        terms = []
        for i, (keys, group, share) in enumerate(groups):
            terms.append(share * share * group.excess_moment(group, range(4)) + group.call_moment / whole**2)
            for other_keys, other, other_share in groups[:i]:
                common = [scope for scope in range(4) if keys[scope] == other_keys[scope]]
                terms.append(2 * share * other_share * group.excess_moment(other, common))
        return math.log1p(math.fsum(terms))


class Group:
    """Calls with all keys in common: mean-weighted sums of their standard deviations and of the products of these."""

    __slots__ = ("_products", "_sds", "call_moment", "mean")

    def __init__(self) -> None:
        self.mean = 0.0
        self.call_moment = 0.0
        self._sds = [0.0] * 4
        self._products = [0.0] * 16

    def add(self, q: Quantity) -> None:
        """Take one more call in."""
        mean = q.mean
        sds = [math.sqrt(v) for v in q.variance[:4]]
        self.mean += mean
        self.call_moment += mean * mean * math.exp(sum(q.variance[:4])) * math.expm1(q.variance.call)
        for i, sd in enumerate(sds):
            weighted = mean * sd
            self._sds[i] += weighted
            for j in range(i + 1):
                self._products[4 * i + j] += weighted * sds[j]

    def excess_moment(self, other: "Group", scopes: Sequence[int]) -> float:
        """Mean of exp(covariance) - 1 over all pairs of one call of each, where the errors of `scopes` are shared."""
        weight = self.mean * other.mean
        covariance = math.fsum(self._sds[i] * other._sds[i] for i in scopes) / weight
        square = math.fsum(
            (1 if i == j else 2) * self._products[4 * i + j] * other._products[4 * i + j] for i in scopes for j in scopes if j <= i
        )
        unevenness = max(square / weight - covariance**2, 0.0)
        return math.exp(covariance) * (1 + unevenness / 2) - 1
