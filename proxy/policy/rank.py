"""Who comes first among those that may serve: by grams, cost, latency, or several at once. It must never leave anybody out unsaid."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from config.policies import Measure, Prefer
from estimators.usage import Usage
from proxy.policy.conditions import Conditions
from proxy.policy.contender import Contender
from proxy.policy.decide import in_turn
from proxy.policy.hours import Figures

COST_UNKNOWN = "cost_unknown"
EQUALS = " equals"
"""Makes the draw among equals another one than that of the usual turn, which it would undo."""

HOURLY = "hourly"
HOURLY_UNKNOWN = "hourly_unknown"

Scored = list[tuple[float, Contender]]
Order = tuple[tuple[float, Contender], ...]


class Ranked(NamedTuple):
    """Who was compared, best first, with the grams that yearly factors forecast. unranked: those of which nothing can be said.

    note: `hourly` where live figures ranked, `hourly_unknown` where they were to and could not. figures: those, None by yearly ones.
    """

    order: Order
    unranked: tuple[Contender, ...] = ()
    note: str = ""
    figures: Figures | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Yardstick:
    """What contenders are held against. anchor: the zone that such calls went to last, None: nowhere yet."""

    prefer: Prefer
    usage: Usage
    conditions: Conditions
    baseline: Contender
    call_id: str
    anchor: str | None = None


def rank(compared: Sequence[Contender], by: Yardstick) -> Ranked:
    """The contenders, best first; equals share the calls out by weight. Nobody where the first one's cost is asked for and not known."""
    prefer, usage = by.prefer, by.usage
    if prefer.lowest == "gco2e" and prefer.weights is None and prefer.intensity == "yearly":
        return Ranked(_sorted([(each.gpu_j(usage) * each.gco2e_per_j, each) for each in compared], by.call_id))
    measures = prefer.weights or {prefer.lowest: 1.0}
    figures, note = _figures(compared, by) if "gco2e" in measures and prefer.intensity == "hourly" else (None, "")
    known = [each for each in compared if each.cost(usage) is not None] if "cost" in measures else list(compared)
    is_anchored = prefer.weights is not None or by.baseline in compared
    if "cost" in measures and is_anchored and by.baseline.cost(usage) is None:
        return Ranked((), tuple(compared), note)
    ranked = _sorted(list(zip(_scores(known, measures, figures, by), known, strict=True)), by.call_id)
    if figures is not None:
        ranked = _held(ranked, by)
    order = tuple((each.gco2e(usage), each) for _, each in ranked)
    return Ranked(order, tuple(each for each in compared if each not in known), note, figures)


def _scores(known: Sequence[Contender], measures: Mapping[Measure, float], figures: Figures | None, by: Yardstick) -> list[float]:
    """One number each, the lower the better: the only measure itself, or the weighted sum of ratios to the first deployment's."""
    everybody = known if by.baseline in known else [*known, by.baseline]
    found = {name: _measured(name, everybody, figures, by) for name in measures}
    if by.prefer.weights is None:
        return found[by.prefer.lowest][: len(known)]
    place = everybody.index(by.baseline)
    return [
        math.fsum(weight * _ratio(found[name][number], found[name][place]) for name, weight in measures.items())
        for number in range(len(known))
    ]


def _measured(name: Measure, everybody: Sequence[Contender], figures: Figures | None, by: Yardstick) -> list[float]:
    if name == "cost":
        return [math.inf if (cost := each.cost(by.usage)) is None else cost for each in everybody]
    if name == "latency":
        return _latencies(everybody, by)
    if figures is not None:
        return [each.hourly_gco2e(by.usage, figures[each.zone].gco2e_per_kwh) if each.zone in figures else math.inf for each in everybody]
    return [each.gco2e(by.usage) for each in everybody]


def _latencies(everybody: Sequence[Contender], by: Yardstick) -> list[float]:
    """Seconds each. Who was not tried lately counts as fast as the fastest of its alias, else of all: so it gets its share and is timed."""
    pace = by.conditions.pace
    found = [each.latency_s(by.usage, pace) for each in everybody]
    fastest = min((took_s for took_s in found if took_s is not None), default=0.0)
    of_alias: dict[str, float] = {}
    for each, took_s in zip(everybody, found, strict=True):
        if took_s is not None:
            of_alias[each.option.alias] = min(took_s, of_alias.get(each.option.alias, math.inf))
    return [of_alias.get(each.option.alias, fastest) if took_s is None else took_s for each, took_s in zip(everybody, found, strict=True)]


def _ratio(measured: float, baseline: float) -> float:
    if baseline == 0 or math.isinf(baseline):
        return 1.0 if measured == baseline else math.inf
    return measured / baseline


def _figures(compared: Sequence[Contender], by: Yardstick) -> tuple[Figures | None, str]:
    """The live figures where all that are compared have one of the same flow, and none of their zones is only assumed."""
    figures, prefer = by.conditions.figures, by.prefer
    is_beside_first = prefer.weights is not None or prefer.confidence_at_least is not None
    weighed = [*compared, by.baseline] if is_beside_first else compared
    flows = {None if each.option.candidate.place.assumed or (told := figures.get(each.zone)) is None else told.flow for each in weighed}
    return (figures, HOURLY) if len(flows) == 1 and None not in flows else (None, HOURLY_UNKNOWN)


def _sorted(scored: Scored, call_id: str) -> Order:
    """Lowest first; equals share the calls out by weight."""
    ranked = sorted(scored, key=_score)
    equals = 1
    while equals < len(ranked) and ranked[equals][0] == ranked[0][0]:
        equals += 1
    if equals > 1 and ranked:
        tied = {each.option.candidate: (score, each) for score, each in ranked[:equals]}
        ranked[:equals] = [tied[each] for each in in_turn(tuple(tied), call_id + EQUALS)]
    return tuple(ranked)


def _score(scored: tuple[float, Contender]) -> float:
    return scored[0]


def _held(ranked: Order, by: Yardstick) -> Order:
    """The same with the best of the anchor's zone first, unless another is lower by the policy's hysteresis."""
    held = next((pair for pair in ranked if pair[1].zone == by.anchor), None)
    if held is None or ranked[0][1].zone == by.anchor or ranked[0][0] < held[0] * (1 - by.prefer.hysteresis):
        return ranked
    return (held, *(pair for pair in ranked if pair is not held))
