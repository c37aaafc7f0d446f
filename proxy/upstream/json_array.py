"""Turns a stream of events into the JSON array that Gemini's callers get who ask for no events. It must never change a member."""

import re
from collections.abc import AsyncIterator

from proxy.upstream.base import Headers, UpstreamReply, UpstreamRequest

STREAM_VERB = ":streamGenerateContent"
AS_EVENTS = re.compile(r"[?&]alt=sse(?:&|$)")
_DATA = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)
LONGEST_BORDER = 4
_BORDER = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def wants_array(request: UpstreamRequest) -> bool:
    """True for a Gemini stream that is not asked for as events."""
    return request.path.endswith(STREAM_VERB) and AS_EVENTS.search(request.url) is None


class ArrayReply:
    """A reply whose events leave as members of one array."""

    def __init__(self, reply: UpstreamReply) -> None:
        self._reply = reply
        self._ended = False
        self.status = reply.status
        kept = [pair for pair in reply.headers if pair[0] != b"content-type"]
        self.headers: Headers = [(b"content-type", b"application/json; charset=UTF-8"), *kept]

    async def chunks(self) -> AsyncIterator[bytes]:
        """The array as its members come. Raises as the reply does, and then leaves it open."""
        rest, opened = bytearray(), False
        async for chunk in self._reply.chunks():
            unseen = max(0, len(rest) - LONGEST_BORDER + 1)  # a picture comes in hundreds of chunks: what was looked at stays so
            rest += chunk
            while (border := _BORDER.search(rest, unseen)) is not None:
                payload = b"\n".join(_DATA.findall(bytes(rest[: border.start()])))
                del rest[: border.end()]
                unseen = 0
                if payload:
                    yield (b",\r\n" if opened else b"[") + payload
                    opened = True
        if last := b"\n".join(_DATA.findall(bytes(rest))):
            yield (b",\r\n" if opened else b"[") + last
            opened = True
        self._ended = True
        yield b"]\n" if opened else b"[]\n"

    async def read(self) -> bytes:
        """The whole array."""
        return b"".join([chunk async for chunk in self.chunks()])

    @property
    def ended(self) -> bool:
        """True when the whole array has been handed out."""
        return self._ended

    def close(self, *, broken: bool = False) -> None:
        """As the reply is closed."""
        self._reply.close(broken=broken)
