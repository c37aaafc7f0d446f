"""Sums of quantities that share errors, as spreads. It must never shrink a doubt that they share."""

import math
from collections.abc import Iterable

from estimators.quantity import LogVariance, Quantity, ScopeKeys, Total, around, scale
from proxy.ledger.queries import Opinions
from proxy.reports.line import Spread

Keyed = tuple[Quantity, ScopeKeys]


def keyed(opinions: Iterable[Opinions], line: str) -> list[Keyed]:
    """The sums of one line, with what their errors have in common."""
    return [(each.lines[line], each.shared) for each in opinions if line in each.lines]


def total_of(parts: Iterable[Keyed]) -> Total:
    """Their sum."""
    total = Total()
    for quantity, shared in parts:
        total.add(quantity, shared)
    return total


def spread_of(parts: Iterable[Keyed]) -> Spread | None:
    """Their sum with its range, None of nothing."""
    total = total_of(parts)
    return Spread(total.mean, total.p5, total.p95) if total.calls else None


def times(spread: Spread, ratio: float) -> Spread:
    """So many times the sum, ratio >= 0."""
    return Spread(spread.mean * ratio, spread.p5 * ratio, spread.p95 * ratio)


def coherent(mean: float, sd: float) -> Spread:
    """A sum whose parts are taken to err alike: its mean, and the standard deviation of its logarithm."""
    found = around(mean, LogVariance(method=sd * sd))
    return Spread(found.mean, found.p5, found.p95)


def repeated(one: Quantity, calls: float) -> Quantity:
    """The sum of so many calls like `one`: shared doubt stays whole, the calls' own doubt averages out."""
    call = math.log1p(math.expm1(one.variance.call) / max(calls, 1.0))
    return around(one.mean * calls, one.variance._replace(call=call))


def rescaled(one: Quantity, mean: float) -> Quantity:
    """The same doubt around another mean."""
    return scale(one, mean / one.mean) if one.mean > 0 else one
