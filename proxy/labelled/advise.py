"""Which model could serve which group of calls while mean quality keeps up. It must never decide: who asks tries it on other rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxy.labelled.ways import Served

Group = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """Who could serve a group. change: mean score less that of the best one, by call; gco2e, gco2e_before: sums over the group."""

    group: Group
    calls: int
    alias: str
    change: float
    gco2e: float
    gco2e_before: float


@dataclass(slots=True)
class _Sums:
    """A group's calls: score and grams by alias, and who serves it so far."""

    calls: int
    score: dict[str, float]
    gco2e: dict[str, float]
    alias: str


def advise(groups: Sequence[Group], tried: Sequence[Mapping[str, Served]], best: str, within: float) -> list[Advice]:
    """A model for each group: from all on `best`, steps are taken that give most grams per score, while the sum of scores stays within.

    within: share of the score of `best` that may be given up.
    """
    found = _summed(groups, tried, best)
    spare = within * sum(each.score[best] for each in found.values())
    while (step := _best_step(found, spare)) is not None:
        group, alias = step
        spare -= group.score[group.alias] - group.score[alias]
        group.alias = alias
    return [
        Advice(
            group=name,
            calls=each.calls,
            alias=each.alias,
            change=(each.score[each.alias] - each.score[best]) / each.calls,
            gco2e=each.gco2e[each.alias],
            gco2e_before=each.gco2e[best],
        )
        for name, each in sorted(found.items())
    ]


def _summed(groups: Sequence[Group], tried: Sequence[Mapping[str, Served]], best: str) -> dict[Group, _Sums]:
    found: dict[Group, _Sums] = {}
    for group, row in zip(groups, tried, strict=True):
        sums = found.setdefault(group, _Sums(calls=0, score=dict.fromkeys(row, 0.0), gco2e=dict.fromkeys(row, 0.0), alias=best))
        sums.calls += 1
        for alias, served in row.items():
            sums.score[alias] += served.score
            sums.gco2e[alias] += served.gco2e
    return found


def _best_step(found: Mapping[Group, _Sums], spare: float) -> tuple[_Sums, str] | None:
    """The step to fewer grams that costs least score per gram, among those that can be afforded; None: there is none."""
    steps = []
    for number, each in enumerate(found.values()):
        for alias in each.score:
            less = each.gco2e[each.alias] - each.gco2e[alias]
            loss = each.score[each.alias] - each.score[alias]
            if less > 0 and loss <= spare:
                steps.append((loss / less, number, alias, each))
    if not steps:
        return None
    _, _, alias, group = min(steps, key=lambda step: step[:3])
    return group, alias
