"""The one HTTP client of the process. It must never follow a redirect, decompress a body or keep a cookie."""

import asyncio
import ssl
import urllib.request
from urllib.parse import urlsplit

import aiohttp

CONNECT_S = 10.0
KEEP_ALIVE_S = 4.5
"""Shorter than what common servers keep (uvicorn: 5 s): a call on a connection that the other side is closing would fail."""

READ_BUFFER_BYTES = 256 * 1024


def open_session() -> aiohttp.ClientSession:
    """A client session on the running loop: unlimited connections, kept alive, certificates checked (SSL_CERT_FILE honoured).

    It does not limit silence while reading: the door does, without a timer per read.
    """
    connector = aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=KEEP_ALIVE_S,
        ttl_dns_cache=60,
        ssl=ssl.create_default_context(),
        enable_cleanup_closed=False,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        read_bufsize=READ_BUFFER_BYTES,
        max_line_size=64 * 1024,
        max_field_size=64 * 1024,
    )


def egress_proxy(url: str) -> str | None:
    """The HTTP proxy that the environment (HTTPS_PROXY, HTTP_PROXY, NO_PROXY) names for `url`, or None. Read once per origin."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if urllib.request.proxy_bypass(host):
        return None
    return urllib.request.getproxies().get(parts.scheme)


async def close_session(session: aiohttp.ClientSession) -> None:
    """Closes the session and lets its transports go."""
    await session.close()
    await asyncio.sleep(0)
