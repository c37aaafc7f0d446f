"""Weighs what a policy's baseline and choice come to, for the usage that a call really had. It must never change its own figure."""

from dataclasses import replace

from config.place import Place
from estimators.prepared import Prepared
from estimators.quantity import Quantity
from proxy.call import DecisionRecord
from proxy.passage import Passage
from proxy.policy.candidates import Candidate
from proxy.policy.choose import shared_scopes
from proxy.policy.verdict import Verdict
from proxy.rooms import Rooms
from proxy.weigh import WEIGHING_TROUBLE


def decision_record(rooms: Rooms, passage: Passage, verdict: Verdict) -> DecisionRecord:
    """What a policy said of the call, with the modelled gCO2e of baseline and choice: same usage, same method, whoever metered what.

    Where the policy acted its choice is who served in the end; else who would have.
    """
    operation = passage.ask.endpoint.weighed_as
    baseline, choice = verdict.baseline.option, verdict.choice
    served = passage.candidate
    base_model = passage.weighed_model if baseline.candidate is served else baseline.model
    chosen: tuple[Candidate, str] | None = None if choice is None else (choice.option.candidate, choice.option.model)
    if verdict.acts or (choice is not None and choice.option.candidate is served):
        chosen = (served, passage.weighed_model)
    base_grams = _modelled(rooms, passage, rooms.scales.known(baseline.candidate, base_model, operation))
    place: Place | None = None
    grams: Quantity | None = None
    shared: tuple[str, ...] = ()
    if chosen is not None:
        place = chosen[0].place
        grams = _modelled(rooms, passage, rooms.scales.known(*chosen, operation))
        shared = shared_scopes((baseline.candidate.place, baseline.card), (place, rooms.scales.card(*chosen)))
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


def _modelled(rooms: Rooms, passage: Passage, prepared: Prepared | None) -> Quantity | None:
    """gCO2e that the call's usage comes to there, by the model alone; None where the call itself is not weighed."""
    usage = passage.usage
    if prepared is None or usage is None or passage.estimate is None:
        return None
    most = rooms.scales.most_output_tokens(passage.ask) if usage.partial else None
    travelled = passage.request_bytes + passage.response_bytes
    try:
        plain = usage if usage.metered is None else replace(usage, metered=None)
        return prepared.estimate(plain, possible_output_tokens=most, network_bytes=travelled).gco2e
    except WEIGHING_TROUBLE:
        return None  # the call's own figure stands; the comparison is told as unknown
