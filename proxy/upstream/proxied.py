"""The way to providers through an HTTP proxy that the environment names: aiohttp takes it. It must never parse a body."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.http_client import CONNECT_S, connecting_within
from proxy.upstream.base import Headers, UpstreamRequest, status_of
from proxy.upstream.silence import Patience, Silence, broke, too_slow, unreachable

AT_ONCE_BYTES = 1024 * 1024
SLICE_BYTES = 256 * 1024


class ProxiedReply:
    """An aiohttp response behind the `UpstreamReply` shape."""

    __slots__ = ("_origin", "_response", "_silence", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, origin: str, silence: Silence) -> None:
        self._response = response
        self._origin = origin
        self._silence = silence
        self.status = status_of(response.status)
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
                raise too_slow(self._origin) from None
            raise
        except (aiohttp.ClientError, OSError) as error:
            if arrived := self._arrived():
                yield arrived
            raise broke(self._origin, type(error).__name__) from error

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
            raise broke(self._origin, type(error).__name__) from error

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


class ProxiedDoor:
    """Sends requests through the process's one client session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def send(self, request: UpstreamRequest, proxy: str, patience: Patience) -> ProxiedReply:
        """The reply's head, through `proxy`. Raises UpstreamUnreachable or UpstreamTimeout."""
        url = URL(request.url, encoded=True)
        origin = url.host_port_subcomponent or "this address"
        silence = patience.silence()
        try:
            response = await self._request(request, url, proxy, silence, patience.connect_s)
        except asyncio.CancelledError:
            silence.over()
            if silence.absorb():
                raise too_slow(origin) from None
            raise
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            silence.over()
            raise unreachable(origin, type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:
            silence.over()
            raise broke(origin, type(error).__name__) from error
        silence.heard()
        return ProxiedReply(response, origin, silence)

    async def _request(self, request: UpstreamRequest, url: URL, proxy: str, silence: Silence, connect_s: float) -> aiohttp.ClientResponse:
        options: dict[str, Any] = {"proxy": proxy}
        if connect_s != CONNECT_S:
            options["timeout"] = connecting_within(connect_s)
        body, length = request.body, []
        if isinstance(body, bytes):
            if len(body) > AT_ONCE_BYTES:
                length, body = [(b"content-length", b"%d" % len(body))], _slices(body, silence)
        elif body is not None:
            body = _heard(body, silence)
        headers: CIMultiDict[str] = CIMultiDict([(name.decode("latin-1"), _text(value)) for name, value in request.headers + length])
        return await self._session.request(request.method, url, headers=headers, data=body, allow_redirects=False, **options)


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
