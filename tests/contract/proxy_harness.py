"""The real proxy on a port of its own, a client that sees every byte of its answers, and its ledger read from outside.

It must never reach into the proxy while it serves: what a test knows, it knows from the wire, the ledger and /metrics.
"""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from config.settings import Settings
from proxy.clock import Clock
from proxy.serve import Serving, _settled, uvloop_run
from proxy.simulate.app import create_simulated_provider
from proxy.simulate.exchange import Asked
from proxy.simulate.faults import Faults
from tests.contract.ledger_rows import plain
from tests.serving import serve

T = TypeVar("T")
START_S = 30
WAIT_S = 15
KEY = "sk-caller-0123456789"
GRAMMAGE = (sys.executable, "-c", "from proxy.cli.main import main; main()")
OURS = b"x-grammage-"
FRAMING = (b"content-length", b"transfer-encoding", b"connection")
_DIVERTING = ("GRAMMAGE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "OPENAI_")
_CALLS = """
    SELECT c.*, a.provider, a.model, a.served_model, a.unweighed_reason, a.upstream_request_id, a.input_tokens, a.cached_input_tokens,
           a.output_tokens, a.reasoning_output_tokens, a.input_images, a.usage_source, a.partial, a.status AS attempt_status,
           a.outcome AS attempt_outcome, e.gco2e, e.quality, e.facility_energy_wh, e.warnings
    FROM calls c LEFT JOIN attempts a ON a.call_id = c.call_id LEFT JOIN estimates e ON e.attempt_id = a.attempt_id
    ORDER BY c.started_ms, c.call_id, a.ordinal
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer as it came over the wire, its framing undone. `cut`: the connection broke before the body's end."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    cut: bool = False

    def value(self, name: str) -> str | None:
        """The only value of a header, None when it is absent."""
        values = [value for key, value in self.headers if key.lower() == name.encode()]
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0].decode("latin-1") if values else None

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error in OpenAI's envelope; fails when there is none."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code"}
        assert self.value("content-type") == "application/json"
        found: dict[str, Any] = error
        return found

    @property
    def theirs(self) -> list[tuple[bytes, bytes]]:
        """Headers less ours and the framing, names in lower case."""
        pairs = [(name.lower(), value) for name, value in self.headers]
        return [pair for pair in pairs if not pair[0].startswith(OURS) and pair[0] not in FRAMING]

    @property
    def ours(self) -> dict[str, str]:
        """Our headers, by their names less the prefix."""
        pairs = [(name.lower(), value) for name, value in self.headers if name.lower().startswith(OURS)]
        assert len(dict(pairs)) == len(pairs), "a header of ours came twice"
        return {name[len(OURS) :].decode(): value.decode() for name, value in pairs}


@dataclass(slots=True)
class Proxy:
    """A proxy that serves. `url` is its origin, without a path."""

    url: str
    ledger: Path
    headers: dict[str, str] = field(default_factory=lambda: {"authorization": f"Bearer {KEY}"})

    @property
    def v1(self) -> str:
        """The base URL to give to an SDK."""
        return f"{self.url}/v1"

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 80)

    def send(self, method: str, target: str, body: bytes | Iterable[bytes] | None = None, headers: dict[str, str] | None = None) -> Answer:
        """One request with just these headers beside host, key and length; an iterable body is sent in chunks."""
        connection = http.client.HTTPConnection(*self.address, timeout=WAIT_S)
        with contextlib.closing(connection):
            connection.putrequest(method, target, skip_accept_encoding=True)
            sent = {**self.headers, **(headers or {})}
            if isinstance(body, bytes):
                sent["content-length"] = str(len(body))
            elif body is not None and "content-length" not in sent:
                sent["transfer-encoding"] = "chunked"
            for name, value in sent.items():
                connection.putheader(name, value)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before its end; the answer says why
                connection.endheaders(body, encode_chunked="transfer-encoding" in sent)
            return _answer(connection)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        """A JSON request; bytes are sent as they are. Underscores in header names become hyphens."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send("POST", path, raw, {"content-type": "application/json", **named})

    def chat(self, body: Any = None, **headers: str) -> Answer:
        """A chat request; a small one by default."""
        return self.post("/v1/chat/completions", ask() if body is None else body, **headers)

    def get(self, target: str, **headers: str) -> Answer:
        """A GET."""
        return self.send("GET", target, headers={name.replace("_", "-"): value for name, value in headers.items()})

    def calls(self) -> list[dict[str, Any]]:
        """Every call in the ledger with its attempt and estimate, in the order of recording."""
        with contextlib.closing(sqlite3.connect(f"file:{self.ledger}?mode=ro", uri=True)) as database:
            database.row_factory = sqlite3.Row
            return [plain(row) for row in database.execute(_CALLS)]

    def call(self) -> dict[str, Any]:
        """The only call in the ledger."""
        (row,) = self.calls()
        return row

    def recorded(self, count: int = 1) -> list[dict[str, Any]]:
        """The calls, once there are `count` of them: for calls whose client does not see their end."""
        return until(lambda: rows if len(rows := self.calls()) >= count else None)


def ask(**changes: Any) -> dict[str, Any]:
    """A chat request as a document."""
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Describe a merino jumper."}], **changes}


def until(probe: Callable[[], T | None]) -> T:
    """What `probe` gives once it gives something; fails after a bounded wait."""
    pause, tries = threading.Event(), int(WAIT_S / 0.01)
    for _ in range(tries):
        found = probe()
        if found is not None:
            return found
        pause.wait(0.01)
    raise AssertionError(f"nothing came in {WAIT_S} s")


def without_footprint(body: bytes) -> bytes:
    """A body less the one member that we add to its usage; fails when it is not there exactly once."""
    start = body.index(b',"footprint":{') if b',"footprint":{' in body else body.index(b'"footprint":{')
    end = body.index(b"}", start) + 1
    assert body.count(b'"footprint"') == 1
    return body[:start] + body[end:]


@contextlib.contextmanager
def proxy(folder: Path, upstream: str | None = None, **sections: Any) -> Iterator[Proxy]:
    """A proxy in a thread, on the event loop and server of `grammage serve`. sections: the configuration file's content."""
    ledger = folder / "calls.db"
    server = {"listen": "127.0.0.1:0", "drain_s": 1, **sections.pop("server", {})}
    content = {"ledger": {"url": f"sqlite:///{ledger}"}, "user_hash_secret": "a secret of the tests", **sections}
    settings = Settings.model_validate({"server": server, "upstream": upstream and f"{upstream}/v1", **content})
    serving = Serving(settings, version="0.0.0", tls=None, config_file=None)
    running = _Running(serving)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    try:
        running.started.result(START_S)
        yield Proxy(f"http://127.0.0.1:{urlsplit(serving.base_url).port}", ledger)
    finally:
        running.stop()
        thread.join(START_S)
    assert not thread.is_alive(), "the proxy did not stop"


class _Running:
    """What Serving.run does, less the signals: those belong to a process of its own."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        self._server = serving._server(serving.app)
        self.started: concurrent.futures.Future[None] = concurrent.futures.Future()

    def run(self) -> None:
        uvloop_run(self._serve())

    def stop(self) -> None:
        self._server.should_exit = True

    async def _serve(self) -> None:
        try:
            await self._serving.app.start()
        except BaseException as error:
            self.started.set_exception(error)
            raise
        self.started.set_result(None)
        try:
            await self._server.serve(sockets=self._serving._sockets)
        finally:
            await _settled([self._server])
            await self._serving.app.stop()
            await asyncio.sleep(0)
            self._serving._log_writer.flush()


@contextlib.contextmanager
def simulated(seen: list[Asked] | None = None, always: str = "") -> Iterator[str]:
    """The simulated provider on a port of its own; its origin. always: the fault of every call that asks for none."""
    with serve(create_simulated_provider(clock=Clock(), seen=seen, faults=Faults(always=always))) as url:
        yield url


@dataclass(slots=True)
class Child:
    """A `grammage serve` in a process of its own. `said`: its standard error so far."""

    process: subprocess.Popen[bytes]
    said: list[str]
    reading: threading.Thread

    def exit_code(self) -> int:
        """The exit code, once the process has ended."""
        code = self.process.wait(START_S)
        self.reading.join(START_S)
        return code

    @property
    def text(self) -> str:
        """All it said."""
        return "".join(self.said)

    def proxy(self, ledger: Path) -> Proxy:
        """The proxy, once it says where it listens."""
        line = until(lambda: next((line for line in self.said if "listens on http" in line), None))
        base = urlsplit(line.split()[-1])
        made = Proxy(f"{base.scheme}://{base.netloc}", ledger)
        until(lambda: _is_live(made) or None)
        return made


@contextlib.contextmanager
def serve_command(folder: Path, *arguments: str, **environ: str) -> Iterator[Child]:
    """`grammage serve` with these arguments, in `folder`; ended with the test."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(_DIVERTING)}
    process = subprocess.Popen(
        [*GRAMMAGE, "serve", *arguments],
        cwd=folder,
        env={**inherited, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said: list[str] = []
    reading = threading.Thread(target=_collect, args=(process, said), daemon=True)
    reading.start()
    try:
        yield Child(process, said, reading)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(START_S)
        reading.join(START_S)
        if process.stderr is not None:
            process.stderr.close()


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """What a server answers to bytes that no HTTP client would send, until it hangs up."""
    with socket.create_connection(address, timeout=WAIT_S) as connection:
        connection.sendall(request)
        parts = []
        while part := connection.recv(65536):
            parts.append(part)
        return b"".join(parts)


def _collect(process: subprocess.Popen[bytes], said: list[str]) -> None:
    assert process.stderr is not None  # a pipe was asked for
    for line in process.stderr:
        said.append(line.decode())


def _is_live(proxy: Proxy) -> bool:
    try:
        return proxy.get("/readyz").status == 200
    except OSError:
        return False


def _answer(connection: http.client.HTTPConnection) -> Answer:
    with connection.getresponse() as reply:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.getheaders()]
        try:
            return Answer(status=reply.status, headers=headers, body=reply.read())
        except http.client.IncompleteRead as broken:
            return Answer(status=reply.status, headers=headers, body=broken.partial, cut=True)
        except ConnectionResetError:
            return Answer(status=reply.status, headers=headers, body=b"", cut=True)
