"""Many alike calls, and kinds of calls, as one quantity. It must never let doubt that calls share shrink with their number."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from estimators.quantity import SHARED_SCOPES, LogVariance, Quantity, ScopeKeys, around


class Keyed(NamedTuple):
    """A quantity with the causes it shares with others, one key per scope."""

    quantity: Quantity
    keys: ScopeKeys


def repeated(one: Quantity, times: float) -> Quantity:
    """The sum of `times` calls like `one`: shared doubt stays whole, the calls' own doubt averages out."""
    if times <= 0:
        return Quantity(0.0, LogVariance())
    call = math.log1p(math.expm1(one.variance.call) / max(times, 1.0))
    return around(one.mean * times, one.variance._replace(call=call))


def summed(parts: Sequence[Keyed]) -> Quantity:
    """Sum of kinds of calls: where two have a key in common that scope's error is the same in both, else it is not.

    Exact mean and second moment; the variance is shared out over the scopes in proportion to their mean-weighted covariances.
    """
    parts = [part for part in parts if part.quantity.mean > 0]
    if len(parts) < 2:
        return parts[0].quantity if parts else Quantity(0.0, LogVariance())
    whole = math.fsum(part.quantity.mean for part in parts)
    weights = dict.fromkeys(LogVariance._fields, 0.0)
    moment = 0.0
    for a in parts:
        for b in parts:
            share = a.quantity.mean * b.quantity.mean / whole**2
            common = _common_variance(a, b)
            moment += share * math.expm1(math.fsum(common.values()))
            for scope, covariance in common.items():
                weights[scope] += share * covariance
    variance, weight = math.log1p(moment), math.fsum(weights.values())
    spread = LogVariance(**{scope: variance * each / weight for scope, each in weights.items()}) if weight > 0 else LogVariance()
    return around(whole, spread)


def shared_scopes(a: Sequence[Keyed], b: Sequence[Keyed]) -> tuple[str, ...]:
    """Scopes whose error is the same in both sums: every part of either has the same keys there."""
    return tuple(scope for scope in SHARED_SCOPES if {getattr(p.keys, scope) for p in a} == {getattr(p.keys, scope) for p in b})


def _common_variance(a: Keyed, b: Keyed) -> dict[str, float]:
    """Covariance of the logarithms of two kinds of calls, by scope; a kind shares everything with itself."""
    va, vb = a.quantity.variance, b.quantity.variance
    own = a is b
    return {
        scope: math.sqrt(getattr(va, scope) * getattr(vb, scope)) if own or (scope != "call" and _same(a, b, scope)) else 0.0
        for scope in LogVariance._fields
    }


def _same(a: Keyed, b: Keyed, scope: str) -> bool:
    return bool(getattr(a.keys, scope) == getattr(b.keys, scope))
