"""Weighs what a policy's baseline and choice come to, for the usage that a call really had. It must never change its own figure."""

from dataclasses import replace
from functools import reduce
from typing import NamedTuple

from config.place import Place
from estimators.quantity import Quantity, add
from estimators.usage import Usage
from proxy.call import DecisionRecord
from proxy.passage import Passage
from proxy.policy.candidates import Candidate
from proxy.policy.choose import shared_scopes
from proxy.policy.option import Option
from proxy.policy.verdict import Verdict
from proxy.rooms import Rooms
from proxy.weigh import WEIGHING_TROUBLE


class _Attempt(NamedTuple):
    """Who was asked, and what for. travelled: bytes in and out."""

    candidate: Candidate
    model: str
    usage: Usage
    travelled: int


def decision_record(rooms: Rooms, passage: Passage, verdict: Verdict) -> DecisionRecord:
    """What a policy said of the call, with the modelled gCO2e of baseline and choice: same usage, same method, whoever metered what.

    Where the policy acted its choice is who served in the end, else who would have; where a larger model was asked because an answer fell
    short, the grams of the choice are those of both.
    """
    baseline, choice = verdict.baseline.option, verdict.choice
    served = passage.candidate
    base_model = passage.weighed_model if baseline.candidate is served else baseline.model
    chosen: tuple[Candidate, str] | None = None if choice is None else (choice.option.candidate, choice.option.model)
    if verdict.acts or (choice is not None and choice.option.candidate is served):
        chosen = (served, passage.weighed_model)
    base_grams = _sum(rooms, passage, _one(passage, baseline.candidate, base_model))
    place: Place | None = None
    grams: Quantity | None = None
    shared: tuple[str, ...] = ()
    if chosen is not None:
        place = chosen[0].place
        attempts = _attempts(passage, verdict, chosen)
        grams = _sum(rooms, passage, attempts)
        shared = _shared(rooms, passage, baseline, chosen, attempts)
    at = baseline.candidate.place
    return DecisionRecord(
        policy=verdict.policy,
        mode=verdict.mode,
        action=verdict.action,
        reason=verdict.reason,
        shared=",".join(shared),
        baseline_provider=baseline.candidate.provider,
        baseline_model=base_model,
        baseline_region=at.region,
        baseline_zone=at.zone,
        baseline_gco2e=None if grams is None and chosen is not None else base_grams,
        choice_provider=None if chosen is None else chosen[0].provider,
        choice_model=None if chosen is None else chosen[1],
        choice_region=None if place is None else place.region,
        choice_zone=None if place is None else place.zone,
        choice_gco2e=None if base_grams is None else grams,
    )


def _one(passage: Passage, candidate: Candidate, model: str) -> list[_Attempt]:
    """An attempt there with the usage of the one that served; none where that is not weighed."""
    usage = passage.usage
    if usage is None or passage.estimate is None:
        return []
    return [_Attempt(candidate, model, usage, passage.request_bytes + passage.response_bytes)]


def _attempts(passage: Passage, verdict: Verdict, chosen: tuple[Candidate, str]) -> list[_Attempt]:
    """What the choice comes to: the attempt that serves and, where an answer fell short, what was asked besides, or would have been."""
    found = _one(passage, *chosen)
    if not found:
        return []
    escalation = passage.decision.escalation
    if passage.escalated:
        for candidate, record in passage.failed:
            if record.usage is not None:
                found.append(_Attempt(candidate, record.served_model, record.usage, record.request_bytes + record.response_bytes))
    elif passage.shortcoming is not None and escalation is not None and not verdict.acts:
        above = escalation.plan[0]
        found += _one(passage, above, above.name_of(passage.ask.alias))
    return found


def _sum(rooms: Rooms, passage: Passage, attempts: list[_Attempt]) -> Quantity | None:
    """gCO2e of all of them; None where there is none, or one is not known."""
    grams = [_modelled(rooms, passage, each) for each in attempts]
    known = [each for each in grams if each is not None]
    return reduce(add, known) if known and len(known) == len(grams) else None


def _shared(rooms: Rooms, passage: Passage, baseline: Option, chosen: tuple[Candidate, str], attempts: list[_Attempt]) -> tuple[str, ...]:
    """Scopes of doubt that the baseline has in common with the choice: with the heaviest of its attempts, where there are several."""
    if len(attempts) > 1:
        heaviest = max(attempts, key=lambda each: grams.mean if (grams := _modelled(rooms, passage, each)) is not None else 0.0)
        chosen = (heaviest.candidate, heaviest.model)
    return shared_scopes(baseline.known, (chosen[0].place, rooms.scales.card(*chosen)))


def _modelled(rooms: Rooms, passage: Passage, attempt: _Attempt) -> Quantity | None:
    """gCO2e that such an attempt comes to, by the model alone."""
    prepared = rooms.scales.known(attempt.candidate, attempt.model, passage.ask.endpoint.weighed_as)
    if prepared is None:
        return None
    usage = attempt.usage
    most = rooms.scales.most_output_tokens(passage.ask) if usage.partial else None
    try:
        plain = usage if usage.metered is None else replace(usage, metered=None)
        return prepared.estimate(plain, possible_output_tokens=most, network_bytes=attempt.travelled).gco2e
    except WEIGHING_TROUBLE:
        return None  # the call's own figure stands; the comparison is told as unknown
