"""Rules of what policies rank by: prices, live sources, one measure or several. It must never change a setting."""

from collections.abc import Iterator

from config.policies import Policy, Prefer
from config.price import Price
from config.problem import Finding, KeyPath
from config.settings import IntensityKind, Settings

AVERAGE_LIFECYCLE: frozenset[IntensityKind] = frozenset({"energy-charts", "electricity-maps"})
"""Sources whose figures are of the kind that calls are weighed with; direct and marginal ones rank nothing."""


def measure_faults(path: KeyPath, policy: Policy, settings: Settings) -> Iterator[Finding]:
    """What a policy ranks or bounds by and cannot."""
    if not _has_price(settings):
        for where in _priced(policy):
            message = "compares costs, and no deployment under `models:` has a `price:`; add them, of all that are compared"
            yield Finding(path=(*path, *where), message=message)
    if policy.prefer is not None:
        yield from _preference((*path, "prefer"), policy.prefer, settings)


def _preference(path: KeyPath, prefer: Prefer, settings: Settings) -> Iterator[Finding]:
    if prefer.weights is not None and prefer.lowest != "gco2e":
        yield Finding(path=(*path, "weights"), message=f"ranks by several measures, and `lowest: {prefer.lowest}` by one; take one away")
    if prefer.intensity != "hourly":
        return
    here: KeyPath = (*path, "intensity")
    if "gco2e" not in (prefer.weights or {prefer.lowest: 1.0}):
        yield Finding(path=here, message="hourly bears on gco2e only, and this policy does not rank by it")
    if not any(source.kind in AVERAGE_LIFECYCLE for source in settings.intensity.sources):
        known = " or ".join(sorted(AVERAGE_LIFECYCLE))
        yield Finding(path=here, message=f"hourly needs a live source of average, lifecycle figures; add {known} to `intensity.sources:`")


def _priced(policy: Policy) -> Iterator[KeyPath]:
    """Where the policy asks for costs."""
    prefer = policy.prefer
    if policy.require.cost_ratio_at_most is not None:
        yield "require", "cost_ratio_at_most"
    if prefer is None:
        return
    if prefer.within_cost_ratio is not None:
        yield "prefer", "within_cost_ratio"
    if prefer.weights is not None and "cost" in prefer.weights:
        yield "prefer", "weights"
    elif prefer.weights is None and prefer.lowest == "cost":
        yield "prefer", "lowest"


def _has_price(settings: Settings) -> bool:
    deployments = (deployment for alias in settings.models.values() for deployment in alias.deployments)
    return any(deployment.price not in (None, Price()) for deployment in deployments)
