"""The door for WebSockets to providers that speak the caller's dialect. It must never read, join or compress a message."""

import asyncio
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.errors import UpstreamTimeout, UpstreamUnreachable
from proxy.http_client import egress_proxy
from proxy.upstream.base import Headers
from proxy.upstream.socket import NO_STATUS, Closed, Frame, HandshakeRefused, SocketRequest

HANDSHAKE_S = 60.0
CLOSE_S = 2.0
"""What a provider gets to answer a close."""

LARGEST_REFUSAL_BYTES = 256 * 1024
SWITCHING = 101
KEEP_ALIVE: Mapping[str, int] = MappingProxyType({"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4})
"""A provider that vanished is noticed by the system within two minutes; a slow client's is not mistaken for one."""


class _Socket(aiohttp.ClientWebSocketResponse):
    """aiohttp's socket, whose connection can be dropped and whose answer to the handshake can be read."""

    @property
    def raw_headers(self) -> Headers:
        """Of the provider's answer, names in lower case."""
        return [(name.lower(), value) for name, value in self._response.raw_headers]

    def drop(self) -> None:
        """Closes the connection without a close frame."""
        self._response.close()


class WireSocket:
    """A socket of aiohttp behind the `UpstreamSocket` shape."""

    __slots__ = ("_origin", "_socket", "headers", "subprotocol")

    def __init__(self, opened: _Socket, origin: str) -> None:
        self._socket = opened
        self._origin = origin
        self.headers = opened.raw_headers
        self.subprotocol = opened.protocol
        _keep_alive(opened)

    async def receive(self) -> Frame | Closed:
        """The next message, or the provider's close; an end without one is a break."""
        message = await self._socket.receive()
        kind = message.type
        if kind is aiohttp.WSMsgType.TEXT or kind is aiohttp.WSMsgType.BINARY:
            frame: Frame = message.data
            return frame
        if kind is aiohttp.WSMsgType.CLOSE:
            return Closed(message.data or NO_STATUS, message.extra or "")
        raise _broke(self._origin)

    async def send(self, frame: Frame) -> None:
        """Sends a message as one frame."""
        try:
            await (self._socket.send_str(frame) if isinstance(frame, str) else self._socket.send_bytes(frame))
        except (aiohttp.ClientError, OSError) as error:
            raise _broke(self._origin) from error

    async def close(self, closed: Closed) -> None:
        """Ends it; a close without a code leaves without one."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if closed.code == NO_STATUS:
                    await self._socket.send_frame(b"", aiohttp.WSMsgType.CLOSE)
                    while (await self._socket.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                        pass
                else:
                    await self._socket.close(code=closed.code, message=closed.reason.encode())
        except (TimeoutError, aiohttp.ClientError, OSError):
            pass  # it is gone, or does not answer: dropping it below is all that is left to do
        finally:
            self._socket.drop()

    def abort(self) -> None:
        """Drops the connection."""
        self._socket.drop()


class WireSockets:
    """Opens sockets through the connections of the process's one client session."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._shared = session
        self._made: aiohttp.ClientSession | None = None

    async def connect(self, request: SocketRequest) -> WireSocket:
        """The socket, once it stands."""
        url = URL(request.url, encoded=True)
        origin = url.raw_authority
        headers: CIMultiDict[str] = CIMultiDict([(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers])
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                opened: Any = await self._session.ws_connect(
                    url,
                    headers=headers,
                    protocols=request.subprotocols,
                    proxy=egress_proxy(request.url),
                    autoclose=False,
                    compress=0,
                    max_msg_size=request.longest_bytes,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
        except TimeoutError as error:
            raise UpstreamTimeout(
                f"the provider at {origin} did not answer the WebSocket handshake within {HANDSHAKE_S:g} s; try again."
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachable(
                f"no WebSocket could be opened to the provider at {origin} ({type(error).__name__}); check api_base and the network."
            ) from error
        return WireSocket(opened, origin)

    async def close(self) -> None:
        """Lets the session go; the connections are the shared one's."""
        if self._made is not None:
            await self._made.close()

    @property
    def _session(self) -> aiohttp.ClientSession:
        """A session beside the shared one, on its connections, that keeps what a refused handshake was answered."""
        if self._made is None:
            self._made = aiohttp.ClientSession(
                connector=self._shared.connector,
                connector_owner=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                timeout=self._shared.timeout,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                ws_response_class=_Socket,
                middlewares=(_keep_refusal,),
                max_line_size=64 * 1024,
                max_field_size=64 * 1024,
            )
        return self._made


async def _keep_refusal(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """The answer to a handshake, when it opens a socket. Raises HandshakeRefused with the provider's own answer otherwise."""
    response = await handler(request)
    if response.status == SWITCHING:
        return response
    try:
        body = await _bounded(response)
    finally:
        response.close()
    raise HandshakeRefused(response.status, [(name.lower(), value) for name, value in response.raw_headers], body)


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > LARGEST_REFUSAL_BYTES:
            break
    return b"".join(parts)[:LARGEST_REFUSAL_BYTES]


def _keep_alive(opened: _Socket) -> None:
    held = opened.get_extra_info("socket")
    if held is None:
        return
    held.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):
            held.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _broke(origin: str) -> UpstreamUnreachable:
    return UpstreamUnreachable(f"the provider at {origin} broke the WebSocket off; connect again.", code="upstream_broke")
