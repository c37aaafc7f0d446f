"""The receiver of spans: who may send, what is read, what is answered (OTLP over HTTP). It must never unpack more than its limit."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from starlette.types import Receive, Scope, Send

from config.observe import Otlp
from config.settings import Settings
from proxy.admit import KIB, MIB
from proxy.asgi import ClientGone, read_body, refuse_large_headers, send_whole
from proxy.auth import refuse_page
from proxy.call import Caller
from proxy.errors import FAULT, BadRequest, Forbidden, GrammageError, InternalError, LedgerDown, MethodNotAllowed, RateLimited, TooLarge
from proxy.errors import UnsupportedMediaType as Unsupported
from proxy.ledger.crossing_store import CrossingStore
from proxy.observe import otlp_json, otlp_protobuf
from proxy.observe.addresses import Address, address
from proxy.observe.answer import JSON, PROTOBUF, accepted, failed
from proxy.observe.book import RESULTS, Batch, Book
from proxy.observe.span import BadTelemetry, NoProtobuf, Span, Wanted
from proxy.observe.unpack import too_large, unpacked
from proxy.rooms import Rooms
from proxy.web.access import figures_are_open

_log = logging.getLogger("grammage.observe")
MOST_AT_ONCE: Final = 8
"""Requests that are held at a time; more are asked to come again."""

RETRY: Final = ((b"retry-after", b"5"),)
SENDERS: Final = frozenset({"observer", "admin"})
READERS: Final = {JSON: otlp_json.spans, PROTOBUF: otlp_protobuf.spans}


class Receiver:
    """One path. keys_are_issued: whether any key was issued, so that not anybody may send."""

    def __init__(
        self, rooms: Rooms, otlp: Otlp, ledger: CrossingStore, *, keys_are_issued: Callable[[], bool], count: Callable[[str, int], None]
    ) -> None:
        self.path = otlp.path
        self._rooms = rooms
        self._most_bytes = int(otlp.body_mb * MIB)
        self._most_spans = otlp.spans
        self._wanted = Wanted(otlp.tags)
        self._ours = _addresses(rooms.settings, otlp)
        self._free = figures_are_open(rooms.settings)
        self._keys_are_issued = keys_are_issued
        self._book = Book(rooms, ledger, count)
        self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request: an export of spans."""
        known: dict[bytes, bytes] = dict(scope["headers"])
        content_type = known.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type not in READERS:
            content_type = JSON
        try:
            headers, body = await self._answer(scope, receive, known)
            status = 200
        except ClientGone:
            return
        except GrammageError as error:
            status, (headers, body) = error.status, failed(content_type, error)
        except Exception:  # noqa: BLE001  # the edge: a fault of ours is one request's, and the sender is told
            _log.exception("spans could not be taken in")
            status, (headers, body) = InternalError.status, failed(content_type, InternalError(FAULT))
        await send_whole(send, status, headers, body)

    async def _answer(self, scope: Scope, receive: Receive, known: dict[bytes, bytes]) -> tuple[list[tuple[bytes, bytes]], bytes]:
        if scope["method"] != "POST":
            raise MethodNotAllowed(f"{self.path} takes POST alone: spans in OTLP.")
        refuse_large_headers(scope, int(self._rooms.settings.server.limits.header_kb * KIB))
        caller = await self._sender(known)
        content_type = known.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if content_type not in READERS:
            raise Unsupported(
                "send spans as application/x-protobuf or application/json, with that content-type.", code="unsupported_content_type"
            )
        if self._rooms.recorder.is_denying():
            raise _again(LedgerDown("the ledger takes no calls now; send these spans again."))
        if self._held >= MOST_AT_ONCE:
            raise RateLimited(f"{self._held} exports are being read already; send these spans again.", headers=RETRY)
        self._held += 1
        try:
            raw = await self._body(receive, scope)
            batch = await asyncio.to_thread(self._read, raw, known, content_type)
            refused = await self._book.take(batch, caller)
        finally:
            self._held -= 1
        headers, body = accepted(content_type, refused)
        return list(headers), body

    async def _sender(self, known: dict[bytes, bytes]) -> Caller:
        """Who sends. Raises Unauthorized, Forbidden, RateLimited."""
        refuse_page(known, self._rooms.settings.server.cors.origins)
        caller = self._rooms.doorkeeper.identify_known(known)
        if caller.role not in SENDERS and not (self._free and not self._keys_are_issued()):
            raise Forbidden(
                f"{self.path} needs a key with role observer or admin; `grammage keys create NAME --role observer` makes one.",
                code="observer_only",
            )
        await self._rooms.limiter.enter(caller, 0)
        return caller

    async def _body(self, receive: Receive, scope: Scope) -> bytes:
        try:
            return await read_body(receive, scope["headers"], self._most_bytes)
        except TooLarge as error:
            raise too_large(self._most_bytes) from error

    def _read(self, raw: bytes, known: dict[bytes, bytes], content_type: bytes) -> Batch:
        """The spans, in a thread. Raises BadRequest, TooLarge, UnsupportedMediaType."""
        plain = unpacked(known.get(b"content-encoding", b""), raw, self._most_bytes)
        try:
            found, left_out = _bounded(READERS[content_type](plain, self._wanted), self._most_spans)
        except NoProtobuf as error:
            raise Unsupported(f"{error}.", code="unsupported_content_type") from error
        except BadTelemetry as error:
            raise BadRequest(f"{error}.", code="malformed_otlp") from error
        here = address(known.get(b"host", b"").decode("latin-1"))
        return Batch(spans=found, left_out=left_out, ours=(*self._ours, here) if here is not None else self._ours)


def receiver_from(
    rooms: Rooms, ledger: CrossingStore, keys_are_issued: Callable[[], bool], count: Callable[[str, int], None]
) -> Receiver | None:
    """The receiver that the configuration asks for, None: none."""
    otlp = rooms.settings.observe.otlp
    if otlp is None:
        return None
    if not otlp_protobuf.is_installed():
        _log.warning("spans are taken as JSON alone: %s", otlp_protobuf.MISSING)
    for result in RESULTS:
        count(result, 0)
    return Receiver(rooms, otlp, ledger, keys_are_issued=keys_are_issued, count=count)


def _bounded(spans: Iterator[Span | None], most: int) -> tuple[list[Span | None], int]:
    """The first spans, and how many are left out."""
    found: list[Span | None] = []
    left_out = 0
    for span in spans:
        if len(found) < most:
            found.append(span)
        else:
            left_out += 1
    return found, left_out


def _addresses(settings: Settings, otlp: Otlp) -> tuple[Address, ...]:
    told = (settings.server.listen, *otlp.own_addresses)
    return tuple(each for text in told if (each := address(text)) is not None)


def _again(error: GrammageError) -> GrammageError:
    error.headers = RETRY
    return error
