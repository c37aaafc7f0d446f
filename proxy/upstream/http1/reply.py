"""One reply as it comes: its head, then parts of its body, held until they are taken. It must never lose what came before a break."""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from proxy.upstream.base import Headers
from proxy.upstream.silence import Silence, broke, too_slow

READ_BUFFER_BYTES = 256 * 1024
"""Held of a body whose reader is slow; then the provider has to wait."""


class Carrier(Protocol):
    """The connection that a reply comes by."""

    def resume(self) -> None:
        """What was held has been taken."""

    def drop(self) -> None:
        """The rest of the reply is not wanted."""


class Trouble(Exception):
    """Why a reply did not come to its end; the text is for messages."""


class Http1Reply:
    """A reply behind the `UpstreamReply` shape. status: 0 while the head has not come. unheard: not one byte of it came."""

    __slots__ = (
        "_carrier",
        "_origin",
        "_silence",
        "_waiter",
        "headers",
        "held_bytes",
        "is_whole",
        "method",
        "parts",
        "status",
        "trouble",
        "unheard",
    )

    def __init__(self, method: str, origin: str, silence: Silence) -> None:
        self.method = method
        self._origin = origin
        self._silence = silence
        self._carrier: Carrier | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.status = 0
        self.headers: Headers = []
        self.parts: list[bytes] = []
        self.held_bytes = 0
        self.is_whole = False
        self.trouble: Trouble | None = None
        self.unheard = False

    # What the connection says.

    def comes_by(self, carrier: Carrier) -> None:
        """The request leaves by `carrier`."""
        self._carrier = carrier

    def complete(self) -> None:
        """All of it has come; the connection is nothing to it any more."""
        self.is_whole = True
        self._carrier = None

    def fail(self, trouble: Trouble, *, unheard: bool) -> None:
        """Nothing more will come."""
        self.trouble, self.unheard = trouble, unheard
        self._carrier = None
        self.wake()

    def wake(self) -> None:
        """There is news for who waits."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # What the caller does.

    def news(self) -> asyncio.Future[None]:
        """Done when something has come."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        return waiter

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        silence = self._silence
        try:
            while True:
                if self.parts:
                    silence.heard()
                    yield self._taken()
                elif self.is_whole:
                    break
                elif self.trouble is not None:
                    silence.over()
                    raise broke(self._origin, str(self.trouble)) from self.trouble
                else:
                    await self.news()
            silence.over()
        except asyncio.CancelledError:
            if silence.absorb():
                raise too_slow(self._origin) from None
            raise

    def _taken(self) -> bytes:
        """What is held; whoever was made to wait for it may go on."""
        parts = self.parts
        taken = parts[0] if len(parts) == 1 else b"".join(parts)
        self.parts, self.held_bytes = [], 0
        if self._carrier is not None:
            self._carrier.resume()
        return taken

    async def read(self) -> bytes:
        """The whole body."""
        if not self.is_whole:
            return b"".join([chunk async for chunk in self.chunks()])
        self._silence.over()
        return self._taken()

    @property
    def ended(self) -> bool:
        """True when the whole body has been handed out."""
        return self.is_whole and not self.parts

    def close(self, *, broken: bool = False) -> None:
        """The connection went back when the reply was whole; before that it is dropped, `broken` or not."""
        self._silence.over()
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.drop()
            self.trouble = self.trouble or Trouble("closed by the proxy")
            self.wake()
