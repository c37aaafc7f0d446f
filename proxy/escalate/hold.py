"""Holds an answer back until it can be judged. It must never hold more than its bound, nor drop a byte of what it held."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from proxy.headers import value_of
from proxy.passage import Passage
from proxy.relay import AnyRelay, is_event_stream, relay_of
from proxy.upstream.base import Headers, UpstreamReply, WholeReply, read_whole

MOST_HELD_BYTES = 4 * 1024 * 1024
"""A longer stream goes out unchecked."""

PLAIN = (None, b"", b"identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An answer that has not left. reply: it, to be sent on; body: its bytes; relay: what has read them, None for a whole answer."""

    reply: UpstreamReply
    body: bytes
    relay: AnyRelay | None = None

    def detached(self) -> WholeReply:
        """The answer without its connection, which is given up: for while another one is asked."""
        if not isinstance(self.reply, WholeReply):
            self.reply.close(broken=not self.reply.ended)
        return WholeReply(self.reply.status, self.reply.headers, self.body)


class Resumed:
    """A reply of which a part is at hand: that comes first, then the rest as it arrives."""

    __slots__ = ("_parts", "_reply", "_rest", "headers", "status")

    def __init__(self, reply: UpstreamReply, parts: list[bytes], rest: AsyncIterator[bytes]) -> None:
        self.status: int = reply.status
        self.headers: Headers = reply.headers
        self._reply, self._parts, self._rest = reply, parts, rest

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, what was held of it first. Raises as the reply does."""
        yield b"".join(self._parts)
        async for chunk in self._rest:
            yield chunk

    async def read(self) -> bytes:
        """The whole body. Raises as the reply does."""
        return b"".join([chunk async for chunk in self.chunks()])

    @property
    def ended(self) -> bool:
        """True when nothing is left to arrive."""
        return self._reply.ended

    def close(self, *, broken: bool = False) -> None:
        """Gives the reply's connection back."""
        self._reply.close(broken=broken)


def may_hold(passage: Passage, reply: UpstreamReply, *, streams: bool) -> bool:
    """Whether the answer can be judged before it leaves. streams: streams are held too, those that can be read as they come."""
    if not is_event_stream(reply, passage.ask.endpoint):
        return True
    return streams and value_of(reply.headers, b"content-encoding") in PLAIN


async def hold(passage: Passage, reply: UpstreamReply) -> tuple[UpstreamReply, Held | None]:
    """The reply, to be sent on, and the answer; None for a stream beyond the bound. Raises as the reply does, which is closed then."""
    if not is_event_stream(reply, passage.ask.endpoint):
        whole = await read_whole(reply)
        return whole, Held(reply=whole, body=whole.body)
    relay = passage.held = relay_of(passage)
    parts: list[bytes] = []
    chunks = reply.chunks()
    resumed = Resumed(reply, parts, chunks)
    try:
        async for chunk in chunks:
            parts.append(chunk)
            relay.feed(chunk)
            if relay.seen_bytes > MOST_HELD_BYTES:
                return resumed, None
            if relay.finished:
                break
    except BaseException:
        reply.close(broken=True)
        raise
    if not relay.finished:
        relay.end()
    return resumed, Held(reply=resumed, body=b"".join(parts), relay=relay)
