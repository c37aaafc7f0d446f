"""A provider in the same event loop that follows a script byte by byte, a transport for tests without sockets, both event loops.

It must never mend what a test sends, nor wait for time to pass.
"""

import asyncio
import contextlib
import functools
import inspect
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
import uvloop

from config.deployment import Timeouts
from proxy.http_client import tls_context
from proxy.upstream.base import Headers, UpstreamRequest
from proxy.upstream.http1.connection import Connection
from proxy.upstream.http1.door import Http1Door
from proxy.upstream.http1.pool import Pool
from proxy.upstream.http1.reply import Http1Reply
from proxy.upstream.silence import Patiences

WAIT_S = 20
LARGEST_REQUEST_BYTES = 64 * 1024 * 1024
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Runs an asynchronous test on asyncio's loop and on uvloop."""

    @functools.wraps(test)
    def run(*arguments: Any, loop: str, **named: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.run(_in_time(test(*arguments, **named)))

    signature = inspect.signature(test)
    added = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), added])  # type: ignore[attr-defined]  # pytest reads it
    marked: Callable[..., None] = pytest.mark.parametrize("loop", LOOPS)(run)
    return marked


async def _in_time(test: Awaitable[None]) -> None:
    async with asyncio.timeout(WAIT_S):
        await test


class Left(Exception):
    """The proxy's side closed the connection."""


@dataclass(slots=True)
class Talk:
    """The provider's end of one connection. number: which connection it is, from 0."""

    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> bytes:
        """The next request's head. Raises Left."""
        try:
            return await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Left from error

    async def request(self) -> bytes:
        """The next request, head and body as they came. Raises Left."""
        head = await self.head()
        lower = head.lower()
        try:
            if b"transfer-encoding: chunked" in lower:
                body = await self.reader.readuntil(b"0\r\n\r\n")
            elif b"content-length: " in lower:
                body = await self.reader.readexactly(int(lower.split(b"content-length: ")[1].split(b"\r\n")[0]))
            else:
                body = b""
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise Left from error
        return head + body

    async def send(self, *parts: bytes) -> None:
        """Sends parts, one after the other; the other side gets its turn between them."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await turns(3)

    def stop_reading(self) -> None:
        """Takes nothing more from the wire; a stream reads ahead otherwise."""
        cast(asyncio.ReadTransport, self.writer.transport).pause_reading()

    def go_on_reading(self) -> None:
        """Takes what comes again."""
        cast(asyncio.ReadTransport, self.writer.transport).resume_reading()

    async def until_left(self) -> None:
        """Waits until the other side hangs up."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def end(self) -> None:
        """Nothing more will be sent; the other side may."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Ends it rudely."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Talk], Awaitable[None]]


@dataclass(slots=True)
class Provider:
    """Follows `script` on each connection, then hangs up."""

    url: str
    script: Script
    talks: list[Talk] = field(default_factory=list)
    requests: list[bytes] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def provider(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """A provider on a port of its own, on the loop that runs."""
    made = Provider("", script)
    busy: set[asyncio.Task[Any]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        busy.add(task)
        mine = Talk(len(made.talks), reader, writer)
        made.talks.append(mine)
        try:
            await made.script(mine)
        except (Left, ConnectionError):
            made.left.set()
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            busy.discard(task)

    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls, limit=LARGEST_REQUEST_BYTES)
    port = server.sockets[0].getsockname()[1]
    made.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}"
    try:
        yield made
    finally:
        server.close()
        for task in list(busy):
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


@contextlib.asynccontextmanager
async def door(tls: ssl.SSLContext | None = None) -> AsyncIterator[Http1Door]:
    """A door whose connections end with the test."""
    made = Http1Door(tls or tls_context())
    try:
        yield made
    finally:
        await made.close()
        await turns(5)


async def ask(
    made: Http1Door,
    url: str,
    *,
    method: str = "POST",
    body: bytes | AsyncIterator[bytes] | None = b"{}",
    headers: Headers | None = None,
    timeouts: Timeouts | None = None,
) -> Http1Reply:
    """One request to `url`."""
    request = UpstreamRequest(method=method, url=url, path="/v1/x", headers=headers or [], body=body, timeouts=timeouts)
    return await made.send(request, made.way_to(url), Patiences(60).of(timeouts))


async def turns(count: int) -> None:
    """Lets the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


def whole(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """A reply of known length."""
    return (
        b"HTTP/1.1 "
        + status
        + b"\r\n"
        + b"".join(header + b"\r\n" for header in (*headers, b"content-length: %d" % len(body)))
        + b"\r\n"
        + body
    )


async def obliging(talk: Talk) -> None:
    """Answers each request with its own bytes."""
    while True:
        await talk.send(whole(await talk.request()))


def pool_of(made: Http1Door, url: str) -> Pool:
    """The connections to an address."""
    return made.way_to(url).pool


class StillTransport(asyncio.Transport):
    """A transport to nowhere: keeps what is written and what is asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent_bytes = 0
        self.is_aborted = False
        self.pauses: list[bool] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.is_aborted

    def pause_reading(self) -> None:
        self.pauses.append(True)

    def resume_reading(self) -> None:
        self.pauses.append(False)

    def abort(self) -> None:
        self.is_aborted = True


class Shelf:
    """Where a connection without a pool belongs."""

    def __init__(self) -> None:
        self.free: list[Connection] = []

    def take_back(self, connection: Connection) -> None:
        self.free.append(connection)

    def gone(self, connection: Connection) -> None:
        """Nothing to do."""


@dataclass(slots=True)
class Bench:
    """One exchange on a transport to nowhere."""

    method: str = "POST"
    shelf: Shelf = field(default_factory=Shelf)
    transport: StillTransport = field(default_factory=StillTransport)
    connection: Connection = field(init=False)
    reply: Http1Reply = field(init=False)

    def __post_init__(self) -> None:
        self.connection = Connection(self.shelf)
        self.connection.connection_made(self.transport)
        self.begin()

    def begin(self) -> None:
        """The next exchange on the same connection."""
        self.reply = Http1Reply(self.method, "nowhere", Patiences(60).of(None).silence())
        self.connection.begin(self.reply, b"POST / HTTP/1.1\r\n\r\n", None)

    def feed(self, *parts: bytes) -> None:
        """Parts arrive, as far as the connection still listens."""
        for part in parts:
            if not self.transport.is_aborted:
                self.connection.data_received(part)

    def end(self) -> None:
        """The other side has said all."""
        if not self.transport.is_aborted:
            self.connection.eof_received()

    @property
    def outcome(self) -> tuple[int, Headers, bytes, bool, bool, bool]:
        """status, headers, body, whole, broken, kept."""
        reply = self.reply
        return reply.status, reply.headers, b"".join(reply.parts), reply.is_whole, reply.trouble is not None, bool(self.shelf.free)
