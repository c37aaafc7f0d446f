"""What holds for decisions at this moment: live intensities, latencies; and what calls leave behind for the next. It must never judge."""

from proxy.intensity.keeper import Keeper
from proxy.passage import Passage
from proxy.policy.conditions import UNTOLD, Conditions
from proxy.policy.hours import NO_ANCHORS, NO_FIGURES, OLDEST_S, HourFigure, Hours
from proxy.policy.latency import NOBODY_TRIED, Latencies, latency_key
from proxy.policy.policies import Policies
from proxy.policy.rule import Rule
from proxy.policy.verdict import Verdict
from proxy.rooms import Rooms


def conditions_for(rooms: Rooms, policies: Policies, rule: Rule) -> Conditions:
    """What bears on the rule now; looked up only where something does."""
    if not rule.needs_hours and not rule.needs_pace:
        return UNTOLD
    hours = policies.hours if rule.needs_hours and rooms.intensity is not None else None
    if hours is not None and rooms.intensity is not None:
        look_up(hours, rooms.intensity, rooms.clock.now_ms() / 1000)
    latencies = rooms.latencies if rule.needs_pace else None
    return Conditions(
        pace=NOBODY_TRIED if latencies is None else latencies.pace(rooms.clock.perf()),
        figures=NO_FIGURES if hours is None else hours.figures,
        anchors=NO_ANCHORS if hours is None else hours.anchors,
    )


def look_up(hours: Hours, keeper: Keeper, now_s: float) -> None:
    """Renews the figures of all zones when they are due; what is too old is left out."""
    snapshot = keeper.snapshot
    if not hours.is_due(snapshot, now_s):
        return
    found = ((zone, snapshot.hourly(zone, now_s, OLDEST_S)) for zone in hours.zones)
    hours.renew(snapshot, {zone: HourFigure(told.gco2e_per_kwh, told.flow) for zone, told in found if told is not None}, now_s)


def note_choice(policies: Policies, alias: str, verdict: Verdict) -> None:
    """Keeps the zone that a call goes to by live figures, so that the next ones do not leave it for little."""
    if policies.hours is not None and verdict.figures is not None and verdict.choice is not None:
        policies.hours.note(verdict.policy, alias, verdict.choice.zone)


def note_latency(latencies: Latencies, passage: Passage) -> None:
    """Times an answer that came to its end; others say nothing of how fast a deployment is."""
    usage = passage.usage
    if passage.outcome != "ok" or not passage.sent or usage is None or usage.partial:
        return
    key = latency_key(passage.candidate, passage.model, passage.ask.endpoint.weighed_as)
    latencies.take(key, passage.received - passage.sent, usage.output_tokens, passage.received)
