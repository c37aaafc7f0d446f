"""Identical calls under way: one asks, the others wait for its answer. It must never leave one waiting for a call that has ended."""

import asyncio

from proxy.reuse.kept import MOST_ANSWER_BYTES, Kept, told_again
from proxy.upstream.base import Headers

MOST_WAIT_S = 120.0
"""How long a call waits for another one's answer; then it goes on its own."""


class Flight:
    """One call that asks for all who want the same. `kept` once it has ended well, None when it came to nothing."""

    __slots__ = ("_ended", "call_id", "kept")

    def __init__(self, call_id: str) -> None:
        self.call_id = call_id
        self.kept: Kept | None = None
        self._ended = asyncio.Event()

    def end(self, kept: Kept | None) -> None:
        """Lets those go on who wait; the first word counts."""
        if not self._ended.is_set():
            self.kept = kept
            self._ended.set()

    async def answer(self) -> Kept | None:
        """The answer, once it is there; None when there is none, or it takes too long."""
        try:
            async with asyncio.timeout(MOST_WAIT_S):
                await self._ended.wait()
        except TimeoutError:
            return None
        return self.kept


class Flights:
    """The calls under way by name."""

    def __init__(self) -> None:
        self._by_name: dict[str, Flight] = {}

    def of(self, name: str) -> Flight | None:
        """The call that asks for this now."""
        return self._by_name.get(name)

    def begin(self, name: str, call_id: str) -> Flight:
        """A call asks from now on."""
        made = self._by_name[name] = Flight(call_id)
        return made

    def leave(self, name: str, flight: Flight) -> None:
        """Nobody joins it any more."""
        if self._by_name.get(name) is flight:
            del self._by_name[name]

    def __len__(self) -> int:
        return len(self._by_name)


class Recording:
    """What passes of an answer while its call goes on. `is_over`: it is of no use to others, and nothing is held of it."""

    __slots__ = ("_headers", "_parts", "_size", "is_over", "is_stream", "status")

    def __init__(self) -> None:
        self.status = 0
        self.is_over = False
        self.is_stream = False
        self._headers: tuple[tuple[bytes, bytes], ...] = ()
        self._parts: list[bytes] = []
        self._size = 0

    def begin(self, status: int, headers: Headers) -> None:
        """The answer's head."""
        self.status, self._headers = status, told_again(headers)

    def take(self, part: bytes) -> bool:
        """Keeps a part; False when there are too many of them."""
        self._size += len(part)
        if self._size > MOST_ANSWER_BYTES:
            self.drop()
        if not self.is_over:
            self._parts.append(part)
        return not self.is_over

    def drop(self) -> None:
        """Forgets it all."""
        self.is_over = True
        self._parts.clear()

    @property
    def body(self) -> bytes:
        """All that passed."""
        return b"".join(self._parts)

    def kept(self, source_call_id: str, kept_ms: int) -> Kept:
        """The answer as others get it."""
        return Kept(status=self.status, headers=self._headers, body=self.body, source_call_id=source_call_id, kept_ms=kept_ms)
