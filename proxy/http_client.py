"""The one HTTP client of the process. It must never follow a redirect, decompress a body or keep a cookie."""

import asyncio
import ssl
import urllib.request
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import aiohttp

CONNECT_S = 10.0
KEEP_ALIVE_S = 4.5
"""Shorter than what common servers keep (uvicorn: 5 s): a call on a connection that the other side is closing would fail."""

READ_BUFFER_BYTES = 256 * 1024
MOST_PAGE_BYTES = 4 * 1024 * 1024
OK = 200
PAGE_S = 10.0


def tls_context() -> ssl.SSLContext:
    """Certificates are checked, against those of SSL_CERT_FILE where it is set; HTTP/1.1 is what is spoken."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def open_session(tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A client session on the running loop: unlimited connections, kept alive. tls: how certificates are checked, None for a new context.

    It does not limit silence while reading: the door does, without a timer per read.
    """
    connector = aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=KEEP_ALIVE_S,
        ttl_dns_cache=60,
        ssl=tls or tls_context(),
        enable_cleanup_closed=False,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=connecting_within(CONNECT_S),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
    )


def connecting_within(connect_s: float) -> aiohttp.ClientTimeout:
    """No limit but that of reaching the other side, TLS included."""
    return aiohttp.ClientTimeout(total=None, sock_connect=connect_s)


def egress_proxy(url: str) -> str | None:
    """The HTTP proxy that the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY) names for `url`, or None. Read once per origin."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)


class FetchError(Exception):
    """A small page could not be had; the text says why, without its address. status, headers (names in lower case): of its answer."""

    def __init__(self, reason: str, *, status: int | None = None, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(reason)
        self.status = status
        self.headers = [(name.lower(), value) for name, value in headers]


async def fetch(session: aiohttp.ClientSession, url: str, query: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
    """The body of a small page: a meter's, a table's. Raises FetchError when it is not there in time, not a 200, or too large."""
    try:
        async with asyncio.timeout(PAGE_S):
            async with session.get(
                url, params=dict(query), headers=dict(headers), proxy=egress_proxy(url), allow_redirects=False
            ) as response:
                if response.status != OK:
                    raise FetchError(f"answers {response.status}", status=response.status, headers=response.raw_headers)
                body = await response.content.read(MOST_PAGE_BYTES + 1)
                while body and len(body) <= MOST_PAGE_BYTES and (more := await response.content.read(MOST_PAGE_BYTES + 1 - len(body))):
                    body += more
    except TimeoutError as error:
        raise FetchError(f"does not answer within {PAGE_S:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchError("cannot be reached") from error
    if len(body) > MOST_PAGE_BYTES:
        raise FetchError(f"answers more than {MOST_PAGE_BYTES} bytes")
    return body


async def close_session(session: aiohttp.ClientSession) -> None:
    """Closes the session and lets its transports go."""
    await session.close()
    await asyncio.sleep(0)
