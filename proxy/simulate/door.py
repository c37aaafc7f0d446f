"""The way out to the simulated provider inside this process, in the shape of every upstream door. It must never open a socket."""

from collections.abc import AsyncIterator

from proxy.clock import Clock
from proxy.errors import UpstreamUnreachable
from proxy.simulate.exchange import Answered, Asked, Cut
from proxy.simulate.faults import Faults
from proxy.simulate.provider import SimulatedProvider
from proxy.upstream.base import Headers, UpstreamRequest


class SimulatedReply:
    """An answer of the simulated provider behind the `UpstreamReply` shape."""

    __slots__ = ("_body", "_ended", "headers", "status")

    def __init__(self, answered: Answered) -> None:
        self.status = answered.status
        self.headers: Headers = list(answered.headers)
        if answered.declared_length is not None:
            self.headers.append((b"content-length", str(answered.declared_length).encode()))
        self._body = answered.body
        self._ended = isinstance(answered.body, bytes)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it is written. Raises UpstreamUnreachable (code upstream_broke) when a cut was ordered."""
        if isinstance(self._body, bytes):
            if self._body:
                yield self._body
            return
        try:
            async for part in self._body:
                yield part
            self._ended = True
        except Cut as cut:
            raise UpstreamUnreachable("the simulated provider cut the answer, as ordered.", code="upstream_broke") from cut

    async def read(self) -> bytes:
        """The whole body. Raises as `chunks` does."""
        return self._body if isinstance(self._body, bytes) else b"".join([part async for part in self.chunks()])

    @property
    def ended(self) -> bool:
        """True when the whole body has been handed out."""
        return self._ended

    def close(self, *, broken: bool = False) -> None:
        """Nothing is held open; the body is let go."""
        self._body = b""


class SimulatedUpstream:
    """Sends requests to a simulated provider of its own."""

    def __init__(self, *, clock: Clock, faults: Faults | None = None, pace: bool = False) -> None:
        self._provider = SimulatedProvider(clock=clock, faults=faults, pace=pace)

    async def send(self, request: UpstreamRequest) -> SimulatedReply:
        """The reply's head; it never fails to be reached."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in request.headers}
        path, query = request.path.partition("?")[0], request.url.partition("?")[2]
        body = await _whole(request.body)
        return SimulatedReply(self._provider.answer(Asked(method=request.method, path=path, headers=headers, body=body, query=query)))


async def _whole(body: bytes | AsyncIterator[bytes] | None) -> bytes:
    if body is None or isinstance(body, bytes):
        return body or b""
    return b"".join([part async for part in body])
