"""A quick provider that numbers its answers and remembers for whom each was. It must never answer one request twice."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

INPUT_TOKENS, OUTPUT_TOKENS = 400, 300
EVENTS = 6
STEP_S = 0.01
"""Before an answer, and between the parts of a streamed one: so that calls are under way whenever something is killed."""

ASKED = re.compile(rb"ask-(\d+)-(\d+)\.")
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "gpt-4o-mini-2024-07-18"}
_USAGE = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}
_MESSAGE = {"role": "assistant", "content": "A merino jumper, knitted in one piece. " * 4}
_WHOLE = json.dumps(
    {**_HEAD, "object": "chat.completion", "choices": [{"index": 0, "message": _MESSAGE, "finish_reason": "stop"}], "usage": _USAGE}
).encode()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _event(**changes: object) -> bytes:
    return _chunk(b"data: " + json.dumps({**_HEAD, "usage": None, **changes}).encode() + b"\n\n")


_WORDS = _event(choices=[{"index": 0, "delta": {"content": " merino"}, "finish_reason": None}]) * (EVENTS // 2)
_END = _event(choices=[], usage=_USAGE) + _chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"

Try = tuple[int, int]
"""A client's call and which try of it this was."""


@dataclass(slots=True)
class Provider:
    """`answered` has the try that each answer was for, by the answer's number; whole answers that left alone."""

    port: int = 0
    numbered: int = 0
    connections: set[asyncio.Transport] = field(default_factory=set)
    answered: dict[str, Try] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}/v1"


class _Connection(asyncio.Protocol):
    """One connection of a proxy, one request at a time."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._got = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._provider.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._provider.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not found or length is None or len(body) < int(length[1]):
            return
        self._got = b""
        asked = ASKED.search(body)
        assert asked is not None, body[:300]
        provider = self._provider
        provider.numbered += 1
        streamed = b'"stream": true' in body or b'"stream":true' in body
        answer = self._stream if streamed else self._whole
        asyncio.get_running_loop().call_later(STEP_S, answer, f"req-{provider.numbered}", (int(asked[1]), int(asked[2])))

    def _whole(self, number: str, asked: Try) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: {number}\r\ncontent-length: {len(_WHOLE)}\r\n\r\n"
        self._end(head.encode() + _WHOLE, number, asked)

    def _stream(self, number: str, asked: Try) -> None:
        head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nx-request-id: {number}\r\ntransfer-encoding: chunked\r\n\r\n"
        self._transport.write(head.encode() + _WORDS)
        loop = asyncio.get_running_loop()
        loop.call_later(STEP_S, self._transport.write, _WORDS)
        loop.call_later(2 * STEP_S, self._end, _END, number, asked)

    def _end(self, data: bytes, number: str, asked: Try) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)
            self._provider.answered[number] = asked


@contextlib.asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """A provider on a loopback port of its own."""
    made = Provider()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(made), "127.0.0.1", 0, backlog=512)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for transport in list(made.connections):
            transport.abort()
