"""The door to providers that speak the caller's dialect: bytes go through untouched. It must never parse a body."""

import ssl
from collections.abc import Coroutine
from typing import Any

import aiohttp

from proxy.http_client import egress_proxy, tls_context
from proxy.upstream.base import UpstreamReply, UpstreamRequest
from proxy.upstream.http1.door import Http1Door, Way
from proxy.upstream.proxied import ProxiedDoor
from proxy.upstream.silence import SILENCE_S, Patiences

KNOWN_URLS = 4096


class WireUpstream:
    """Sends requests on connections of our own, or through the HTTP proxy that the environment names for an address.

    session: the process's one client session. tls: how certificates are checked. silence_s: the longest a provider may say nothing.
    """

    def __init__(self, session: aiohttp.ClientSession, tls: ssl.SSLContext | None = None, *, silence_s: float = SILENCE_S) -> None:
        self._own = Http1Door(tls or tls_context())
        self._proxied = ProxiedDoor(session)
        self._patiences = Patiences(silence_s)
        self._ways: dict[str, Way | str] = {}
        self._proxies: dict[str, str | None] = {}

    def send(self, request: UpstreamRequest) -> Coroutine[Any, Any, UpstreamReply]:
        """The reply's head. Raises UpstreamUnreachable or UpstreamTimeout."""
        way = self._ways.get(request.url) or self._learn(request.url)
        patience = self._patiences.of(request.timeouts)
        if isinstance(way, str):
            return self._proxied.send(request, way, patience)
        return self._own.send(request, way, patience)

    async def close(self) -> None:
        """Ends our own connections."""
        await self._own.close()

    def _learn(self, url: str) -> Way | str:
        """How to reach an address, kept: our own way, or the proxy to go through."""
        if len(self._ways) >= KNOWN_URLS:
            self._ways.clear()
        own = self._own.way_to(url)
        shown = f"{own.target.origin.scheme}://{own.target.shown}"
        if shown not in self._proxies:
            self._proxies[shown] = egress_proxy(url)
        way = self._ways[url] = self._proxies[shown] or own
        return way
