"""The corridor: one function per room, in order, for every metered call. It must never know a provider, an endpoint or a vendor type."""

import asyncio
import logging
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from proxy.admit import admit
from proxy.asgi import JSON_TYPE, ClientGone, send_error, send_whole
from proxy.call import Outcome
from proxy.endpoints.base import Endpoint
from proxy.errors import Ending, GrammageError, InternalError
from proxy.foresee import foresee, is_asked
from proxy.headers import returned, value_of
from proxy.meter.inflate import inflate_whole
from proxy.meter.reply import UNREADABLE, read_reply
from proxy.meter.usage import read_usage
from proxy.outgoing import forces_usage, request_for
from proxy.passage import CLIENT_CLOSED_REQUEST, Passage
from proxy.relay import EventStream, is_event_stream
from proxy.respond import respond_whole
from proxy.rooms import Rooms
from proxy.settle import meter_nothing_seen, meter_whole, record, weigh
from proxy.splice import append_member, replace_exact
from proxy.tag import call_header, deployment_headers, figures_of, footprint_headers, footprint_member
from proxy.upstream.base import Headers, UpstreamReply, WholeReply

_log = logging.getLogger("grammage.pipeline")

SUCCESS = range(200, 300)
REFUSED = 400
MAY_HAVE_GENERATED = ("upstream_broke", "upstream_timeout", "ending")


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
        if passage is not None and not passage.recorded:
            record(rooms, passage)


async def _refuse(passage: Passage | None, error: GrammageError, send: Send) -> None:
    """The call was refused before anything was sent: that is no call."""
    if passage is not None:
        passage.recorded = True
    await send_error(send, error)


async def _serve(rooms: Rooms, passage: Passage, scope: Scope, receive: Receive, send: Send) -> None:
    """Steps 5 to 9 of an admitted call."""
    stream = EventStream(rooms, passage, send)
    got = await _fetch(rooms, passage, stream, scope["query_string"], receive)  # 5 send
    if passage.head_sent and got.reply is not None:  # 6 meter, 7 weigh, 8 tag, 9 record: whatever happened
        await stream.finish(got.reply)
    elif got.trouble is not None:
        await _unanswered(rooms, passage, got.trouble, send)
    elif got.reply is not None:
        await _answer(rooms, passage, got.reply, got.body, send)


@dataclass(slots=True)
class _Got:
    """What came of asking the provider. `trouble`: it broke, the client left, or the proxy itself is ending."""

    reply: UpstreamReply | None = None
    body: bytes = b""
    trouble: GrammageError | asyncio.CancelledError | None = None


async def _fetch(rooms: Rooms, passage: Passage, stream: EventStream, query: bytes, receive: Receive) -> _Got:
    """A whole answer, or the events of a stream passed on up to its end; ended early when the client leaves."""
    got = _Got()
    watch = rooms.watch(receive)
    try:
        async with watch:
            reply = got.reply = await _send(rooms, passage, query)
            if reply.status in SUCCESS and is_event_stream(reply):
                await stream.relay(reply)
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
    passage.forced_usage = forces_usage(passage) and passage.candidate not in rooms.refuse_forced_usage
    passage.sent = rooms.clock.perf()
    reply = await door.send(request_for(rooms, passage, query=query))
    if passage.forced_usage and reply.status == REFUSED:
        whole = WholeReply(reply.status, reply.headers, await reply.read())
        reply.close()
        reply = whole
        if not bytes(passage.ask.head.stream_options) and (b"stream_options" in whole.body or b"include_usage" in whole.body):
            passage.forced_usage = False
            reply = await door.send(request_for(rooms, passage, query=query))
            if reply.status != REFUSED:
                rooms.refuse_forced_usage.add(passage.candidate)
    passage.status = reply.status
    request_id = value_of(reply.headers, b"x-request-id")
    passage.upstream_request_id = request_id[:128].decode("latin-1") if request_id else None
    return reply


async def _answer(rooms: Rooms, passage: Passage, reply: UpstreamReply, body: bytes, send: Send) -> None:
    """A whole answer: weighed before its head leaves, held until it is recorded."""
    passage.response_bytes = len(body)
    headers, tags = returned(reply.headers), [call_header(passage.call_id)]
    if reply.status in SUCCESS:
        try:
            headers, tags, body = await _weighed(rooms, passage, headers, body)
        except Exception:  # noqa: BLE001  # the edge: what we add may fail, the client's answer may not
            _log.exception("call %s goes out unweighed", passage.call_id)
            passage.unweighed_reason = "internal_error"
    else:
        passage.outcome = "client_error" if reply.status < 500 else "upstream_error"
    reply.close()
    durable = record(rooms, passage)
    if durable is not None:
        await durable
    passage.head_sent = True
    await respond_whole(send, reply.status, headers + tags if rooms.settings.tagging.headers else headers, body)


async def _weighed(rooms: Rooms, passage: Passage, headers: Headers, body: bytes) -> tuple[Headers, Headers, bytes]:
    """The answer's headers, those that we add, and its body with the footprint in it."""
    encoding = value_of(headers, b"content-encoding")
    plain = inflate_whole(encoding, body) if encoding else body
    if plain is not None and encoding:
        headers = [pair for pair in headers if pair[0] != b"content-encoding"]
    head, body = (UNREADABLE, body) if plain is None else (read_reply(plain), plain)
    passage.served_model = head.served_model
    passage.usage = read_usage(head.usage_raw) if head.usage_raw is not None else None
    if passage.usage is None:
        await meter_whole(rooms, passage, body, head)
    tags = [call_header(passage.call_id)]
    estimate = await weigh(rooms, passage)
    if estimate is None:
        return headers, tags, body
    decision, tagging = passage.decision, rooms.settings.tagging
    figures = figures_of(estimate)
    tags += footprint_headers(estimate, figures, b"final")
    tags += deployment_headers(passage.candidate, passage.weighed_model, head.served_model is None, decision.policy, decision.altered)
    if tagging.body and head.usage_raw is not None:
        member = footprint_member(estimate, figures, passage.call_id, tuple(tagging.compat))
        body = replace_exact(body, "usage", head.usage_raw, append_member(head.usage_raw, member))
    return headers, tags, body


async def _unanswered(rooms: Rooms, passage: Passage, trouble: GrammageError | asyncio.CancelledError, send: Send) -> None:
    """No answer reached the client: it left, or the provider broke. Tokens may have been spent all the same."""
    if isinstance(trouble, asyncio.CancelledError) or trouble.code in MAY_HAVE_GENERATED:
        await meter_nothing_seen(passage)
        await weigh(rooms, passage)
    durable = record(rooms, passage)
    if isinstance(trouble, GrammageError):
        if durable is not None:
            await durable
        await send_error(send, trouble, [call_header(passage.call_id)])


def _note(passage: Passage, trouble: GrammageError | asyncio.CancelledError) -> None:
    """Status and outcome of a call that did not come to its end."""
    left = isinstance(trouble, asyncio.CancelledError)
    outcome: Outcome = "client_left" if left else "upstream_cut" if passage.streamed else "upstream_error"
    passage.outcome = "given_up" if isinstance(trouble, Ending) else outcome
    if left:
        passage.status = CLIENT_CLOSED_REQUEST if not passage.streamed else passage.status
    elif isinstance(trouble, GrammageError) and not passage.streamed:
        passage.status = trouble.status
