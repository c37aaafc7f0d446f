"""The door to providers that speak the caller's dialect: bytes go through untouched. It must never parse a body."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from config.settings import Timeouts
from proxy.errors import UpstreamTimeout, UpstreamUnreachable
from proxy.http_client import CONNECT_S, connecting_within, egress_proxy
from proxy.sweep import Sweeper
from proxy.upstream.base import Headers, UpstreamRequest

SILENCE_S = 600.0
"""Reasoning models think for minutes before the first byte, and between two."""

SWEEPS = 60
"""A silence is noticed at most this part of its limit too late."""

KNOWN_URLS = 4096
AT_ONCE_BYTES = 1024 * 1024
SLICE_BYTES = 256 * 1024


class Silence:
    """The longest a provider may say nothing; `broken` once it was too long, and the task that waits has been cancelled for it."""

    __slots__ = ("_patience_s", "_sweeper", "_task", "broken")

    def __init__(self, sweeper: Sweeper, patience_s: float) -> None:
        self._sweeper = sweeper
        self._patience_s = patience_s
        self._task = asyncio.current_task()
        self.broken = False
        sweeper.add(self, patience_s)

    def heard(self) -> None:
        """Something came, or went: the patience begins anew."""
        self._sweeper.add(self, self._patience_s)

    def over(self) -> None:
        """Nothing is waited for any more."""
        self._sweeper.remove(self)

    def overdue(self) -> None:
        """Ends the wait."""
        if self._task is not None:
            self.broken = True
            self._task.cancel()

    def absorb(self) -> bool:
        """True, and our cancellation taken back, when it was us who ended the wait."""
        if self.broken and self._task is not None:
            self._task.uncancel()
        return self.broken


class Patience(NamedTuple):
    """How long a provider may take. connecting: None for the session's own limit; one sweeper serves all calls of one patience."""

    sweeper: Sweeper
    silence_s: float
    connecting: aiohttp.ClientTimeout | None


class WireReply:
    """An aiohttp response behind the `UpstreamReply` shape."""

    __slots__ = ("_origin", "_response", "_silence", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, origin: str, silence: Silence) -> None:
        self._response = response
        self._origin = origin
        self._silence = silence
        self.status = response.status
        self.headers: Headers = [(name.lower(), value) for name, value in response.raw_headers]

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        content, silence = self._response.content, self._silence
        try:
            while chunk := await content.readany():
                silence.heard()
                yield chunk
            silence.over()
        except asyncio.CancelledError:
            if silence.absorb():
                raise _too_slow(self._origin) from None
            raise
        except (aiohttp.ClientError, OSError) as error:
            if arrived := self._arrived():
                yield arrived
            raise _broke(self._origin, error) from error

    def _arrived(self) -> bytes:
        """What came before a break and was not handed out: the client's all the same, and metered. aiohttp has no public way to it."""
        return self._response.content._read_nowait(-1)

    async def read(self) -> bytes:
        """The whole body."""
        if not self._response.content.is_eof():
            return b"".join([chunk async for chunk in self.chunks()])
        self._silence.over()
        try:
            return await self._response.read()
        except (aiohttp.ClientError, OSError) as error:
            raise _broke(self._origin, error) from error

    @property
    def ended(self) -> bool:
        """True when the whole body has been handed out."""
        return self._response.content.at_eof()

    def close(self, *, broken: bool = False) -> None:
        """Back to the pool, or dropped when the body was not read to its end."""
        self._silence.over()
        if broken:
            self._response.close()
        else:
            self._response.release()


