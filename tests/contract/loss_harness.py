"""A real `grammage serve`, its clients and what its ledger says afterwards. It must never read a ledger while the proxy may still write."""

import asyncio
import contextlib
import math
import os
import resource
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from proxy.ledger.columns import SCOPES
from tests.contract.ledger_rows import plain

START_S = 60
STOP_S = 30
ANSWER_S = 60
"""Bounds of waits that end by an event; generous, for busy machines."""

P95_SIGMAS = 1.6448536269514722
_SERVE = (sys.executable, "-c", "from proxy.cli.main import main; main()", "serve")
_DIVERTING = ("GRAMMAGE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
_ROWS = f"""
    SELECT c.call_id, c.outcome, c.status, c.stream, c.stream_complete, a.usage_source, a.partial, a.input_tokens, a.output_tokens,
           a.unweighed_reason, e.gco2e, e.gco2e_p50, {" + ".join(f"e.gco2e_var_{scope}" for scope in SCOPES)} AS gco2e_var
    FROM calls c LEFT JOIN attempts a ON a.call_id = c.call_id LEFT JOIN estimates e ON e.attempt_id = a.attempt_id
"""


@dataclass(slots=True)
class Proxy:
    """One process of the proxy. `log` is what it wrote so far."""

    process: asyncio.subprocess.Process
    url: str
    reading: asyncio.Task[None]
    log: bytearray = field(default_factory=bytearray)
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def has_said(self, words: bytes) -> None:
        """Waits until the log holds `words`; a writer of its own brings it there. Raises TimeoutError."""
        async with asyncio.timeout(STOP_S):
            while words not in self.log:
                self.heard.clear()
                await self.heard.wait()

    async def kill(self) -> None:
        """kill -9, and gone."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self.reading

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal and does not wait."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit code, once it is there."""
        code = await asyncio.wait_for(self.process.wait(), STOP_S)
        await self.reading
        return code

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.signal(signal.SIGTERM)
        return await self.ended()

    def limit_file_bytes(self, most: int | None) -> None:
        """From now on no file of the process may grow beyond `most` bytes; None lifts that."""
        soft = resource.RLIM_INFINITY if most is None else most
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (soft, resource.RLIM_INFINITY))

    def rss_mb(self) -> float:
        """Resident memory, MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


@contextlib.asynccontextmanager
async def running(
    folder: Path, upstream: str, *, most_file_bytes: int | None = None, config: str = "", ledger: str = ""
) -> AsyncIterator[Proxy]:
    """The proxy on a free port, its ledger in `folder` unless a URL says where; killed at the end unless it has ended by then."""
    command = [
        *_SERVE,
        "--port",
        "0",
        "--upstream",
        upstream,
        "--upstream-provider",
        "openai",
        "--ledger",
        ledger or f"sqlite:///{ledger_in(folder)}",
    ]
    if config:
        (folder / "grammage.yaml").write_text(config)
        command += ["--config", str(folder / "grammage.yaml")]
    environ = {name: value for name, value in os.environ.items() if not name.upper().startswith(_DIVERTING)}
    limit = None if most_file_bytes is None else _limiter(most_file_bytes)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        env=environ, cwd=folder, preexec_fn=limit,
    )  # fmt: skip
    assert process.stderr is not None  # a pipe was asked for
    log, heard = bytearray(), asyncio.Event()
    try:
        url = await asyncio.wait_for(_address(process.stderr, log), START_S)
        proxy = Proxy(process, url, asyncio.ensure_future(_collect(process.stderr, log, heard)), log, heard)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    try:
        await asyncio.wait_for(_ready(url), START_S)
        yield proxy
    finally:
        await proxy.kill()


def ledger_in(folder: Path) -> Path:
    """The ledger's file."""
    return folder / "calls.db"


@dataclass(slots=True)
class Answer:
    """What a client saw. complete: the whole body of a unary answer, or [DONE] and a clean end of a stream."""

    call_id: str = ""
    status: int = 0
    events: int = 0
    complete: bool = False


@dataclass(slots=True)
class Clients:
    """SDK-like clients of one proxy. `on_progress` hears, whenever a piece of an answer arrives, how many events of it there are."""

    session: aiohttp.ClientSession
    url: str
    on_progress: Callable[[int], None] = lambda events: None

    async def ask(self, *, stream: bool = False, behave: str = "", leave_after: int | None = None, max_tokens: int = 400) -> Answer:
        """One call; with `leave_after` the client closes its socket after so many events."""
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Describe a merino jumper."}], "max_tokens": max_tokens}
        headers = {"authorization": "Bearer sk-test-1234567890", "x-behave": behave}
        answer = Answer()
        try:
            async with self.session.post(f"{self.url}/chat/completions", json={**body, "stream": stream}, headers=headers) as reply:
                answer.status, answer.call_id = reply.status, reply.headers.get("x-grammage-call-id", "")
                await self._read(reply, answer, stream, leave_after)
        except (aiohttp.ClientError, OSError):
            answer.complete = False  # cut, killed, or not there any more
        return answer

    async def _read(self, reply: aiohttp.ClientResponse, answer: Answer, stream: bool, leave_after: int | None) -> None:
        seen = b""
        while piece := await reply.content.readany():
            seen += piece
            answer.events = seen.count(b"data: {")
            self.on_progress(answer.events)
            if leave_after is not None and answer.events >= leave_after:
                reply.close()
                return
        answer.complete = reply.status == 200 and (seen.rstrip().endswith(b"data: [DONE]") if stream else seen.endswith(b"}"))


