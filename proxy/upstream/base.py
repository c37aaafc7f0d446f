"""The shape of every way out: one request, one reply, bytes on both sides. It must never know a provider by name."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from config.deployment import Deployment, Timeouts

Headers = list[tuple[bytes, bytes]]
STATUSES = range(100, 600)
SERVERS_ERROR = 599


def status_of(status: int) -> int:
    """The status to go by: one that HTTP does not have is a server's error (RFC 9110, 15)."""
    return status if status in STATUSES else SERVERS_ERROR


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamRequest:
    """What leaves: `url` is the whole address (path and query included); `path` starts with /v1 and is what the caller asked for.

    headers are lower-case names without hop-by-hop ones. body: None, the whole bytes, or an iterator of bytes.
    operation, deployment, api_key: for doors that translate: what is asked (an endpoint's operation), of whom, with which key.
    timeouts: how long the deployment may take, None for the door's own patience.
    """

    method: str
    url: str
    path: str
    headers: Headers
    body: bytes | AsyncIterator[bytes] | None
    operation: str = ""
    deployment: Deployment | None = None
    api_key: str | None = None
    timeouts: Timeouts | None = None


class UpstreamReply(Protocol):
    """What came back. Header names are in lower case, hop-by-hop ones included; the body is as sent on the wire (not decompressed)."""

    status: int
    headers: Headers

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises UpstreamUnreachable (code upstream_broke) when it is cut, UpstreamTimeout when silent too long."""

    async def read(self) -> bytes:
        """The whole body. Raises as `chunks` does."""

    @property
    def ended(self) -> bool:
        """True when the whole body has been handed out."""

    def close(self, *, broken: bool = False) -> None:
        """Gives the connection back, or drops it when the body was not read to its end."""


class Upstream(Protocol):
    """A door: the only place that speaks to the outside in its way."""

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        """The reply's head. Raises UpstreamUnreachable or UpstreamTimeout."""


async def read_whole(reply: UpstreamReply) -> "WholeReply":
    """The reply with its body at hand; its connection is given back, or dropped when it breaks. Raises as the reply does."""
    try:
        whole = WholeReply(reply.status, reply.headers, await reply.read())
    except BaseException:
        reply.close(broken=True)
        raise
    reply.close()
    return whole


@dataclass(slots=True)
class WholeReply:
    """A reply whose body is at hand."""

    status: int
    headers: Headers
    body: bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, once."""
        if self.body:
            yield self.body

    async def read(self) -> bytes:
        """The whole body."""
        return self.body

    @property
    def ended(self) -> bool:
        """Always: nothing is left on a wire."""
        return True

    def close(self, *, broken: bool = False) -> None:
        """Nothing to give back."""
