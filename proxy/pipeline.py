"""The corridor: one function per room, in order, for every metered call. It must never know a provider, an endpoint or a vendor type."""

import asyncio
import logging
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from proxy.admit import admit
from proxy.answer import SUCCESS, answer_whole, leave_unanswered
from proxy.asgi import JSON_TYPE, ClientGone, send_error, send_whole
from proxy.bytestream import ByteStream, is_binary
from proxy.call import Outcome
from proxy.endpoints.base import Endpoint
from proxy.errors import Ending, GrammageError, InternalError
from proxy.foresee import foresee, is_asked
from proxy.headers import value_of
from proxy.outgoing import forces_usage, request_for
from proxy.passage import CLIENT_CLOSED_REQUEST, Passage
from proxy.policy.served_place import placed, telling_header
from proxy.relay import EventStream, is_event_stream
from proxy.rooms import Rooms
from proxy.settle import record, weigh_in_shadow
from proxy.upstream.base import UpstreamReply, WholeReply

_log = logging.getLogger("grammage.pipeline")

REFUSED = 400
MOST_REFUSALS = 4096


async def carry(rooms: Rooms, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    """Carries one call of a metered endpoint from its first byte to its record."""
    passage: Passage | None = None
    try:
        passage = await admit(rooms, endpoint, scope, receive)  # 1 receive, 2 identify, 3 parse, 4 decide
        if is_asked(passage) and (foreseen := await foresee(rooms, passage)) is not None:
            passage.recorded = True  # a dry run is no call
            await send_whole(send, 200, [JSON_TYPE], foreseen)
            return
        await _serve(rooms, passage, scope, receive, send)
    except GrammageError as error:
        await _refuse(passage, error, send)
    except ClientGone:
        return
    except Exception:  # noqa: BLE001  # the edge: a fault of ours is one call's, and is said in the envelope
        _log.exception("call %s failed in the proxy", passage.call_id if passage else "not admitted")
        if passage is None or not passage.head_sent:
            await send_error(send, InternalError("the proxy failed on this call; its log holds the reason."))
    finally:
        if passage is not None:
            if not passage.recorded:
                record(rooms, passage)
            weigh_in_shadow(rooms, passage)


async def _refuse(passage: Passage | None, error: GrammageError, send: Send) -> None:
    """The call was refused before anything was sent: that is no call."""
    if passage is not None:
        passage.recorded = True
    await send_error(send, error)


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
    watch = rooms.watch(receive)
    try:
        async with watch:
            reply = got.reply = await _send(rooms, passage, query)
            if reply.status in SUCCESS and is_event_stream(reply):
                got.stream = EventStream(rooms, passage, send)
            elif reply.status in SUCCESS and is_binary(passage, reply):
                got.stream = ByteStream(rooms, passage, send)
            if got.stream is not None:
                await got.stream.relay(reply)
            else:
                got.body = await reply.read()
    except (GrammageError, asyncio.CancelledError) as error:
        ending = isinstance(error, asyncio.CancelledError) and not watch.fired
        got.trouble = Ending("the proxy is shutting down; try again.") if ending else error
        _note(passage, got.trouble)
        if got.reply is not None:
            got.reply.close(broken=True)
    passage.received = passage.received or rooms.clock.perf()
    return got


async def _send(rooms: Rooms, passage: Passage, query: bytes) -> UpstreamReply:
    """The reply's head; a provider that refuses the usage we force is asked again without it."""
    door = rooms.door_of(passage.candidate)
    asked_of = (passage.candidate, passage.ask.alias)
    passage.forced_usage = forces_usage(passage) and asked_of not in rooms.refuse_forced_usage
    passage.sent = rooms.clock.perf()
    reply = await door.send(request_for(rooms, passage, query=query))
    if passage.forced_usage and reply.status == REFUSED:
        whole = WholeReply(reply.status, reply.headers, await reply.read())
        reply.close()
        reply = whole
        if not bytes(passage.ask.head.stream_options) and (b"stream_options" in whole.body or b"include_usage" in whole.body):
            passage.forced_usage = False
            reply = await door.send(request_for(rooms, passage, query=query))
            if reply.status != REFUSED and len(rooms.refuse_forced_usage) < MOST_REFUSALS:
                rooms.refuse_forced_usage.add(asked_of)
    passage.status = reply.status
    telling = telling_header(passage.candidate)
    told = value_of(reply.headers, telling) if telling else None
    if told:
        passage.candidate = placed(passage.candidate, told, rooms.tables.places)
    request_id = value_of(reply.headers, b"x-request-id")
    passage.upstream_request_id = request_id[:128].decode("latin-1") if request_id else None
    return reply


def _note(passage: Passage, trouble: GrammageError | asyncio.CancelledError) -> None:
    """Status and outcome of a call that did not come to its end."""
    left = isinstance(trouble, asyncio.CancelledError)
    outcome: Outcome = "client_left" if left else "upstream_cut" if passage.streamed else "upstream_error"
    passage.outcome = "given_up" if isinstance(trouble, Ending) else outcome
    if left:
        passage.status = CLIENT_CLOSED_REQUEST if not passage.streamed else passage.status
    elif isinstance(trouble, GrammageError) and not passage.streamed:
        passage.status = trouble.status
