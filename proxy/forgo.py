"""Does without a model where a policy knows another way: offers it, or lets it answer. It must never answer what nobody declared."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

import msgspec
from starlette.types import Message, Send

from estimators.local import local_estimate
from estimators.quantity import Quantity
from estimators.usage import Usage
from proxy.alternative.elsewhere import ELSEWHERE
from proxy.alternative.made import Cannot, Made, Way
from proxy.alternative.shapes import Telling, shaped
from proxy.alternative.template import MISSING
from proxy.alternative.wanted import Wanted
from proxy.alternative.worth import Asked, Offer, Worth
from proxy.call import CallRecord, DecisionRecord, InsteadRecord
from proxy.clock import Clock
from proxy.errors import AlternativeOffered, BadRequest, IterationsExceeded, PurposeMissing
from proxy.passage import Passage
from proxy.policy.verdict import Verdict
from proxy.respond import respond_whole
from proxy.rooms import Rooms
from proxy.settle import READ_AT_ONCE_BYTES, record
from proxy.tag import call_header, deployment_headers, figures_of, footprint_headers, footprint_member
from proxy.weigh import WEIGHING_TROUBLE

_log = logging.getLogger("grammage.alternative")
T = TypeVar("T")
HEADER = b"x-grammage-alternative"
ITERATIONS = b"x-grammage-iterations"
ACCEPT, DECLINE = b"accept", b"decline"
OFFERED, DECLINED, WATCHED = "offered", "alternative_declined", "alternative_could_answer"
PURPOSE_MISSING, EXCEEDED = "purpose_missing", "iterations_exceeded"


async def forgo(rooms: Rooms, worth: Worth, passage: Passage, send: Send) -> Send | None:
    """The way out for the call's answer, None when the call was answered without a model.

    Raises AlternativeOffered, IterationsExceeded, PurposeMissing as the policy has it, BadRequest for any other word.
    """
    verdict = passage.own_verdict or passage.decision.verdict
    asked = None if verdict is None else worth.by_policy.get(verdict.policy)
    if verdict is None or asked is None or verdict.action == "holdback":
        return send
    acts, tags = verdict.mode == "enforce", dict(passage.tags)
    if asked.needs_purpose and worth.purpose_of(tags) is None:
        _lacks_purpose(rooms, passage, verdict.policy, acts=acts)
    if asked.offer is not None:
        wanted = Wanted(ask=passage.ask, known=passage.known, tags=tags)
        if not acts:
            await _watch(passage, asked.offer, wanted)
        elif await _instead(rooms, passage, verdict, asked.offer, wanted, send):
            return None
    return await _counted(rooms, worth, passage, verdict, asked, tags, send)


def _lacks_purpose(rooms: Rooms, passage: Passage, policy: str, *, acts: bool) -> None:
    """Refuses a call for which nobody said what it is for; notes it where the policy only watches."""
    if not acts:
        _note(passage, PURPOSE_MISSING)
        return
    rooms.observer.observe_refusal(policy)
    raise PurposeMissing(
        f"policy {policy!r} asks what its calls are for, and this one does not say: send the header x-grammage-tag-purpose, or "
        "x-grammage-tag-campaign with a campaign that has a `purpose` under `campaigns:` of this proxy's configuration."
    )


async def _watch(passage: Passage, offer: Offer, wanted: Wanted) -> None:
    """Notes whether the alternative could have answered; the call goes on."""
    cannot = await _lacking(offer, wanted)
    if cannot is not None:
        _note(passage, cannot.reason)
        return
    verdict = passage.decision.verdict
    if verdict is not None and passage.own_verdict is None:
        watched = replace(verdict, action="alternative", reason=WATCHED, choice=None)
        passage.decision = replace(passage.decision, verdict=watched)


async def _instead(rooms: Rooms, passage: Passage, verdict: Verdict, offer: Offer, wanted: Wanted, send: Send) -> bool:
    """True when the alternative answered. Raises AlternativeOffered, BadRequest."""
    word = _word(passage.known)
    if word == DECLINE and not offer.locked:
        _note(passage, DECLINED)
        return False
    if word != ACCEPT and not offer.runs:
        cannot = await _lacking(offer, wanted)
        if cannot is None or cannot.reason == MISSING:
            _offer(rooms, verdict, offer, () if cannot is None else cannot.missing)
        _note(passage, "" if cannot is None else cannot.reason)
        return False
    started = rooms.clock.perf()
    made, cpu_s = await _off_loop(offer, wanted, _timed, rooms.clock, offer.way, wanted)
    if isinstance(made, Cannot):
        if made.reason == ELSEWHERE or (made.reason == MISSING and not offer.runs):
            _offer(rooms, verdict, offer, made.missing)
        _note(passage, made.reason)
        return False
    passage.sent, passage.received = started, rooms.clock.perf()
    await _answer(rooms, passage, verdict, offer, made, cpu_s, send)
    return True


async def _lacking(offer: Offer, wanted: Wanted) -> Cannot | None:
    """Why the alternative cannot answer, None where it should."""
    return await _off_loop(offer, wanted, offer.way.lacks, wanted)


async def _off_loop(offer: Offer, wanted: Wanted, work: Callable[..., T], *given: object) -> T:
    """What comes of the work; in a thread where it reads pictures or a long request."""
    if offer.way.slow or len(wanted.ask.body) > READ_AT_ONCE_BYTES:
        return await asyncio.to_thread(work, *given)
    return work(*given)


def _timed(clock: Clock, way: Way, wanted: Wanted) -> tuple[Made | Cannot, float]:
    """What is made of the call, and the processor time that it took, in seconds."""
    begun = clock.thread_cpu()
    made = way.make(wanted)
    return made, max(0.0, clock.thread_cpu() - begun)


def _word(known: Mapping[bytes, bytes]) -> bytes | None:
    """What the caller says to the offer; None: nothing yet."""
    said = known.get(HEADER)
    if said is None or said.lower() in (ACCEPT, DECLINE):
        return None if said is None else said.lower()
    shown = said[:20].decode("latin-1")
    raise BadRequest(f"{HEADER.decode()} must be accept or decline, got {shown!r}.", code="invalid_header", param=HEADER.decode())


def _offer(rooms: Rooms, verdict: Verdict, offer: Offer, missing: tuple[str, ...]) -> None:
    """Raises AlternativeOffered, which says how to take it and how to go on."""
    rooms.observer.observe_refusal(verdict.policy, OFFERED)
    name = HEADER.decode()
    ways = []
    if offer.kind != ELSEWHERE:
        fields = f", with x-grammage-fields as a JSON object that has {', '.join(missing)}" if missing else ""
        ways.append(f"send the header {name}: accept{fields} to take it")
    if not offer.locked:
        ways.append(f"{'' if ways else 'send the header '}{name}: decline to go on to the model")
    told = ", or ".join(ways) or "the policy is locked: this call does not go to the model"
    raise AlternativeOffered(
        f"policy {verdict.policy!r} offers {offer.kind} {offer.ref!r} in place of a model: {offer.about}; {told}.",
        headers=[(HEADER, offer.named.encode()), (b"x-should-retry", b"false")],
    )


async def _answer(rooms: Rooms, passage: Passage, verdict: Verdict, offer: Offer, made: Made, cpu_s: float, send: Send) -> None:
    """Weighs, records and sends what was made."""
    passage.decided = _decided(rooms, passage, verdict, offer)
    passage.candidate = offer.machine
    passage.decision = replace(passage.decision, policy=verdict.policy, altered="")
    passage.instead = InsteadRecord(kind=offer.kind, ref=offer.ref)
    passage.usage, passage.status = Usage(source="provider"), 200
    passage.streamed = passage.stream_complete = passage.ask.stream
    headers, footprint = _weighed(rooms, passage, cpu_s)
    telling = Telling(call_id=passage.call_id, created_s=rooms.clock.now_ms() // 1000, model=passage.model, footprint=footprint)
    as_url = Wanted(ask=passage.ask, known={}, tags={}).member("response_format") == "url"
    kind, body = shaped(passage.ask, made, telling, as_url=as_url)
    passage.response_bytes = len(body)
    if passage.decided is not None and passage.estimate is not None:
        passage.decided = _with_choice(passage.decided, passage.estimate.gco2e)
    durable = record(rooms, passage)
    if durable is not None:
        await durable
    passage.head_sent = True
    tags = [call_header(passage.call_id), *headers, (HEADER, offer.named.encode())] if rooms.settings.tagging.headers else []
    await respond_whole(send, 200, [(b"content-type", kind), *tags], body)


def _weighed(rooms: Rooms, passage: Passage, cpu_s: float) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The headers with the figures, and the footprint as a member of usage; the answer goes out without where they fail."""
    place, settings = passage.candidate.place, rooms.settings
    served = deployment_headers(passage.candidate, passage.model, False, passage.decision.policy, "")
    passage.cpu_s = cpu_s
    try:
        estimate = passage.estimate = local_estimate(cpu_s, place, rooms.tables.factors, settings.weighing.profile)
    except WEIGHING_TROUBLE as error:
        _log.warning("call %s could not be weighed: %s", passage.call_id, type(error).__name__)
        passage.unweighed_reason = "weighing_failed"
        return list(served), b""
    figures = figures_of(estimate)
    member = footprint_member(estimate, figures, passage.call_id, tuple(settings.tagging.compat)) if settings.tagging.body else b""
    return [*footprint_headers(estimate, figures, b"final"), *served], member


