"""Sends a call to the deployments of its plan until one answers. It must never try again once a byte of an answer has left."""

import asyncio
import logging

from proxy.errors import GrammageError
from proxy.headers import value_of
from proxy.outgoing import forces_usage, request_for
from proxy.passage import Passage, attempt_id_of, attempt_of, close_attempt, open_attempt
from proxy.policy.candidates import Candidate
from proxy.policy.retry import COUNTED, OF_CODE, Failure, Route, failure_of, may_repeat, rest_of
from proxy.policy.served_place import placed, telling_header
from proxy.reusing import reusing
from proxy.rooms import Rooms
from proxy.settle import NOT_GENERATED, meter_nothing_seen, weigh
from proxy.upstream.base import UpstreamReply, read_whole

_log = logging.getLogger("grammage.send")
REFUSED = (400, 422)
"""What providers say to a field that they do not know."""

MOST_REFUSALS = 4096


async def send_on(rooms: Rooms, passage: Passage, query: bytes, broken: GrammageError | None = None) -> UpstreamReply:
    """The head of the answer that is to leave, or the last whole answer when every attempt failed.

    broken: why the body of the answer given before could not be read. Raises the last GrammageError when there never was an answer.
    """
    if passage.route is None and len(passage.decision.attempts) > 1:
        _set_out(rooms, passage)
    reply = None if broken is None else await _after_trouble(rooms, passage, broken)
    while reply is None:
        try:
            reply = await _attempt(rooms, passage, query)
        except GrammageError as error:
            reply = await _after_trouble(rooms, passage, error)
            continue
        if (failure := failure_of(reply.status)) is not None:
            reply = await _after_answer(rooms, passage, failure, reply)
        elif passage.route is not None and passage.instead is None:
            _tell(rooms, passage.route, None)
    return reply


def _set_out(rooms: Rooms, passage: Passage) -> None:
    """The plan, with deployments that are passed over now at its end; its first one takes the call."""
    now = rooms.clock.perf()
    plan = rooms.breakers.ranked(passage.decision.attempts, now)
    passage.route = Route(plan, plan[0].retry)
    passage.candidate = plan[0]
    rooms.breakers.of(plan[0]).trying(now)


async def _attempt(rooms: Rooms, passage: Passage, query: bytes) -> UpstreamReply:
    """The reply's head; a provider that refuses the usage we force is asked again without it."""
    door = rooms.door_of(passage.candidate, passage.ask.endpoint.dialect)
    if rooms.reuse is not None:
        door = reusing(rooms, passage, door)
    asked_of = (passage.candidate, passage.ask.alias)
    passage.forced_usage = forces_usage(passage) and asked_of not in rooms.refuse_forced_usage
    passage.sent = rooms.clock.perf()
    reply = await door.send(request_for(rooms, passage, query=query))
    if passage.forced_usage and reply.status in REFUSED:
        whole = reply = await read_whole(reply)
        if not bytes(passage.ask.head.stream_options) and (b"stream_options" in whole.body or b"include_usage" in whole.body):
            passage.forced_usage = False
            reply = await door.send(request_for(rooms, passage, query=query))
            if reply.status not in REFUSED and len(rooms.refuse_forced_usage) < MOST_REFUSALS:
                rooms.refuse_forced_usage.add(asked_of)
    passage.status = reply.status
    telling = telling_header(passage.candidate)
    told = value_of(reply.headers, telling) if telling else None
    if told:
        passage.candidate = placed(passage.candidate, told, rooms.tables.places)
    request_id = value_of(reply.headers, b"x-request-id") or value_of(reply.headers, b"request-id")
    passage.upstream_request_id = request_id[:128].decode("latin-1") if request_id else None
    return reply


async def _after_trouble(rooms: Rooms, passage: Passage, trouble: GrammageError) -> UpstreamReply | None:
    """None when the next attempt stands ready, else the last answer that there was. Raises `trouble` when there is neither."""
    failure = OF_CODE.get(trouble.code)
    if failure is None:
        raise trouble
    route = _route(passage)
    _tell(rooms, route, failure)
    following = None if _is_spent(passage) else route.after(failure, rooms.clock.perf())
    if following is None and passage.kept is None:
        raise trouble
    passage.status, passage.outcome, passage.received = trouble.status, "upstream_error", rooms.clock.perf()
    if failure != "unreached":
        await meter_nothing_seen(passage)
        await weigh(rooms, passage)
    end_attempt(rooms, passage)
    if following is not None:
        await _go_to(rooms, passage, *following)
        return None
    if passage.kept is not None:
        passage.status = passage.kept.status
    return passage.kept


async def _after_answer(rooms: Rooms, passage: Passage, failure: Failure, reply: UpstreamReply) -> UpstreamReply | None:
    """None when the next attempt stands ready, else the answer, which is the call's."""
    route = _route(passage)
    rest_s = rest_of(reply.headers, rooms.clock.now())
    _tell(rooms, route, failure, rest_s)
    repeats = may_repeat(reply.headers)
    following = None if _is_spent(passage) else route.after(failure, rooms.clock.perf(), rest_s=rest_s, repeats=repeats)
    if following is None:
        return reply
    passage.outcome = "upstream_error" if failure == "5xx" else "client_error"
    try:
        passage.kept = await read_whole(reply)
        passage.response_bytes = len(passage.kept.body)
    except GrammageError as error:
        _log.info("call %s: an answer with status %d could not be read: %s", passage.call_id, reply.status, error.code)
    end_attempt(rooms, passage)
    await _go_to(rooms, passage, *following)
    return None


def _is_spent(passage: Passage) -> bool:
    """True for an upload that has left and is held nowhere."""
    return passage.upload is not None and not passage.upload.can_be_sent


def _route(passage: Passage) -> Route:
    """The call's way through its plan, which begins with its first failure where there is one deployment only."""
    if passage.route is None:
        passage.route = Route(passage.decision.attempts, passage.candidate.retry)
    return passage.route


def _tell(rooms: Rooms, route: Route, failure: Failure | None, rest_s: float | None = None) -> None:
    """What the attempt says of its deployment to those that come after; nothing where there is no other one to go to."""
    if len(route.plan) < 2:
        return
    candidate, now = route.current, rooms.clock.perf()
    breaker = rooms.breakers.of(candidate)
    if failure not in COUNTED:
        breaker.succeeded()
        if failure == "429" and rest_s is not None and candidate.has_credentials:
            breaker.cool(now, rest_s)
        return
    was_open = breaker.state(now) == "open"
    breaker.failed(now)
    if not was_open and breaker.state(now) == "open":
        _log.warning("alias %s: %s is passed over for a while, it failed %d times", candidate.pattern, candidate.provider, breaker.failures)


def end_attempt(rooms: Rooms, passage: Passage) -> None:
    """The present attempt becomes a row of its own."""
    if passage.estimate is None and passage.unweighed_reason is None:
        passage.unweighed_reason = NOT_GENERATED
    now = rooms.clock.perf()
    close_attempt(passage, attempt_of(passage, attempt_id_of(passage, rooms.clock.now_ms()), now), now)


async def _go_to(rooms: Rooms, passage: Passage, candidate: Candidate, wait_s: float) -> None:
    """Waits as long as was asked; then the next attempt begins."""
    if wait_s > 0:
        await asyncio.sleep(wait_s)
    now = rooms.clock.perf()
    if len(passage.decision.attempts) > 1:
        rooms.breakers.of(candidate).trying(now)
    open_attempt(passage, candidate, now)