@contextlib.asynccontextmanager
async def clients(url: str, on_progress: Callable[[int], None] = lambda events: None) -> AsyncIterator[Clients]:
    """Clients with connections of their own."""
    timeout = aiohttp.ClientTimeout(total=ANSWER_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield Clients(session, url, on_progress)


async def crowd(asking: Clients, calls: int, concurrency: int, behave: str = "") -> list[Answer]:
    """So many calls, every other one streamed, by clients who ask one after the other; a client stops when its proxy is gone."""
    answers: list[Answer] = []

    async def client(mine: Iterable[int]) -> None:
        for number in mine:
            answer = await asking.ask(stream=number % 2 == 1, behave=behave)
            answers.append(answer)
            if not answer.complete:
                return

    await asyncio.gather(*(client(range(first, calls, concurrency)) for first in range(concurrency)))
    return answers


async def crowd_until_killed(folder: Path, upstream: str, *, pieces: int, concurrency: int) -> list[Answer]:
    """What clients saw of a proxy that is killed as soon as so many pieces of answers have arrived, wherever the other calls are then."""
    arrived = 0
    async with running(folder, upstream) as proxy:

        def count(_events: int) -> None:
            nonlocal arrived
            arrived += 1
            if arrived == pieces:
                proxy.signal(signal.SIGKILL)

        async with clients(proxy.url, count) as asking:
            answers = await crowd(asking, 1_000_000, concurrency)
        assert await proxy.ended() == -signal.SIGKILL
    return answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One call, its attempt and its estimate, as the ledger joins them. gco2e_high: the 95th percentile in gCO2e."""

    call_id: str
    outcome: str
    status: int
    stream: bool
    stream_complete: bool
    usage_source: str | None
    partial: bool
    input_tokens: int | None
    output_tokens: int | None
    unweighed_reason: str | None
    gco2e: float | None
    gco2e_high: float | None


def rows_in(folder: Path) -> list[Row]:
    """Every call of a ledger at rest; one row per call if all is well."""
    with closing(sqlite3.connect(ledger_in(folder))) as connection:
        connection.row_factory = sqlite3.Row
        return [_row(plain(found)) for found in connection.execute(_ROWS)]


def table_sizes(folder: Path) -> tuple[int, int, int]:
    """Rows of calls, attempts and estimates."""
    with closing(sqlite3.connect(ledger_in(folder))) as connection:
        calls, attempts, estimates = (
            int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in ("calls", "attempts", "estimates")
        )
    return calls, attempts, estimates


def assert_kept_once(folder: Path, answers: Iterable[Answer]) -> None:
    """Every completed answer's call is in the ledger exactly once, attempt and estimate with it; and nothing is there twice."""
    completed = [answer.call_id for answer in answers if answer.complete]
    assert len(set(completed)) == len(completed), "two answers carried the same call id"
    rows = rows_in(folder)
    times = Counter(row.call_id for row in rows)
    assert not [call_id for call_id, count in times.items() if count > 1], "calls with more than one attempt or estimate"
    assert not sorted(set(completed) - set(times)), "completed answers the ledger does not know"
    weighed = {row.call_id for row in rows if row.gco2e is not None}
    assert not sorted(set(completed) - weighed), "completed answers without an estimate"
    calls, attempts, estimates = table_sizes(folder)
    assert calls == attempts == len(rows)
    assert estimates == len(weighed)


def left_beside(folder: Path) -> list[str]:
    """Names of the files beside the ledger that hold calls not yet in it."""
    return sorted(file.name for file in folder.iterdir() if ".spool" in file.name)


def _row(found: dict[str, object]) -> Row:
    median, variance = found.pop("gco2e_p50"), found.pop("gco2e_var")
    high = None if median is None else float(str(median)) * math.exp(P95_SIGMAS * math.sqrt(float(str(variance))))
    flags = {name: bool(found[name]) for name in ("stream", "stream_complete", "partial")}
    return Row(**{**found, **flags, "gco2e_high": high})  # type: ignore[arg-type]  # sqlite3 gives what columns.py declares


def _limiter(most: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


async def _address(stream: asyncio.StreamReader, log: bytearray) -> str:
    while line := await stream.readline():
        log += line
        if line.startswith(b"grammage listens on "):
            return line.split()[-1].decode()
    raise RuntimeError(f"the proxy did not start: {log.decode(errors='replace')[-2000:]}")


async def _ready(url: str) -> None:
    """Returns once the proxy answers; its socket takes the question before that, so one is enough."""
    async with aiohttp.ClientSession() as session, session.get(f"{url.removesuffix('/v1')}/readyz") as reply:
        assert reply.status == 200


async def _collect(stream: asyncio.StreamReader, log: bytearray, heard: asyncio.Event) -> None:
    while piece := await stream.read(65536):
        log += piece
        heard.set()