def _decided(rooms: Rooms, passage: Passage, verdict: Verdict, offer: Offer) -> DecisionRecord:
    """The decision with the baseline as forecast: no model ran, so there is no usage to weigh it by."""
    baseline = verdict.baseline.option
    at, machine = baseline.candidate.place, offer.machine
    return DecisionRecord(
        policy=verdict.policy,
        mode=verdict.mode,
        action="alternative",
        reason="baseline_forecast",
        shared="",
        baseline_provider=baseline.candidate.provider,
        baseline_model=baseline.model,
        baseline_region=at.region,
        baseline_zone=at.zone,
        baseline_gco2e=_forecast(rooms, passage, verdict),
        choice_provider=machine.provider,
        choice_model=machine.name_of(""),
        choice_region=machine.place.region,
        choice_zone=machine.place.zone,
        choice_gco2e=None,
    )


def _forecast(rooms: Rooms, passage: Passage, verdict: Verdict) -> Quantity | None:
    """gCO2e that the alias's first deployment was forecast at; None where it cannot be told."""
    try:
        return rooms.scales.forecast(verdict.baseline.prepared, passage.ask, passage.tags).gco2e
    except WEIGHING_TROUBLE:
        return None  # the call's own figure stands; the comparison is told as unknown


def _with_choice(decided: DecisionRecord, gco2e: Quantity) -> DecisionRecord:
    """The decision with what was weighed in the model's place; both sides or neither."""
    return msgspec.structs.replace(decided, choice_gco2e=gco2e)


