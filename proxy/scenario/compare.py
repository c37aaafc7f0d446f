"""How two scenarios differ, with a range of its own. It must never subtract what both share twice, nor call a difference a gain."""

from dataclasses import dataclass

from estimators.quantity import Difference, difference
from proxy.scenario.sums import Keyed, shared_scopes, summed
from proxy.scenario.weigh import Weighed


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Modelled difference in attributed emissions of `name` against `baseline`, gCO2e a year; negative: `name` weighs less.

    ratio: expected value of `name` over that of the baseline; None when the baseline is nothing. shared: scopes whose doubt cancels.
    """

    name: str
    baseline: str
    gco2e: Difference
    ratio: float | None
    shared: tuple[str, ...]


def compare(scenario: Weighed, baseline: Weighed, *, name: str | None = None) -> Comparison:
    """`scenario` against `baseline` over a year: kinds of calls that are the same in both cancel, shared doubt of the others too."""
    a, b = _without(scenario, baseline), _without(baseline, scenario)
    shared = shared_scopes(a, b)
    before = baseline.year("gco2e").mean
    return Comparison(
        name=name or scenario.name,
        baseline=baseline.name,
        gco2e=difference(summed(a), summed(b), shared=shared),
        ratio=scenario.year("gco2e").mean / before if before > 0 else None,
        shared=shared,
    )


def _without(one: Weighed, other: Weighed) -> list[Keyed]:
    """The parts of `one` that `other` has not got in exactly the same way."""
    theirs = {part.kind: part for part in other.parts}
    return [part.year("gco2e") for part in one.parts if part != theirs.get(part.kind)]
