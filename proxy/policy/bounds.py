"""Limits that depend on the call itself: water, cost, latency beside the first deployment's. It must never take the unknown for met."""

from collections.abc import Callable, Sequence

from config.policies import Prefer, Require
from estimators.usage import Usage
from proxy.policy.conditions import Conditions
from proxy.policy.contender import Contender
from proxy.policy.cost import cost_ratio
from proxy.policy.rank import COST_UNKNOWN

Bound = Callable[[Contender], str | None]
"""Why a contender is outside; None when it is within."""


def required(require: Require, baseline: Contender, usage: Usage) -> tuple[Bound, ...]:
    """The limits that a deployment must keep to serve."""
    found: list[Bound] = []
    if require.water_ratio_at_most is not None:
        found.append(_water(require.water_ratio_at_most, baseline, usage))
    if require.cost_ratio_at_most is not None:
        found.append(_cost("cost_ratio_at_most", require.cost_ratio_at_most, baseline, usage))
    return tuple(found)


def preferred(prefer: Prefer, baseline: Contender, usage: Usage, conditions: Conditions) -> tuple[Bound, ...]:
    """The limits that a deployment must keep to be preferred."""
    found: list[Bound] = []
    if prefer.within_cost_ratio is not None:
        found.append(_cost("within_cost_ratio", prefer.within_cost_ratio, baseline, usage))
    if prefer.within_latency_ms is not None:
        found.append(_latency(prefer.within_latency_ms, usage, conditions))
    return tuple(found)


def within(contenders: Sequence[Contender], bounds: tuple[Bound, ...], rejected: list[str]) -> list[Contender]:
    """Those within all bounds; the others are said with the first that they break."""
    kept = list(contenders)
    for bound in bounds:
        inside = []
        for each in kept:
            why = bound(each)
            if why is None:
                inside.append(each)
            else:
                rejected.append(f"{each.label}: {why}")
        kept = inside
    return kept


def _water(ratio: float, baseline: Contender, usage: Usage) -> Bound:
    most_ml = ratio * baseline.gpu_j(usage) * baseline.water_ml_per_j

    def bound(contender: Contender) -> str | None:
        return None if contender.gpu_j(usage) * contender.water_ml_per_j <= most_ml else "water_ratio_at_most"

    return bound


def _cost(name: str, most: float, baseline: Contender, usage: Usage) -> Bound:
    price = baseline.option.candidate.deployment.price

    def bound(contender: Contender) -> str | None:
        ratio = cost_ratio(contender.option.candidate.deployment.price, price, usage)
        if ratio is None:
            return COST_UNKNOWN
        return None if ratio <= most else name

    return bound


def _latency(most_ms: float, usage: Usage, conditions: Conditions) -> Bound:
    def bound(contender: Contender) -> str | None:
        took_s = contender.latency_s(usage, conditions.pace)
        return None if took_s is None or took_s * 1000 <= most_ms else "within_latency_ms"

    return bound
