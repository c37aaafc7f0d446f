"""A whole answer on its way out: weighed before its head leaves, held until recorded. It must never change a provider's figure."""

import asyncio
import logging

from starlette.types import Send

from estimators.estimate import Estimate
from proxy.asgi import send_error
from proxy.errors import GrammageError
from proxy.headers import returned, value_of
from proxy.meter.inflate import inflate_whole
from proxy.meter.reply import UNREADABLE, ReplyHead, read_reply
from proxy.meter.usage import read_usage
from proxy.passage import Passage
from proxy.respond import respond_whole
from proxy.rooms import Rooms
from proxy.settle import (
    add_facts,
    meter_nothing_seen,
    meter_whole,
    note_object,
    of_call,
    record,
    take_reading,
    weigh,
    weighed_before,
)
from proxy.splice import append_member, replace_exact, without_payloads
from proxy.tag import call_header, figures_of
from proxy.tagged import first_headers, member_of, weighed_headers
from proxy.upstream.base import Headers, UpstreamReply

_log = logging.getLogger("grammage.answer")
SUCCESS = range(200, 300)
LONGEST_READ_BYTES = 64 * 1024
"""A longer answer is read without the pictures in it."""

MAY_HAVE_GENERATED = ("upstream_broke", "upstream_timeout", "ending")


async def answer_whole(rooms: Rooms, passage: Passage, reply: UpstreamReply, body: bytes, send: Send) -> None:
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
    body = body if plain is None else plain
    text = without_payloads(body) if len(body) > LONGEST_READ_BYTES else body
    head = UNREADABLE if plain is None else read_reply(text, passage.ask.endpoint.dialect)
    tags, estimate, figures = first_headers(passage), None, None
    if passage.instead is None:
        estimate = await weigh_answer(rooms, passage, text, head)
        if estimate is None:
            return headers, tags, body
        estimate = of_call(passage, estimate)
        figures = figures_of(estimate)
        tags += weighed_headers(passage, estimate, figures, b"final")
    tagging = rooms.settings.tagging
    if tagging.body and head.usage_raw is not None:
        member = member_of(passage, estimate, figures, tuple(tagging.compat))
        new = append_member(head.usage_raw, member) if member else head.usage_raw
        body = replace_exact(body, passage.ask.endpoint.usage_key, head.usage_raw, new, text=text if text is not body else b"")
    return headers, tags, body


async def weigh_answer(rooms: Rooms, passage: Passage, text: bytes, head: ReplyHead) -> Estimate | None:
    """Meters and weighs a whole answer. text: its body, long payloads left out; head: what it says of itself."""
    passage.served_model = head.served_model
    if passage.instead is not None:
        return None  # its usage was counted when it was made
    passage.usage = (passage.ask.endpoint.usage_reader or read_usage)(head.usage_raw) if head.usage_raw is not None else None
    if passage.usage is None:
        await meter_whole(rooms, passage, text, head)
    add_facts(passage, text)
    note_object(passage, text)
    if head.reading is not None:
        take_reading(passage, head.reading)
    return weighed_before(passage) or await weigh(rooms, passage)


async def leave_unanswered(rooms: Rooms, passage: Passage, trouble: GrammageError | asyncio.CancelledError, send: Send) -> None:
    """No answer reached the client: it left, or the provider broke. Tokens may have been spent all the same."""
    if not passage.idle and (isinstance(trouble, asyncio.CancelledError) or trouble.code in MAY_HAVE_GENERATED):
        await meter_nothing_seen(passage)
        await weigh(rooms, passage)
    durable = record(rooms, passage)
    if isinstance(trouble, GrammageError):
        if durable is not None:
            await durable
        await send_error(send, trouble, [call_header(passage.call_id)], passage.ask.endpoint.dialect)
