"""A provider that answers with the exact bytes a test gives it and keeps the exact bytes it was sent. It must never mend either."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

WAIT_S = 15
CLOSE = (b"connection", b"close")
RESET = object()
"""A part of a script: the connection is reset here, without an end."""

UNTIL_LEFT = object()
"""A part of a script: nothing more comes until the other side hangs up; `left` is set then."""

Headers = list[tuple[bytes, bytes]]
Part = object
Script = Iterable[Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request as it came. `wire_body` is the body with its framing, `body` without; header names as they stood."""

    method: str
    target: str
    headers: Headers
    wire_body: bytes
    body: bytes

    def values(self, name: str) -> list[bytes]:
        """All values of a header, in order."""
        return [value for key, value in self.headers if key.lower() == name.encode()]

    def value(self, name: str) -> bytes | None:
        """The only value of a header, None when it is absent."""
        values = self.values(name)
        assert len(values) <= 1, f"{name} came {len(values)} times"
        return values[0] if values else None


@dataclass(slots=True)
class ScriptedUpstream:
    """Answers each request with the parts of `script`: bytes to send, an Event to wait for, RESET or UNTIL_LEFT; then hangs up."""

    url: str
    received: list[Received] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    script: Callable[[Received], Script] = lambda request: whole(b"{}")

    def answers(self, *parts: Part) -> None:
        """The same parts for every request from now on."""
        self.script = lambda request: parts

    def answers_in_turn(self, *scripts: Script) -> None:
        """One script a request; the last one stays."""
        waiting = list(scripts)
        self.script = lambda request: waiting.pop(0) if len(waiting) > 1 else waiting[0]

    @property
    def last(self) -> Received:
        """The newest request."""
        return self.received[-1]


def whole(body: bytes, *headers: tuple[bytes, bytes], status: bytes = b"200 OK", kind: bytes = b"application/json") -> list[bytes]:
    """A reply of known length."""
    return [head(status, [(b"content-type", kind), *headers, (b"content-length", b"%d" % len(body)), CLOSE]) + body]


def streamed(*chunks: bytes, headers: Headers | None = None, kind: bytes = b"text/event-stream", end: bool = True) -> list[bytes]:
    """A chunked reply, a chunk a part; without its end it is a cut one."""
    start = head(b"200 OK", [(b"content-type", kind), *(headers or []), (b"transfer-encoding", b"chunked"), CLOSE])
    return [start, *(framed(chunk) for chunk in chunks), *([b"0\r\n\r\n"] if end else [])]


def framed(chunk: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


def head(status: bytes, headers: Headers) -> bytes:
    """A reply's head."""
    return b"HTTP/1.1 " + status + b"\r\n" + b"".join(name + b": " + value + b"\r\n" for name, value in headers) + b"\r\n"


@contextlib.contextmanager
def scripted_upstream() -> Iterator[ScriptedUpstream]:
    """A scripted provider on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        upstream = ScriptedUpstream(f"http://127.0.0.1:{listening.getsockname()[1]}")
        threading.Thread(target=_accept, args=(listening, upstream), daemon=True).start()
        try:
            yield upstream
        finally:
            with contextlib.suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)


def _accept(listening: socket.socket, upstream: ScriptedUpstream) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:  # the test is over
            return
        threading.Thread(target=_serve, args=(connection, upstream), daemon=True).start()


def _serve(connection: socket.socket, upstream: ScriptedUpstream) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(WAIT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = _read(connection)
        if request is None:
            return
        upstream.received.append(request)
        for part in upstream.script(request):
            _play(connection, part, upstream)
        connection.shutdown(socket.SHUT_WR)


def _play(connection: socket.socket, part: Part, upstream: ScriptedUpstream) -> None:
    if isinstance(part, bytes):
        connection.sendall(part)
    elif isinstance(part, threading.Event):
        part.wait(WAIT_S)
    elif part is RESET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    elif part is UNTIL_LEFT:
        try:
            gone = connection.recv(1) == b""
        except ConnectionError:
            gone = True
        if gone:
            upstream.left.set()


def _read(connection: socket.socket) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    top, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = top.split(b"\r\n")
    method, target, _ = first.decode("latin-1").split(" ")
    headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    lower = {name.lower(): value for name, value in headers}
    wire = _body(connection, rest, lower)
    body = _unframed(wire) if lower.get(b"transfer-encoding") == b"chunked" else wire
    return Received(method=method, target=target, headers=headers, wire_body=wire, body=body)


def _body(connection: socket.socket, rest: bytes, headers: dict[bytes, bytes]) -> bytes:
    parts, size = [rest], len(rest)
    wanted = int(headers.get(b"content-length", b"0"))
    chunked = headers.get(b"transfer-encoding") == b"chunked"
    while size < wanted or (chunked and not b"".join(parts[-2:]).endswith(b"0\r\n\r\n")):
        more = connection.recv(1 << 20)
        if not more:
            break
        parts.append(more)
        size += len(more)
    return b"".join(parts)


def _unframed(wire: bytes) -> bytes:
    parts, at = [], 0
    while at < len(wire):
        line = wire.index(b"\r\n", at)
        size = int(wire[at:line], 16)
        parts.append(wire[line + 2 : line + 2 + size])
        at = line + 2 + size + 2
    return b"".join(parts)
