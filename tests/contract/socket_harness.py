"""A provider's WebSocket that does what a test says and keeps what it was sent. It must never mend a frame."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.contract.proxy_harness import KEY, Proxy

WAIT_S = 15
CREATED = '{"type":"response.created","event_id":"e1","response":{"id":"resp_1","object":"realtime.response","status":"in_progress"}}'
USAGE = {
    "total_tokens": 300,
    "input_tokens": 120,
    "output_tokens": 180,
    "input_token_details": {"text_tokens": 20, "audio_tokens": 90, "image_tokens": 10, "cached_tokens": 64},
    "output_token_details": {"text_tokens": 30, "audio_tokens": 150},
}
RESPONSE = {"id": "resp_1", "status": "completed", "output": [], "usage": USAGE}
DONE = json.dumps({"type": "response.done", "event_id": "e9", "response": RESPONSE})
SESSION = json.dumps({"type": "session.created", "session": {"model": "gpt-realtime-2026", "audio": {}}})
Conduct = Callable[[ServerConnection], Awaitable[None]]


@dataclass(slots=True)
class SocketUpstream:
    """Each socket is conducted by `conduct`. refusal: an HTTP answer instead. closes: codes and reasons that clients left with."""

    url: str = ""
    conduct: Conduct | None = None
    refusal: tuple[int, dict[str, str], bytes] | None = None
    opened: list[Request] = field(default_factory=list)
    received: list[str | bytes] = field(default_factory=list)
    closes: list[tuple[int, str]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        """As new, for the next test."""
        self.conduct = self.refusal = None
        for kept in (self.opened, self.received, self.closes):
            kept.clear()
        self.left.clear()

    @property
    def last(self) -> Request:
        """The newest handshake."""
        return self.opened[-1]

    def says(self, *frames: str | bytes, then: Callable[[ServerConnection], Awaitable[None]] | None = None) -> None:
        """To its first frame each socket answers these; then it does `then`, or listens until the client leaves."""

        async def conduct(socket: ServerConnection) -> None:
            self.received.append(await socket.recv())
            for frame in frames:
                await socket.send(frame)
            await (then or self.listen)(socket)

        self.conduct = conduct

    async def listen(self, socket: ServerConnection) -> None:
        """Keeps what comes until the client leaves."""
        async for frame in socket:
            self.received.append(frame)

    async def _serve(self, socket: ServerConnection) -> None:
        try:
            await (self.conduct or self.listen)(socket)
            await socket.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            self.closes.append((socket.close_code or 0, socket.close_reason or ""))
            self.left.set()

    def _answer(self, socket: ServerConnection, request: Request) -> Response | None:
        self.opened.append(request)
        if self.refusal is None:
            return None
        status, headers, body = self.refusal
        return Response(status, "Refused", Headers([*headers.items(), ("content-length", str(len(body)))]), body)


@contextlib.contextmanager
def socket_upstream() -> Iterator[SocketUpstream]:
    """A provider of sockets on a port of its own."""
    upstream = SocketUpstream()
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def run() -> None:
        options: dict[str, Any] = {"max_size": None, "max_queue": None, "close_timeout": 1, "subprotocols": [Subprotocol("realtime")]}
        async with serve(upstream._serve, "127.0.0.1", 0, process_request=upstream._answer, select_subprotocol=_first, **options) as server:
            upstream.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    try:
        assert ready.wait(WAIT_S)
        yield upstream
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_S)
        loop.close()


def _first(socket: ServerConnection, offered: Any) -> Subprotocol | None:
    """As the provider does: `realtime` where it is offered, else none."""
    return next((name for name in offered if name == "realtime"), None)


def opened(front: Proxy, target: str = "/v1/realtime?model=gpt-realtime", **options: Any) -> ClientConnection:
    """A socket through the proxy."""
    headers = {"authorization": f"Bearer {KEY}", **options.pop("headers", {})}
    url = front.url.replace("http", "ws", 1) + target
    made: ClientConnection = connect(url, additional_headers=headers, max_size=None, close_timeout=2, **options)
    return made


def refusal(front: Proxy, target: str = "/v1/realtime?model=gpt-realtime", **options: Any) -> Response:
    """The HTTP answer to a handshake that is refused."""
    with pytest.raises(InvalidStatus) as refused, opened(front, target, **options):
        raise AssertionError("the socket stands")
    return refused.value.response


def read(socket: ClientConnection, count: int) -> list[str | bytes]:
    return [socket.recv(timeout=15) for _ in range(count)]
