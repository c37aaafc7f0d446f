"""Sets an answer aside while a better one is asked for, and takes it up again. It must never weigh it twice, nor lose it."""

import logging
from dataclasses import dataclass

import msgspec

from estimators.estimate import Estimate
from estimators.usage import Usage
from proxy.answer import LONGEST_READ_BYTES, weigh_answer
from proxy.call import Hour, InsteadRecord
from proxy.endpoints.base import Ask
from proxy.escalate.hold import Held
from proxy.headers import value_of
from proxy.meter.inflate import inflate_whole
from proxy.meter.reply import UNREADABLE, read_reply
from proxy.passage import Failed, Passage, open_attempt
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.relay import weigh_relayed
from proxy.rooms import Rooms
from proxy.send import end_attempt
from proxy.splice import without_payloads
from proxy.upstream.base import WholeReply

_log = logging.getLogger("grammage.escalate")


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """The answer that fell short, and what was known of its attempt. latency_s: how long it took. attempt_id: empty where it was reused."""

    reply: WholeReply
    attempt_id: str
    latency_s: float
    shortcoming: str
    candidate: Candidate
    ask: Ask
    decision: Decision
    request_bytes: int
    status: int
    request_id: str | None
    forced_usage: bool
    weighed: tuple[Usage, Estimate] | None
    hour: Hour | None
    instead: InsteadRecord | None


async def set_aside(rooms: Rooms, passage: Passage, held: Held, shortcoming: str) -> First:
    """The answer, its attempt weighed and a row of its own; none is under way then."""
    passage.received, passage.shortcoming = rooms.clock.perf(), shortcoming
    reply = held.detached()
    try:
        await _weigh(rooms, passage, held)
    except Exception:  # noqa: BLE001  # the edge: what we add may fail, the client's answer may not
        _log.exception("call %s: its first attempt goes unweighed", passage.call_id)
        passage.unweighed_reason = "internal_error"
    usage, estimate = passage.usage, passage.estimate
    attempt_id, latency_s = "", 0.0
    if passage.instead is None:  # else nobody was asked: there is no attempt to tell of
        end_attempt(rooms, passage)
        attempt_id, latency_s = passage.failed[-1].record.attempt_id, passage.failed[-1].record.latency_s
    return First(
        reply=reply,
        attempt_id=attempt_id,
        latency_s=latency_s,
        shortcoming=shortcoming,
        candidate=passage.candidate,
        ask=passage.ask,
        decision=passage.decision,
        request_bytes=passage.request_bytes,
        status=passage.status,
        request_id=passage.upstream_request_id,
        forced_usage=passage.forced_usage,
        weighed=None if usage is None or estimate is None else (usage, estimate),
        hour=passage.hour,
        instead=passage.instead,
    )


async def _weigh(rooms: Rooms, passage: Passage, held: Held) -> None:
    if held.relay is not None:
        passage.stream_complete = True
        try:
            await weigh_relayed(rooms, passage, held.relay)
        finally:
            passage.stream_complete = False
        return
    passage.response_bytes = len(held.body)
    encoding = value_of(held.reply.headers, b"content-encoding")
    plain = inflate_whole(encoding, held.body) if encoding else held.body
    body = held.body if plain is None else plain
    text = without_payloads(body) if len(body) > LONGEST_READ_BYTES else body
    head = UNREADABLE if plain is None else read_reply(text, passage.ask.endpoint.dialect)
    await weigh_answer(rooms, passage, text, head)


def restore(rooms: Rooms, passage: Passage, first: First) -> None:
    """The first answer is the call's after all: its attempt is the present one again, and the last of the call's."""
    now = rooms.clock.perf()
    others = [each for each in passage.failed if each.record.attempt_id != first.attempt_id]
    if passage.trace is not None and len(others) < len(passage.failed):
        passage.trace.put_last(next(at for at, each in enumerate(passage.failed) if each.record.attempt_id == first.attempt_id))
    passage.failed = tuple(
        Failed(each.candidate, msgspec.structs.replace(each.record, ordinal=number)) for number, each in enumerate(others)
    )
    passage.ask, passage.decision, passage.request_bytes = first.ask, first.decision, first.request_bytes
    passage.route, passage.kept, passage.escalated = None, None, f"failed:{first.shortcoming}"
    open_attempt(passage, first.candidate, now)
    passage.sent, passage.received = now - first.latency_s, now
    passage.waited_s -= first.latency_s
    passage.status, passage.upstream_request_id, passage.forced_usage = first.status, first.request_id, first.forced_usage
    passage.shortcoming, passage.weighed_before, passage.hour = first.shortcoming, first.weighed, first.hour
    passage.instead, passage.idle = first.instead, first.instead is not None
