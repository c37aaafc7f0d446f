"""A provider that streams fixed events, bulk or paced, and answers the rest whole (`... mock PORT`). It must never parse JSON."""

import asyncio
import sys

import httptools
import uvloop

from tests.bench.bodies import PACED_MODEL, stream_events, unary_answer

PACE_S = 0.02
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"
_PACED = PACED_MODEL.encode()
_STREAMS = b'"stream": true'
_ANSWER = unary_answer()
_WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(_ANSWER), _ANSWER)


def _chunk(event: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(event), event)


_CHUNKS = [_chunk(event) for event in stream_events()]
_BULK = [b"".join(_CHUNKS[start : start + 4]) for start in range(0, len(_CHUNKS), 4)]


class Provider(asyncio.Protocol):
    """One connection, kept alive."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transport is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body = b"".join(self._body)
        self._body.clear()
        if self._transport is None:
            return
        if _STREAMS not in body and b'"stream":true' not in body:
            self._transport.write(_WHOLE)
            return
        self._transport.write(_HEAD)
        if _PACED in body:
            self._next(0)
            return
        for group in _BULK:
            self._transport.write(group)
        self._transport.write(_END)

    def _next(self, at: int) -> None:
        if self._transport is None:
            return
        self._transport.write(_CHUNKS[at])
        if at + 1 == len(_CHUNKS):
            self._transport.write(_END)
        else:
            asyncio.get_running_loop().call_later(PACE_S, self._next, at + 1)


async def serve(port: int) -> None:
    """Serves until killed."""
    server = await asyncio.get_running_loop().create_server(Provider, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
