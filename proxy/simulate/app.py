"""The simulated provider behind a socket, as an ASGI application. It must never word an answer: that is the provider's."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.clock import Clock
from proxy.simulate.exchange import Answered, Asked, Cut
from proxy.simulate.faults import Faults
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.socket_app import serve_socket

# ASGI's own shapes
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


def create_simulated_provider(
    *, faults: Faults | None = None, clock: Clock, pace: bool = False, seen: list[Asked] | None = None
) -> "SimulatedProviderApp":
    """The application. seen: a list that gets every request, for tests; without it nothing asked is kept."""
    return SimulatedProviderApp(SimulatedProvider(clock=clock, faults=faults, pace=pace), seen)


class SimulatedProviderApp:
    """Raw ASGI: reads a request, sends the answer, stops when the client leaves. `left` counts clients who left before the end."""

    def __init__(self, provider: SimulatedProvider, seen: list[Asked] | None = None) -> None:
        self._provider = provider
        self._seen = seen
        self.left = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "websocket":
            asked = _asked(scope, "GET", b"")
            if self._seen is not None:
                self._seen.append(asked)
            self.left += await serve_socket(self._provider, asked, scope, receive, send)

    async def _serve(self, scope: Message, receive: Receive, send: Send) -> None:
        body = await _read(receive)
        if body is None:
            self.left += 1
            return
        asked = _asked(scope, scope["method"], body)
        if self._seen is not None:
            self._seen.append(asked)
        answered = self._provider.answer(asked)
        if isinstance(answered.body, bytes):
            await _send_whole(answered, answered.body, send)
        else:
            await self._send_while_there(answered, receive, send)

    async def _send_while_there(self, answered: Answered, receive: Receive, send: Send) -> None:
        """Sends a body that takes time; whichever ends first, the sending or the client's stay, ends the other."""
        sending = asyncio.ensure_future(_send_parts(answered, send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not sending.done():
                self.left += 1
            for task in (sending, leaving):
                task.cancel()
            await asyncio.wait((sending, leaving))
        if not sending.cancelled():
            sending.result()


def _asked(scope: Message, method: str, body: bytes) -> Asked:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    return Asked(method=method, path=scope["path"], headers=headers, body=body, query=scope.get("query_string", b"").decode("latin-1"))


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _read(receive: Receive) -> bytes | None:
    """The whole request body; None when the client left before its end."""
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _start_of(answered: Answered) -> Message:
    length = () if answered.declared_length is None else ((b"content-length", str(answered.declared_length).encode()),)
    return {"type": "http.response.start", "status": answered.status, "headers": [*answered.headers, *length]}


async def _send_whole(answered: Answered, body: bytes, send: Send) -> None:
    await send(_start_of(answered))
    await send({"type": "http.response.body", "body": body})


async def _send_parts(answered: Answered, send: Send) -> None:
    """Sends part by part. After a `Cut` the response stays unfinished, so the server closes the connection uncleanly."""
    assert not isinstance(answered.body, bytes)
    started = False
    try:
        async for part in answered.body:
            if not started:
                await send(_start_of(answered))
                started = True
            await send({"type": "http.response.body", "body": part, "more_body": True})
    except Cut:
        if not started:
            await send(_start_of(answered))
        return
    if not started:
        await send(_start_of(answered))
    await send({"type": "http.response.body", "body": b"", "more_body": False})
