"""The corridor: one function per room, in order, for every metered call. It must never know a provider, an endpoint or a vendor type."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from config.providers import Dialect
from proxy import throttle
from proxy.admit import admit
from proxy.afford import give_back, note_denied, telling
from proxy.answer import SUCCESS, answer_whole, leave_unanswered
from proxy.asgi import JSON_TYPE, ClientGone, send_error, send_whole
from proxy.bytestream import ByteStream, is_binary
from proxy.call import Outcome
from proxy.endpoints.base import Endpoint
from proxy.errors import FAULT, Ending, GrammageError, InternalError
from proxy.escalate.climb import send_checked
from proxy.foresee import foresee, is_asked
from proxy.forgo import forgo, has_new_answer
from proxy.log import under_way
from proxy.passage import CLIENT_CLOSED_REQUEST, Passage
from proxy.relay import EventStream, is_event_stream
from proxy.reusing import land
from proxy.rooms import Rooms
from proxy.send import send_on
from proxy.settle import record, weigh_in_shadow
from proxy.upstream.base import UpstreamReply

_log = logging.getLogger("grammage.pipeline")
_BROKEN = "the ending %s of call %s broke; the others go on"


async def carry(rooms: Rooms, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    """Carries one call of a metered endpoint from its first byte to its record."""
    passage: Passage | None = None
    try:
        passage = await admit(rooms, endpoint, scope, receive)  # 1 receive, 2 identify, 3 parse, 4 decide
        under_way.set((passage.call_id, None if passage.trace is None else passage.trace.trace_id))
        if is_asked(passage) and (foreseen := await foresee(rooms, passage)) is not None:
            passage.recorded = True  # a dry run is no call
            await send_whole(send, 200, [JSON_TYPE], foreseen)
            return
        if passage.holding is not None:
            send = telling(rooms, passage.holding, send)
        if passage.caller.limits is not None:
            send = await throttle.enter(rooms, passage, send)
        out = send if rooms.worth is None else await forgo(rooms, rooms.worth, passage, send)
        if out is not None:
            await _serve(rooms, passage, scope, receive, out)
    except GrammageError as error:
        await _refuse(passage, error, send, endpoint.dialect)
    except ClientGone:
        return
    except Exception:  # noqa: BLE001  # the edge: a fault of ours is one call's, and is said in the envelope
        _log.exception("call %s failed in the proxy", passage.call_id if passage else "not admitted")
        if passage is None or not passage.head_sent:
            await send_error(send, InternalError(FAULT), dialect=endpoint.dialect)
    finally:
        if passage is not None:
            await _end(rooms, passage)


async def _end(rooms: Rooms, passage: Passage) -> None:
    """What is left to do for every admitted call. A fault in one ending is logged, and the others are done all the same."""
    if not passage.recorded:
        _do(record, rooms, passage)
    if passage.lead is not None:
        _do(land, rooms, passage)
    if passage.turn is not None:
        _do(_end_turn, rooms, passage)
    if passage.holding is not None and passage.entry is None:
        _do(give_back, rooms, passage)
    if rooms.shadow_scales:
        _do(weigh_in_shadow, rooms, passage)
    if passage.upload is not None:
        _do(_close_upload, rooms, passage)
    if passage.ticket is not None:
        try:
            await throttle.settle(rooms, passage)
        except Exception:  # noqa: BLE001  # as in _do
            _log.exception(_BROKEN, "settle", passage.call_id)


def _do(ending: Callable[[Rooms, Passage], object], rooms: Rooms, passage: Passage) -> None:
    try:
        ending(rooms, passage)
    except Exception:  # noqa: BLE001  # the edge: the answer has left, and no ending may take another one with it
        _log.exception(_BROKEN, ending.__name__, passage.call_id)


def _end_turn(_rooms: Rooms, passage: Passage) -> None:
    if passage.turn is not None:
        passage.turn.end(answered=has_new_answer(passage.entry))


def _close_upload(_rooms: Rooms, passage: Passage) -> None:
    if passage.upload is not None:
        passage.upload.close()


async def _refuse(passage: Passage | None, error: GrammageError, send: Send, dialect: Dialect) -> None:
    """The call was refused before anything was sent: that is no call."""
    if passage is not None:
        passage.recorded = True
    await send_error(send, error, dialect=dialect)


async def _serve(rooms: Rooms, passage: Passage, scope: Scope, receive: Receive, send: Send) -> None:
    """Steps 5 to 9 of an admitted call."""
    got = await _fetch(rooms, passage, scope["query_string"], receive, send)  # 5 send
    if passage.head_sent and got.reply is not None and got.stream is not None:  # 6 to 9: meter, weigh, tag, record, whatever happened
        await got.stream.finish(got.reply)
    elif got.trouble is not None:
        await leave_unanswered(rooms, passage, got.trouble, send)
    elif got.reply is not None:
        await answer_whole(rooms, passage, got.reply, got.body, send)


@dataclass(slots=True)
class _Got:
    """What came of asking the provider. `trouble`: it broke, the client left, or the proxy itself is ending."""

    reply: UpstreamReply | None = None
    stream: EventStream | ByteStream | None = None
    body: bytes = b""
    trouble: GrammageError | asyncio.CancelledError | None = None


async def _fetch(rooms: Rooms, passage: Passage, query: bytes, receive: Receive, send: Send) -> _Got:
    """A whole answer, or a stream passed on up to its end; ended early when the client leaves."""
    got = _Got()
    upload = passage.upload
    watch = rooms.watch(receive, None if upload is None else upload.done)
    try:
        async with watch:
            ask = send_on if passage.decision.escalation is None else send_checked
            got.reply = await ask(rooms, passage, query)
            while (broken := await _take(rooms, passage, got, got.reply, send)) is not None:
                got.reply = await ask(rooms, passage, query, broken)
    except (GrammageError, asyncio.CancelledError) as error:
        if error is passage.denied:
            note_denied(rooms, passage)
            raise
        ending = isinstance(error, asyncio.CancelledError) and not watch.fired
        got.trouble = Ending("the proxy is shutting down; try again.") if ending else (upload and upload.trouble) or error
        _note(passage, got.trouble)
        if got.reply is not None:
            got.reply.close(broken=True)
    passage.received = passage.received or rooms.clock.perf()
    return got


async def _take(rooms: Rooms, passage: Passage, got: _Got, reply: UpstreamReply, send: Send) -> GrammageError | None:
    """Passes a stream on or reads a whole answer; why it could not be read, while nothing of it has left."""
    got.stream = None
    if reply.status in SUCCESS and is_event_stream(reply, passage.ask.endpoint):
        got.stream = EventStream(rooms, passage, send)
    elif reply.status in SUCCESS and is_binary(passage, reply):
        got.stream = ByteStream(rooms, passage, send)
    if got.stream is not None:
        await got.stream.relay(reply)
        return None
    try:
        got.body = await reply.read()
    except GrammageError as error:
        reply.close(broken=True)
        return error
    return None


def _note(passage: Passage, trouble: GrammageError | asyncio.CancelledError) -> None:
    """Status and outcome of a call that did not come to its end."""
    left = isinstance(trouble, asyncio.CancelledError)
    outcome: Outcome = "client_left" if left else "upstream_cut" if passage.streamed else "upstream_error"
    passage.outcome = "given_up" if isinstance(trouble, Ending) else outcome
    if left:
        passage.status = CLIENT_CLOSED_REQUEST if not passage.streamed else passage.status
    elif isinstance(trouble, GrammageError) and not passage.streamed:
        passage.status = trouble.status
