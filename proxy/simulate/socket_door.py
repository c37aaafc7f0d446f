"""The way out to the simulated provider's sockets inside this process. It must never open a socket of the system."""

import asyncio
from collections import deque

from proxy.clock import Clock
from proxy.errors import UpstreamUnreachable
from proxy.simulate.exchange import Asked, Cut, Refused
from proxy.simulate.framing import document_bytes
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.sockets.session import Session
from proxy.simulate.sockets.table import session_at
from proxy.upstream.base import Headers
from proxy.upstream.socket import Closed, Frame, HandshakeRefused, SocketRequest

MOST_WAITING = 10_000
"""Events that wait to be read; a long answer has some thousands."""


class SimulatedSocket:
    """A simulated session behind the `UpstreamSocket` shape: what it says is read one event at a time, as the reader takes it."""

    def __init__(self, session: Session, subprotocol: str | None) -> None:
        self._session = session
        self._waiting: deque[str] = deque(session.greeting())
        self._said = asyncio.Event()
        self._said.set()
        self._room = asyncio.Event()
        self._broken = False
        self.headers: Headers = [(name.encode(), value.encode()) for name, value in session.headers]
        self.subprotocol = subprotocol

    async def receive(self) -> Frame | Closed:
        """The next event; a cut that was ordered breaks the connection."""
        while not self._waiting:
            if self._broken:
                raise UpstreamUnreachable("the simulated provider cut the socket, as ordered.", code="upstream_broke")
            self._said.clear()
            await self._said.wait()
        await asyncio.sleep(self._session.pause_s)
        event = self._waiting.popleft()
        if len(self._waiting) < MOST_WAITING:
            self._room.set()
        return event

    async def send(self, frame: Frame) -> None:
        """One event of the client's; it waits while too much of what was said is unread."""
        while len(self._waiting) >= MOST_WAITING:
            self._room.clear()
            await self._room.wait()
        try:
            for event in self._session.hear(frame):
                self._waiting.append(event)
        except Cut:
            self._broken = True
        self._said.set()

    async def close(self, closed: Closed) -> None:
        """Nothing is held open."""
        self._waiting.clear()

    def abort(self) -> None:
        """Nothing is held open."""
        self._waiting.clear()


class SimulatedSockets:
    """Opens sockets to a simulated provider of its own."""

    def __init__(self, *, clock: Clock) -> None:
        self._provider = SimulatedProvider(clock=clock)

    async def connect(self, request: SocketRequest) -> SimulatedSocket:
        """The socket. Raises HandshakeRefused where the provider refuses it."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        asked = Asked(method="GET", path=request.path, headers=headers, body=b"", query=request.url.partition("?")[2] or request.query)
        try:
            session = session_at(self._provider, asked)
        except Refused as refused:
            raise HandshakeRefused(
                refused.status, [(b"content-type", b"application/json")], document_bytes(refused.document())
            ) from refused
        return SimulatedSocket(session, "realtime" if "realtime" in request.subprotocols else None)