async def _counted(
    rooms: Rooms, worth: Worth, passage: Passage, verdict: Verdict, asked: Asked, tags: Mapping[str, str], send: Send
) -> Send:
    """The way out that tells how often the asset was made. Raises IterationsExceeded where that is enough."""
    iterations = asked.iterations
    if iterations is None:
        return send
    turn = await worth.counts.enter(verdict.policy, verdict.mode, iterations, tags)
    if turn is None:
        return send
    passage.turn = turn
    told = f"{turn.number}/{turn.at_most}"
    if turn.is_beyond:
        acts = verdict.mode == "enforce"
        rooms.observer.observe_iterations(verdict.policy if acts else f"shadow:{verdict.policy}")
        if acts and iterations.hard:
            rooms.observer.observe_refusal(verdict.policy)
            value = tags[iterations.tag]
            raise IterationsExceeded(
                f"policy {verdict.policy!r} lets {iterations.tag} {value!r} be made {iterations.at_most} times, and this would be number "
                f"{turn.number}; use what there is, give it another {iterations.tag}, or ask who runs this proxy.",
                headers=[(ITERATIONS, told.encode()), (b"x-should-retry", b"false")],
            )
        _note(passage, EXCEEDED)
    return _telling(send, told.encode()) if verdict.mode == "enforce" and rooms.settings.tagging.headers else send


def has_new_answer(entry: CallRecord | None) -> bool:
    """True when a model answered the call to its end: that is one more iteration, and what the ledger counts again after a restart."""
    return entry is not None and entry.outcome == "ok" and entry.instead is None


def _telling(send: Send, told: bytes) -> Send:
    """`send`, with the count among the answer's headers."""

    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (ITERATIONS, told)]}
        await send(message)

    return out


def _note(passage: Passage, reason: str) -> None:
    """Adds a reason to what the policy said of the call."""
    verdict = passage.decision.verdict
    if verdict is not None and reason:
        noted = f"{verdict.reason},{reason}" if verdict.reason else reason
        passage.decision = replace(passage.decision, verdict=replace(verdict, reason=noted))
