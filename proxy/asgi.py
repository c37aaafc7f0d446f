"""Small words of ASGI: reading a bounded body, sending a whole answer. It must never know what a body means."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.types import Receive, Scope, Send

from config.providers import Dialect
from proxy.errors import GrammageError, HeadersTooLarge, TooLarge
from proxy.upstream.base import Headers

NO_BODY = (204, 304)
"""Statuses whose answers have no body, and so no length to declare."""

JSON_TYPE = (b"content-type", b"application/json")
CALL_ID = b"x-grammage-call-id"


class ClientGone(Exception):
    """The client left before its request was whole."""


async def read_body(receive: Receive, headers: Headers, limit_bytes: int) -> bytes:
    """The whole request body. Raises TooLarge beyond `limit_bytes`, ClientGone when it is cut."""
    refuse_large(headers, limit_bytes)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(first) > limit_bytes:
            raise _too_large(len(first), limit_bytes)
        return first
    parts, size = [first], len(first)
    async for part in _rest(receive):
        size += len(part)
        if size > limit_bytes:
            raise _too_large(size, limit_bytes)
        parts.append(part)
    return b"".join(parts)


class Upload:
    """A request body on its way through. `done` is set at its end; `trouble` says why it did not get there."""

    def __init__(self, receive: Receive, limit_bytes: int) -> None:
        self._receive = receive
        self._limit_bytes = limit_bytes
        self.done = asyncio.Event()
        self.size = 0
        self.trouble: TooLarge | ClientGone | None = None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises TooLarge beyond the limit, ClientGone when it is cut; both are kept as `trouble`."""
        try:
            async for part in _rest(self._receive):
                self.size += len(part)
                if self.size > self._limit_bytes:
                    raise _too_large(self.size, self._limit_bytes)
                if part:
                    yield part
        except (TooLarge, ClientGone) as trouble:
            self.trouble = trouble
            raise
        finally:
            self.done.set()


async def _rest(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        yield message.get("body", b"")
        if not message.get("more_body", False):
            return


def refuse_large(headers: Headers, limit_bytes: int) -> None:
    """Raises TooLarge when content-length already says so."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit_bytes:
            raise _too_large(int(value), limit_bytes)


def refuse_large_headers(scope: Scope, limit_bytes: int) -> None:
    """Raises HeadersTooLarge when the request's headers are longer than `limit_bytes` altogether."""
    size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    for name, value in scope["headers"]:
        size += len(name) + len(value)
    if size > limit_bytes:
        raise HeadersTooLarge(f"the request headers have {size} bytes, the limit is {limit_bytes}; send fewer or raise limits.header_kb.")


async def send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A whole answer with its length."""
    length = [] if status in NO_BODY else [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers + length})
    await send({"type": "http.response.body", "body": body})


async def send_error(send: Send, error: GrammageError, extra: Headers | None = None, dialect: Dialect = "openai") -> None:
    """An error of ours in the envelope of the caller's dialect; `extra` headers may hold the call's id."""
    call_id = next((value.decode() for name, value in extra or () if name == CALL_ID), None)
    await send_whole(send, error.status, [JSON_TYPE, *error.headers, *(extra or [])], error.envelope(dialect, call_id))


def _too_large(size: int, limit: int) -> TooLarge:
    return TooLarge(f"the request body has {size} bytes or more, the limit is {limit}; send less or raise server.limits.")
