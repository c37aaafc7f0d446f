"""The door to providers that speak the caller's dialect: bytes go through untouched. It must never parse a body."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.errors import UpstreamTimeout, UpstreamUnreachable
from proxy.http_client import egress_proxy
from proxy.upstream.base import Headers, UpstreamRequest

KNOWN_URLS = 4096
AT_ONCE_BYTES = 1024 * 1024
SLICE_BYTES = 256 * 1024


class WireReply:
    """An aiohttp response behind the `UpstreamReply` shape."""

    __slots__ = ("_origin", "_response", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, origin: str) -> None:
        self._response = response
        self._origin = origin
        self.status = response.status
        self.headers: Headers = [(name.lower(), value) for name, value in response.raw_headers]

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives."""
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except aiohttp.ServerTimeoutError as error:
            raise _too_slow(self._origin) from error
        except (aiohttp.ClientError, OSError) as error:
            if arrived := self._arrived():
                yield arrived
            raise _broke(self._origin, error) from error

    def _arrived(self) -> bytes:
        """What came before a break and was not handed out: the client's all the same, and metered. aiohttp has no public way to it."""
        return self._response.content._read_nowait(-1)

    async def read(self) -> bytes:
        """The whole body."""
        try:
            return await self._response.read()
        except aiohttp.ServerTimeoutError as error:
            raise _too_slow(self._origin) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _broke(self._origin, error) from error

    @property
    def ended(self) -> bool:
        """True when the whole body has been handed out."""
        return self._response.content.at_eof()

    def close(self, *, broken: bool = False) -> None:
        """Back to the pool, or dropped when the body was not read to its end."""
        if broken:
            self._response.close()
        else:
            self._response.release()


class WireUpstream:
    """Sends requests through the process's one client session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._urls: dict[str, URL] = {}
        self._proxies: dict[str, str | None] = {}

    async def send(self, request: UpstreamRequest) -> WireReply:
        """The reply's head. Raises UpstreamUnreachable or UpstreamTimeout."""
        url = self._urls.get(request.url) or self._learn(request.url)
        origin = url.raw_authority
        options: dict[str, Any] = {}
        if proxy := self._proxies[origin]:
            options["proxy"] = proxy
        body = request.body
        length = []
        if isinstance(body, bytes) and len(body) > AT_ONCE_BYTES:
            length, body = [(b"content-length", b"%d" % len(body))], _slices(body)
        headers: CIMultiDict[str] = CIMultiDict([(name.decode("latin-1"), _text(value)) for name, value in request.headers + length])
        try:
            response = await self._session.request(request.method, url, headers=headers, data=body, allow_redirects=False, **options)
        except aiohttp.ConnectionTimeoutError as error:
            raise _unreachable(origin, error) from error
        except aiohttp.ServerTimeoutError as error:
            raise _too_slow(origin) from error
        except aiohttp.ClientConnectorError as error:
            raise _unreachable(origin, error) from error
        except (aiohttp.ClientError, OSError) as error:
            raise _broke(origin, error) from error
        return WireReply(response, origin)

    def _learn(self, text: str) -> URL:
        """The parsed address, kept; the path and the query stay exactly as the caller wrote them."""
        if len(self._urls) >= KNOWN_URLS:
            self._urls.clear()
        url = self._urls[text] = URL(text, encoded=True)
        if url.raw_authority not in self._proxies:
            self._proxies[url.raw_authority] = egress_proxy(text)
        return url


async def _slices(body: bytes) -> AsyncIterator[bytes]:
    """A large body in pieces, so that other calls go on between them."""
    for at in range(0, len(body), SLICE_BYTES):
        yield body[at : at + SLICE_BYTES]


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


def origin_of(url: str) -> str:
    """host:port of an address, for messages and comparisons."""
    parts = urlsplit(url)
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.hostname}:{parts.port or default}"
