"""Load on one address: closed loop, open loop, streams; by raw sockets on uvloop, or wrk. It must never retry: a failure is a result."""

import asyncio
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httptools

from tests.bench.bodies import request


class LoadError(Exception):
    """The target refused, broke or answered something else than 200."""


@dataclass(slots=True)
class Reply:
    """One answer as the client saw it; times in seconds from sending."""

    status: int = 0
    first_byte_s: float = 0.0
    whole_s: float = 0.0
    events: int = 0
    body: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)


class Connection(asyncio.Protocol):
    """One kept-alive HTTP/1.1 connection, one request at a time."""

    def __init__(self, *, keep_body: bool = False) -> None:
        self._keep_body = keep_body
        self._transport: asyncio.Transport | None = None
        self._done: asyncio.Future[Reply] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's transport is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._done is not None and not self._done.done():
            self._done.set_exception(LoadError(f"the connection broke: {exc}"))

    async def ask(self, payload: bytes) -> Reply:
        """Sends one request and waits for its whole answer."""
        if self._transport is None:
            raise LoadError("the connection is closed")
        self._parser = httptools.HttpResponseParser(self)
        self._reply = Reply()
        self._last = b""
        self._done = asyncio.get_running_loop().create_future()
        self._sent = time.perf_counter()
        self._transport.write(payload)
        reply = await asyncio.wait_for(self._done, 30)
        if reply.status != 200:
            raise LoadError(f"status {reply.status}: {reply.body[:300]!r}")
        return reply

    def close(self) -> None:
        """Ends the connection."""
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._keep_body:
            self._reply.headers[name.lower()] = value

    def on_body(self, body: bytes) -> None:
        reply = self._reply
        if not reply.first_byte_s:
            reply.first_byte_s = time.perf_counter() - self._sent
        reply.events += body.count(b"\n\n") + (self._last == b"\n" and body[:1] == b"\n")
        self._last = b"" if body[-2:] == b"\n\n" else body[-1:]
        if self._keep_body or self._parser.get_status_code() != 200:
            reply.body += body

    def on_message_complete(self) -> None:
        self._reply.status = self._parser.get_status_code()
        self._reply.whole_s = time.perf_counter() - self._sent
        if self._done is not None and not self._done.done():
            self._done.set_result(self._reply)


async def connect(port: int, *, keep_body: bool = False) -> Connection:
    """A connection to 127.0.0.1:port."""
    _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(keep_body=keep_body), "127.0.0.1", port)
    return connection


async def one(port: int, body: bytes) -> Reply:
    """One whole answer with headers and body."""
    connection = await connect(port, keep_body=True)
    reply = await connection.ask(request(body, f"127.0.0.1:{port}"))
    connection.close()
    return reply


@dataclass(frozen=True, slots=True)
class Load:
    """What a closed loop achieved."""

    requests: int
    events: int
    seconds: float

    @property
    def per_second(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


async def closed_loop(port: int, body: bytes, *, connections: int, seconds: float) -> Load:
    """As many requests as `connections` can do, each after the other's end."""
    payload = request(body, f"127.0.0.1:{port}")
    start = time.perf_counter()
    counts = await asyncio.gather(*(_repeat(port, payload, start + seconds) for _ in range(connections)))
    return Load(sum(count for count, _ in counts), sum(events for _, events in counts), time.perf_counter() - start)


async def _repeat(port: int, payload: bytes, until: float) -> tuple[int, int]:
    connection = await connect(port)
    count = events = 0
    while time.perf_counter() < until:
        events += (await connection.ask(payload)).events
        count += 1
    connection.close()
    return count, events


async def steady(port: int, body: bytes, *, rate: float, seconds: float) -> Load:
    """Open loop on one address: `rate` requests a second, evenly."""
    start = time.perf_counter()
    (replies,) = await paired([port], body, rate=rate, seconds=seconds)
    return Load(len(replies), 0, time.perf_counter() - start)


async def paired(ports: Sequence[int], body: bytes, *, rate: float, seconds: float) -> list[list[Reply]]:
    """Open loop: every port gets `rate` requests a second, in turns inside each period, so that all see the same machine."""
    idle: list[list[Connection]] = [[] for _ in ports]
    replies: list[list[Reply]] = [[] for _ in ports]
    payloads = [request(body, f"127.0.0.1:{port}") for port in ports]

    async def send(target: int) -> None:
        connection = idle[target].pop() if idle[target] else await connect(ports[target])
        reply = await connection.ask(payloads[target])
        replies[target].append(reply)
        idle[target].append(connection)

    for target in range(len(ports)):
        await send(target)
    replies = [[] for _ in ports]
    start, step = time.perf_counter(), 1 / rate / len(ports)
    async with asyncio.TaskGroup() as tasks:
        for tick in range(int(seconds * rate) * len(ports)):
            await asyncio.sleep(max(0.0, start + tick * step - time.perf_counter()))
            tasks.create_task(send(tick % len(ports)))
    for connections in idle:
        for connection in connections:
            connection.close()
    return replies


WRK_SCRIPT = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer sk-bench"
local file = io.open("{body}", "rb")
wrk.body = file:read("*a")
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d\\n", summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout))
end
"""


def has_wrk() -> bool:
    """True when wrk is installed."""
    return shutil.which("wrk") is not None


def wrk(url: str, body: bytes, folder: Path, *, connections: int, seconds: float) -> Load:
    """A closed loop by wrk, in one thread. Raises LoadError when a request failed."""
    asked, script = folder / "wrk-body.json", folder / "wrk.lua"
    asked.write_bytes(body)
    script.write_text(WRK_SCRIPT.format(body=asked))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "20s", "-s", str(script), url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    result = next((line for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    if result is None:
        raise LoadError(f"wrk said: {done.stdout[-300:]} {done.stderr[-300:]}")
    count, microseconds, bad, broken = (int(part) for part in result.split()[1:])
    if bad or broken:
        raise LoadError(f"{bad} of {count} answers were not 2xx, {broken} connections failed")
    return Load(count, 0, microseconds / 1e6)
