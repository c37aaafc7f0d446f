"""Finds the addresses of a host and keeps them for a while. It must never ask twice at once for the same one."""

import asyncio
import socket
from contextlib import suppress

from aiohappyeyeballs import AddrInfoType, start_connection

from proxy.upstream.http1.target import Origin

KEPT_S = 60.0
NEXT_ADDRESS_S = 0.25
"""How long an address may take before the next one is tried beside it (RFC 8305)."""

KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))
"""A provider that vanished is noticed within two minutes, and what lies between keeps the way open while a model thinks."""


class Names:
    """The addresses of hosts. Belongs to one event loop."""

    def __init__(self) -> None:
        self._kept: dict[Origin, tuple[float, list[AddrInfoType]]] = {}
        self._asking: dict[Origin, asyncio.Task[list[AddrInfoType]]] = {}

    async def connect(self, origin: Origin) -> socket.socket:
        """A socket to the first address that answers. Raises OSError, UnicodeError."""
        addresses = await self._addresses(origin)
        try:
            reached = await start_connection(addresses, happy_eyeballs_delay=NEXT_ADDRESS_S, interleave=1)
        except OSError:
            self._kept.pop(origin, None)
            raise
        reached.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(reached)
        return reached

    def close(self) -> None:
        """Gives up what is being asked."""
        for asking in self._asking.values():
            asking.cancel()

    async def _addresses(self, origin: Origin) -> list[AddrInfoType]:
        """All addresses, beginning with another one each time."""
        loop = asyncio.get_running_loop()
        until, addresses = self._kept.get(origin, (0.0, []))
        if until <= loop.time():
            addresses = _literal(origin) or await self._ask(origin)
            self._kept[origin] = (loop.time() + KEPT_S, addresses)
        addresses.append(addresses.pop(0))
        return list(addresses)

    async def _ask(self, origin: Origin) -> list[AddrInfoType]:
        asking = self._asking.get(origin)
        if asking is None:
            loop = asyncio.get_running_loop()
            asking = self._asking[origin] = loop.create_task(_looked_up(origin.host, origin.port))
            asking.add_done_callback(lambda done: self._asked(origin, done))
        return list(await asyncio.shield(asking))

    def _asked(self, origin: Origin, asking: asyncio.Task[list[AddrInfoType]]) -> None:
        del self._asking[origin]
        if not asking.cancelled():
            asking.exception()  # who asked has heard it; nobody may be left


async def _looked_up(host: str, port: int) -> list[AddrInfoType]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    if not found:
        raise OSError("the name has no address")
    return list(found)


def _literal(origin: Origin) -> list[AddrInfoType]:
    """The address that the host is, where it is one: nobody needs to be asked."""
    with suppress(OSError, UnicodeError):
        flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        return list(socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM, flags=flags))
    return []


def _keep_alive(reached: socket.socket) -> None:
    reached.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE:
        if (option := getattr(socket, name, None)) is not None:
            reached.setsockopt(socket.IPPROTO_TCP, option, value)
