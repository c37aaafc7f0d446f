"""The shape of every way out for WebSockets: one handshake, then frames both ways. It must never know a provider by name."""

from dataclasses import dataclass
from typing import Protocol, TypeAlias

from proxy.upstream.base import Headers

Frame: TypeAlias = str | bytes
"""A whole message: text stays text, binary stays binary."""

NO_STATUS = 1005
"""Stands for a close that names no code; it never travels."""

LARGEST_CLOSE_REASON_BYTES = 123


@dataclass(frozen=True, slots=True)
class Closed:
    """A close as the peer said it: its code, NO_STATUS where it named none, and its reason."""

    code: int
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketRequest:
    """A handshake that leaves: `url` is the whole address (http or https), `path` and `query` what the caller asked for.

    headers are lower-case names without those of the handshake itself. longest_bytes: of a message.
    """

    url: str
    path: str
    query: str
    headers: Headers
    subprotocols: tuple[str, ...]
    longest_bytes: int


class HandshakeRefused(Exception):
    """The provider answered the handshake with an HTTP answer of its own."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        super().__init__(f"the handshake was answered {status}")
        self.status = status
        self.headers = headers
        self.body = body


class UpstreamSocket(Protocol):
    """A socket that stands. headers: of the provider's answer to the handshake, names in lower case."""

    headers: Headers
    subprotocol: str | None

    async def receive(self) -> Frame | Closed:
        """The next message, or the provider's close. Raises UpstreamUnreachable (code upstream_broke) when the connection breaks."""

    async def send(self, frame: Frame) -> None:
        """Sends a message, waiting while the provider is slow. Raises UpstreamUnreachable (code upstream_broke)."""

    async def close(self, closed: Closed) -> None:
        """Ends it with this code and reason; returns soon, answered or not."""

    def abort(self) -> None:
        """Drops the connection without a word."""


class SocketDoor(Protocol):
    """A door through which sockets are opened."""

    async def connect(self, request: SocketRequest) -> UpstreamSocket:
        """The socket, once it stands. Raises HandshakeRefused, UpstreamUnreachable or UpstreamTimeout."""
