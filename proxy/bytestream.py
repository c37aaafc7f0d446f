"""One binary answer on its way to the client, chunk by chunk: what it weighs is known before it comes. It must never gather a body."""

import logging

from starlette.types import Send

from estimators.usage import Usage
from proxy.headers import returned, value_of
from proxy.passage import Passage
from proxy.respond import respond_head
from proxy.rooms import Rooms
from proxy.settle import add_facts, of_call, prepared_for, record, weigh
from proxy.tag import call_header, deployment_headers, figures_of, footprint_headers
from proxy.upstream.base import Headers, UpstreamReply
from proxy.weigh import WEIGHING_TROUBLE

_log = logging.getLogger("grammage.bytestream")


def is_binary(passage: Passage, reply: UpstreamReply) -> bool:
    """True when the reply is bytes to be passed on unread: the endpoint gives such, and this is no JSON."""
    kind = value_of(reply.headers, b"content-type") or b""
    return passage.ask.endpoint.binary and not kind.lower().startswith(b"application/json")


class ByteStream:
    """Passes a binary answer on: the head with its figures, the bytes as they come, the end once the call is recorded."""

    __slots__ = ("_passage", "_rooms", "_send")

    def __init__(self, rooms: Rooms, passage: Passage, send: Send) -> None:
        self._rooms = rooms
        self._passage = passage
        self._send = send

    async def relay(self, reply: UpstreamReply) -> None:
        """Head, then chunks until the end of the body. Raises what the upstream door raises."""
        passage, rooms, send = self._passage, self._rooms, self._send
        passage.streamed = True
        passage.usage = Usage(source="counted")
        add_facts(passage, b"")
        headers = returned(reply.headers)
        if rooms.settings.tagging.headers:
            headers += await self._tags()
        await respond_head(send, reply.status, headers)
        passage.head_sent = True
        async for chunk in reply.chunks():
            if passage.first_byte is None:
                passage.first_byte = rooms.clock.perf()
            passage.response_bytes += len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        passage.received = rooms.clock.perf()
        passage.stream_complete = True

    async def finish(self, reply: UpstreamReply) -> None:
        """Weighs and records; then lets the body end, or aborts if the provider cut it."""
        passage, rooms = self._passage, self._rooms
        if not passage.stream_complete:
            passage.usage = Usage(source="counted", partial=True)
            add_facts(passage, b"")
        try:
            await weigh(rooms, passage)
        except Exception:  # noqa: BLE001  # the edge: what we add may fail, the client's answer may not
            _log.exception("call %s goes out unweighed", passage.call_id)
            passage.unweighed_reason = "internal_error"
        durable = record(rooms, passage)
        if durable is not None:
            await durable
        if passage.stream_complete:
            await self._send({"type": "http.response.body", "body": b""})
            reply.close()

    async def _tags(self) -> Headers:
        """Our headers: final where nothing that is yet to come counts, else a forecast."""
        passage, rooms = self._passage, self._rooms
        tags = [call_header(passage.call_id)]
        prepared = await prepared_for(rooms, passage)
        if prepared is not None and passage.usage is not None:
            metered = rooms.meters is not None and rooms.meters.of(passage.candidate) is not None
            basis = b"forecast" if metered or prepared.adds_network else b"final"
            try:
                estimate = of_call(passage, prepared.estimate(passage.usage))
                tags += footprint_headers(estimate, figures_of(estimate), basis)
            except WEIGHING_TROUBLE as error:
                _log.warning("call %s has no figures before its end: %s", passage.call_id, type(error).__name__)
        tags += deployment_headers(passage.candidate, passage.model, True, passage.decision.policy, passage.decision.altered)
        return tags
