"""Asks the larger model where the answer falls short, and keeps the first answer until there is a better one. It must never ask twice."""

import asyncio
import logging
from dataclasses import replace

from estimators.prepared import Prepared
from proxy.answer import MAY_HAVE_GENERATED, SUCCESS
from proxy.consult import prepare_all, under_caps
from proxy.errors import GrammageError
from proxy.escalate.aside import restore, set_aside
from proxy.escalate.hold import Held, hold, may_hold
from proxy.escalate.judge import Judged, judged
from proxy.foresee import limit_of
from proxy.headers import LIMIT
from proxy.passage import Passage, open_attempt
from proxy.policy.candidates import Candidate
from proxy.policy.escalation import Escalation
from proxy.relay import is_event_stream
from proxy.rooms import Rooms
from proxy.send import end_attempt, send_on
from proxy.settle import meter_nothing_seen, weigh
from proxy.upstream.base import UpstreamReply, read_whole
from proxy.weigh import WEIGHING_TROUBLE

_log = logging.getLogger("grammage.escalate")


async def send_checked(rooms: Rooms, passage: Passage, query: bytes, broken: GrammageError | None = None) -> UpstreamReply:
    """As `send_on`; an answer that falls short of what the call's policy demands gives way to a larger model's."""
    may = await _is_within_limit(rooms, passage)
    while True:
        reply = await send_on(rooms, passage, query, broken)
        escalation = _due(passage, reply) if may else None
        if escalation is None:
            return reply
        try:
            reply, held = await hold(passage, reply)
        except GrammageError as error:
            broken = error
            continue
        if held is None:
            return reply
        found = await _judged(passage, escalation, held)
        if found.shortcoming is None:
            return reply
        if not escalation.acts:
            await _note(rooms, passage, escalation, found.shortcoming)
            return reply
        return await _climb(rooms, passage, query, escalation, held, found)


def _due(passage: Passage, reply: UpstreamReply) -> Escalation | None:
    """What is to be done with the answer, None where it leaves as it is."""
    escalation = passage.decision.escalation
    if escalation is None or passage.escalated or reply.status not in SUCCESS:
        return None
    if not escalation.is_above(passage.candidate, passage.model):
        return None
    streams = escalation.acts and escalation.said.buffer_streams
    return escalation if may_hold(passage, reply, streams=streams) else None


async def _judged(passage: Passage, escalation: Escalation, held: Held) -> Judged:
    try:
        return await judged(passage, escalation, held)
    except BaseException:  # the client left meanwhile: nobody else knows of the connection yet
        held.reply.close(broken=True)
        raise


async def _note(rooms: Rooms, passage: Passage, escalation: Escalation, shortcoming: str) -> None:
    """A policy that watches would have asked: that is kept, and what it takes to say what it would have come to."""
    passage.shortcoming = shortcoming
    await _prepared(rooms, passage, escalation.plan[0])


async def _prepared(rooms: Rooms, passage: Passage, candidate: Candidate) -> Prepared | None:
    """The method for the call at a deployment, made in a thread the first time; None where it cannot be weighed there."""
    model, operation = candidate.name_of(passage.ask.alias), passage.ask.endpoint.weighed_as
    if rooms.scales.known(candidate, model, operation) is None:
        await asyncio.to_thread(prepare_all, rooms.scales, [(candidate, model)], operation)
    return rooms.scales.known(candidate, model, operation)


async def _is_within_limit(rooms: Rooms, passage: Passage) -> bool:
    """False when both answers together are forecast above the limit that the caller set; True also where that cannot be told."""
    limit_gco2e, escalation = limit_of(passage.known.get(LIMIT)), passage.decision.escalation
    if limit_gco2e is None or escalation is None:
        return True
    asked = ((passage.candidate, passage.ask), (escalation.plan[0], escalation.ask))
    pairs = [(await _prepared(rooms, passage, candidate), ask) for candidate, ask in asked]
    try:
        forecast_g = sum(rooms.scales.forecast(one, ask, passage.tags).gco2e.mean for one, ask in pairs if one is not None)
    except WEIGHING_TROUBLE as error:
        _log.warning("call %s: two answers cannot be forecast: %s", passage.call_id, type(error).__name__)
        return True
    return forecast_g <= limit_gco2e


async def _climb(rooms: Rooms, passage: Passage, query: bytes, escalation: Escalation, held: Held, found: Judged) -> UpstreamReply:
    """The larger model's answer; the first one as it was where there is none."""
    shortcoming = found.shortcoming or ""
    apply = escalation.apply.model_copy(update={"max_output_tokens": None}) if found.by_cap else escalation.apply
    above = replace(passage.decision, attempts=escalation.plan, altered="")
    try:
        consulted = under_caps(escalation.ask, above, apply, escalation.market)
    except GrammageError as error:
        _log.warning("call %s cannot be written for a larger model: %s", passage.call_id, error.code)
        return held.reply
    first = await set_aside(rooms, passage, held, shortcoming)
    passage.ask, passage.decision = consulted
    passage.request_bytes = len(passage.ask.body)
    passage.route, passage.kept, passage.escalated = None, None, shortcoming
    open_attempt(passage, passage.decision.attempts[0], rooms.clock.perf())
    larger = await _asked(rooms, passage, query)
    if larger is not None:
        return larger
    _log.info("call %s: nobody larger answered; the first answer stands", passage.call_id)
    restore(rooms, passage, first)
    return first.reply


async def _asked(rooms: Rooms, passage: Passage, query: bytes) -> UpstreamReply | None:
    """A good answer, whole or a stream that begins; None where every attempt failed."""
    broken: GrammageError | None = None
    while True:
        try:
            reply = await send_on(rooms, passage, query, broken)
        except GrammageError as error:
            await _end_in_trouble(rooms, passage, error)
            return None
        if reply.status not in SUCCESS:
            reply.close(broken=not reply.ended)
            if not passage.idle:
                passage.outcome = "client_error" if reply.status < 500 else "upstream_error"
                end_attempt(rooms, passage)
            return None
        if is_event_stream(reply, passage.ask.endpoint):
            return reply
        try:
            return await read_whole(reply)
        except GrammageError as error:
            broken = error


async def _end_in_trouble(rooms: Rooms, passage: Passage, trouble: GrammageError) -> None:
    """The last attempt came to nothing, though it may have generated."""
    if passage.idle:
        return
    passage.status, passage.outcome, passage.received = trouble.status, "upstream_error", rooms.clock.perf()
    if trouble.code in MAY_HAVE_GENERATED:
        await meter_nothing_seen(passage)
        await weigh(rooms, passage)
    end_attempt(rooms, passage)