class WireUpstream:
    """Sends requests through the process's one client session. silence_s: the longest a provider may say nothing."""

    def __init__(self, session: aiohttp.ClientSession, *, silence_s: float = SILENCE_S) -> None:
        self._session = session
        self._own = Patience(Sweeper(silence_s / SWEEPS), silence_s, None)
        self._patiences: dict[tuple[float, float], Patience] = {}
        self._urls: dict[str, URL] = {}
        self._proxies: dict[str, str | None] = {}

    async def send(self, request: UpstreamRequest) -> WireReply:
        """The reply's head. Raises UpstreamUnreachable or UpstreamTimeout."""
        url = self._urls.get(request.url) or self._learn(request.url)
        origin = url.raw_authority
        patience = self._own if request.timeouts is None else self._patience(request.timeouts)
        silence = Silence(patience.sweeper, patience.silence_s)
        try:
            response = await self._request(request, url, silence, patience.connecting)
        except asyncio.CancelledError:
            silence.over()
            if silence.absorb():
                raise _too_slow(origin) from None
            raise
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            silence.over()
            raise _unreachable(origin, error) from error
        except (aiohttp.ClientError, OSError) as error:
            silence.over()
            raise _broke(origin, error) from error
        silence.heard()
        return WireReply(response, origin, silence)

    async def _request(
        self, request: UpstreamRequest, url: URL, silence: Silence, connecting: aiohttp.ClientTimeout | None
    ) -> aiohttp.ClientResponse:
        options: dict[str, Any] = {} if connecting is None else {"timeout": connecting}
        if proxy := self._proxies[url.raw_authority]:
            options["proxy"] = proxy
        body, length = request.body, []
        if isinstance(body, bytes):
            if len(body) > AT_ONCE_BYTES:
                length, body = [(b"content-length", b"%d" % len(body))], _slices(body, silence)
        elif body is not None:
            body = _heard(body, silence)
        headers: CIMultiDict[str] = CIMultiDict([(name.decode("latin-1"), _text(value)) for name, value in request.headers + length])
        return await self._session.request(request.method, url, headers=headers, data=body, allow_redirects=False, **options)

    def _patience(self, timeouts: Timeouts) -> Patience:
        """What serves calls with these limits; made once for each pair of them."""
        key = (timeouts.connect_s, timeouts.silence_s)
        found = self._patiences.get(key)
        if found is None:
            connecting = None if timeouts.connect_s == CONNECT_S else connecting_within(timeouts.connect_s)
            found = self._patiences[key] = Patience(Sweeper(timeouts.silence_s / SWEEPS), timeouts.silence_s, connecting)
        return found

    def _learn(self, text: str) -> URL:
        """The parsed address, kept; the path and the query stay exactly as the caller wrote them."""
        if len(self._urls) >= KNOWN_URLS:
            self._urls.clear()
        url = self._urls[text] = URL(text, encoded=True)
        if url.raw_authority not in self._proxies:
            self._proxies[url.raw_authority] = egress_proxy(text)
        return url


async def _slices(body: bytes, silence: Silence) -> AsyncIterator[bytes]:
    """A large body in pieces, so that other calls go on between them."""
    for at in range(0, len(body), SLICE_BYTES):
        silence.heard()
        yield body[at : at + SLICE_BYTES]


async def _heard(body: AsyncIterator[bytes], silence: Silence) -> AsyncIterator[bytes]:
    """A body that streams through; while it does, nobody expects the provider to speak."""
    async for part in body:
        silence.heard()
        yield part


def _text(value: bytes) -> str:
    """A header value as the client library wants it: it writes UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _unreachable(origin: str, error: BaseException) -> UpstreamUnreachable:
    return UpstreamUnreachable(
        f"the provider at {origin} could not be reached ({type(error).__name__}); check api_base, the network and HTTPS_PROXY."
    )


def _broke(origin: str, error: BaseException) -> UpstreamUnreachable:
    return UpstreamUnreachable(
        f"the provider at {origin} cut the answer ({type(error).__name__}); the call can be tried again.", code="upstream_broke"
    )


def _too_slow(origin: str) -> UpstreamTimeout:
    return UpstreamTimeout(f"the provider at {origin} stayed silent longer than the read timeout; try again or raise it.")
