"""One streamed answer on its way to the client, event by event. It must never end cleanly a stream that the provider cut."""

import asyncio
import logging
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress

from starlette.types import Send

from estimators.estimate import Estimate
from proxy.endpoints.base import Endpoint
from proxy.endpoints.reading import no_event_text
from proxy.errors import GrammageError, UpstreamUnreachable
from proxy.headers import returned, value_of
from proxy.meter.foreign import FOREIGN_RELAYS, ForeignRelay
from proxy.meter.inflate import Inflater, inflater_for
from proxy.meter.sse import Relay
from proxy.meter.terminal import TerminalRelay
from proxy.passage import Passage
from proxy.respond import respond_head
from proxy.rooms import Rooms
from proxy.settle import (
    add_earlier,
    add_facts,
    meter_stream,
    note_object,
    of_call,
    prepared_for,
    record,
    take_reading,
    weigh,
    weighed_before,
)
from proxy.tag import figures_of
from proxy.tagged import first_headers, member_of, served_headers, weighed_headers
from proxy.upstream.base import Headers, UpstreamReply

_log = logging.getLogger("grammage.relay")
REST_S = 1.0
FIRST_BLOCKS = 4
"""Of what has passed of a stream that was cut: an id stands in its first event."""

EVENT_STREAM = b"text/event-stream"
AnyRelay = Relay | TerminalRelay | ForeignRelay


def is_event_stream(reply: UpstreamReply, endpoint: Endpoint) -> bool:
    """True when the reply's body comes in parts that are read as they pass: server-sent events, or whatever such an endpoint sends."""
    kind = value_of(reply.headers, b"content-type")
    return endpoint.streams or (kind is not None and kind.lower().startswith(EVENT_STREAM))


class EventStream:
    """Passes a stream on: the head with a forecast, events as they come, the end once the call is recorded."""

    __slots__ = ("_chunks", "_passage", "_relay", "_rooms", "_send")

    def __init__(self, rooms: Rooms, passage: Passage, send: Send) -> None:
        self._rooms = rooms
        self._passage = passage
        self._send = send
        self._relay: AnyRelay | None = None
        self._chunks: AsyncIterator[bytes] | None = None

    async def relay(self, reply: UpstreamReply) -> None:
        """Head, then events until the end mark or the end of the body. Raises what the upstream door raises."""
        passage, rooms, send = self._passage, self._rooms, self._send
        passage.streamed = True
        relay = self._relay = relay_of(passage)
        headers = await self._head(reply)
        await respond_head(send, reply.status, headers)
        passage.head_sent = True
        chunks = self._chunks = _plain(reply)
        async for chunk in chunks:
            if passage.first_byte is None:
                passage.first_byte = rooms.clock.perf()
            out = relay.feed(chunk)
            if out:
                await send({"type": "http.response.body", "body": out, "more_body": True})
            if relay.finished:
                break
        passage.received = rooms.clock.perf()
        if not relay.finished and (out := relay.end()):
            await send({"type": "http.response.body", "body": out, "more_body": True})
        passage.stream_complete = True

    async def finish(self, reply: UpstreamReply) -> None:
        """Meters, weighs and records; then lets the end of the stream go, or aborts if the provider cut it."""
        passage, rooms, relay = self._passage, self._rooms, self._relay
        if relay is None:
            return
        member = await self._weighed(relay)
        durable = record(rooms, passage)
        if durable is not None:
            await durable
        if not passage.stream_complete:
            return
        await self._send({"type": "http.response.body", "body": relay.terminal(member), "more_body": not reply.ended})
        if not reply.ended and self._chunks is not None:
            await self._rest(self._chunks)
        reply.close()

    async def _rest(self, chunks: AsyncIterator[bytes]) -> None:
        """What a provider sends after the end mark, if it comes soon; the answer is whole without it."""
        with suppress(TimeoutError, GrammageError):
            async with asyncio.timeout(REST_S):
                async for chunk in chunks:
                    await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def _weighed(self, relay: AnyRelay) -> bytes | None:
        """The footprint as a member of the usage object, None when there is none to write."""
        passage, rooms = self._passage, self._rooms
        estimate = figures = None
        if passage.instead is None:
            try:
                if (own := await weigh_relayed(rooms, passage, relay)) is not None:
                    estimate = of_call(passage, own)
                    figures = figures_of(estimate)
            except Exception:  # noqa: BLE001  # the edge: what we add may fail, the client's answer may not
                _log.exception("call %s goes out unweighed", passage.call_id)
                passage.unweighed_reason = "internal_error"
                estimate = None
        tagging = rooms.settings.tagging
        return member_of(passage, estimate, figures, tuple(tagging.compat)) if tagging.body else None

    async def _head(self, reply: UpstreamReply) -> Headers:
        passage, rooms = self._passage, self._rooms
        headers = returned(reply.headers)
        if inflater_for(value_of(reply.headers, b"content-encoding")) is not None:
            headers = [pair for pair in headers if pair[0] != b"content-encoding"]
        if not rooms.settings.tagging.headers:
            return headers
        headers += first_headers(passage)
        if passage.instead is not None:
            return headers
        prepared = await prepared_for(rooms, passage)
        if prepared is None:
            return [*headers, *served_headers(passage)]
        forecast = of_call(passage, rooms.scales.forecast(prepared, passage.ask))
        return headers + weighed_headers(passage, forecast, figures_of(forecast), b"forecast")


async def weigh_relayed(rooms: Rooms, passage: Passage, relay: AnyRelay) -> Estimate | None:
    """Meters and weighs a stream that has passed `relay`."""
    passage.served_model, passage.response_bytes = relay.served_model, relay.seen_bytes
    if passage.instead is not None:
        return None  # its usage was counted when it was made
    await meter_stream(passage, relay.usage_raw, relay.kept, relay.seen_bytes)
    if isinstance(relay, TerminalRelay):
        add_earlier(passage, relay.earlier)
    add_facts(passage, relay.answer)
    note_object(passage, relay.answer or b"".join(relay.kept[:FIRST_BLOCKS]))
    take_reading(passage, relay.reading)
    return weighed_before(passage) or await weigh(rooms, passage)


def relay_of(passage: Passage) -> AnyRelay:
    """What reads the stream: chat streams end by a mark, others by an event with the usage; other dialects in their own ways."""
    endpoint = passage.ask.endpoint
    if endpoint.dialect != "openai":
        return FOREIGN_RELAYS[endpoint.dialect]()
    if not endpoint.terminal_events:
        return Relay(forced=passage.forced_usage)
    keeps = endpoint.event_text is not no_event_text
    return TerminalRelay(endpoint.terminal_events, expected=1 if endpoint.writes else passage.ask.whole("n") or 1, keeps=keeps)


async def _plain(reply: UpstreamReply) -> AsyncIterator[bytes]:
    """The body's chunks, without a content encoding."""
    inflater = inflater_for(value_of(reply.headers, b"content-encoding"))
    async for chunk in reply.chunks():
        if inflater is None:
            yield chunk
        elif plain := _inflated(inflater, chunk):
            yield plain


def _inflated(inflater: Inflater, chunk: bytes) -> bytes:
    try:
        return inflater.decompress(chunk)
    except zlib.error as error:
        raise UpstreamUnreachable(
            "the provider's compressed stream is broken; the call can be tried again.", code="upstream_broke"
        ) from error
