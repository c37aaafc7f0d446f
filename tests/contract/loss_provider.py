"""A provider that answers, waits or breaks as the header `x-behave` says, and notices who leaves. It must never sleep.

`x-behave: events=N` streams N events; `hold=K` waits after K of them, and before a whole answer, until released; `cut=K` breaks there;
`hold-end=1` and `cut-end=1` do so between [DONE] and the end of the body.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping

EVENTS = 24
INPUT_TOKENS = 20
_STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_HEAD = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1790000000, "model": "gpt-4o-mini-2024-07-18"}


class Provider:
    """`held` gets an entry when a call begins to wait, `left` one when a waiting call's connection is closed from the other side."""

    def __init__(self) -> None:
        self.held: asyncio.Queue[str] = asyncio.Queue()
        self.left: asyncio.Queue[str] = asyncio.Queue()
        self.release = asyncio.Event()
        self.url = ""
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, kept alive."""
        task = asyncio.current_task()
        assert task is not None  # a stream server's callback runs in one
        self._open[task] = writer
        try:
            while True:
                headers, body = await _request(reader)
                await self._answer(_behaviour(headers), json.loads(body), reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the proxy left, or was killed, or we cut
        finally:
            writer.transport.abort()
            del self._open[task]

    async def end(self) -> None:
        """Breaks what is open."""
        tasks = list(self._open)
        for writer in self._open.values():
            writer.transport.abort()
        await asyncio.gather(*tasks)

    async def _answer(
        self, behaviour: Mapping[str, int], asked: Mapping[str, object], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if not asked.get("stream"):
            if "hold" in behaviour:
                await self._hold("whole", reader)
            writer.write(_whole(behaviour.get("events", EVENTS)))
            await writer.drain()
            return
        writer.write(_STREAM_HEAD)
        for number in range(behaviour.get("events", EVENTS)):
            if number == behaviour.get("hold"):
                await self._hold("stream", reader)
            if number == behaviour.get("cut"):
                raise ConnectionAbortedError
            writer.write(_chunk(_event(f" word{number}")))
            await writer.drain()
            await asyncio.sleep(0)  # others come in between, as on a real wire
        writer.write(_chunk(_usage_event(behaviour.get("events", EVENTS))) + _chunk(b"data: [DONE]\n\n"))
        await writer.drain()
        if "hold-end" in behaviour:
            await self._hold("end", reader)
        if "cut-end" in behaviour:
            raise ConnectionAbortedError
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _hold(self, kind: str, reader: asyncio.StreamReader) -> None:
        """Waits for the release or for the other side to leave, whichever comes first."""
        self.held.put_nowait(kind)
        leaving, released = asyncio.ensure_future(reader.read(1)), asyncio.ensure_future(self.release.wait())
        try:
            await asyncio.wait((leaving, released), return_when=asyncio.FIRST_COMPLETED)
            if leaving.done():
                self.left.put_nowait(kind)
                leaving.exception()
                raise ConnectionAbortedError
        finally:
            for task in (leaving, released):
                task.cancel()
            await asyncio.wait((leaving, released))


@contextlib.asynccontextmanager
async def provider() -> AsyncIterator[Provider]:
    """A provider on a loopback port of its own; `url` is its base URL."""
    serving = Provider()
    server = await asyncio.start_server(serving.serve, "127.0.0.1", 0, backlog=512)
    serving.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield serving
    finally:
        server.close()
        await serving.end()


async def _request(reader: asyncio.StreamReader) -> tuple[dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    pairs = (line.partition(":") for line in head.split("\r\n")[1:] if line)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return headers, await reader.readexactly(int(headers["content-length"]))


def _behaviour(headers: Mapping[str, str]) -> dict[str, int]:
    items = (item.partition("=") for item in headers.get("x-behave", "").split(",") if item)
    return {name: int(value) for name, _, value in items}


def _usage(output_tokens: int) -> dict[str, int]:
    return {"prompt_tokens": INPUT_TOKENS, "completion_tokens": output_tokens, "total_tokens": INPUT_TOKENS + output_tokens}


def _whole(words: int) -> bytes:
    message = {"role": "assistant", "content": "".join(f" word{number}" for number in range(words))}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = json.dumps({**_HEAD, "object": "chat.completion", "choices": choices, "usage": _usage(words)}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _event(text: str) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": None}]
    return b"data: " + json.dumps({**_HEAD, "choices": choices, "usage": None}).encode() + b"\n\n"


def _usage_event(output_tokens: int) -> bytes:
    return b"data: " + json.dumps({**_HEAD, "choices": [], "usage": _usage(output_tokens)}).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)
