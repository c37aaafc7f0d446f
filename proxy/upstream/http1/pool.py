"""Keeps connections between exchanges, and opens new ones. It must never give out one that the other side may be closing."""

import asyncio
import ssl
from collections import deque
from typing import Any

from proxy.http_client import KEEP_ALIVE_S
from proxy.upstream.http1.connection import Connection
from proxy.upstream.http1.names import Names
from proxy.upstream.http1.target import Origin

LOOKED_AT_S = 0.5
"""One that was free for longer is looked at before it is used."""

SWEEP_S = 1.0


class Pool:
    """The connections to one origin, as many as are needed; the newest goes out first."""

    __slots__ = ("_idle", "_origin", "_pools")

    def __init__(self, origin: Origin, pools: "Pools") -> None:
        self._origin = origin
        self._pools = pools
        self._idle: deque[Connection] = deque()

    def free(self) -> Connection | None:
        """One that is open and was used not long ago; None when there is none."""
        if not self._idle:
            return None
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            idle_s = now - connection.idle_since
            if connection.is_open and idle_s < KEEP_ALIVE_S and (idle_s < LOOKED_AT_S or not connection.has_news()):
                return connection
            connection.drop()
        return None

    async def open(self, connect_s: float) -> Connection:
        """A new one, with TLS where it is due. Raises OSError, TimeoutError, UnicodeError."""
        origin, loop = self._origin, asyncio.get_running_loop()
        tls: dict[str, Any] = {}
        if origin.is_secure:
            tls = {"ssl": self._pools.tls, "server_hostname": origin.certified_name, "ssl_handshake_timeout": connect_s}
        async with asyncio.timeout(connect_s):
            reached = await self._pools.names.connect(origin)
            _, connection = await loop.create_connection(lambda: Connection(self), sock=reached, **tls)
        if connection.is_open:
            self._pools.opened.add(connection)
        return connection

    def take_back(self, connection: Connection) -> None:
        """It is free, and can be used again."""
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.append(connection)
        self._pools.watch()

    def gone(self, connection: Connection) -> None:
        """It is closed."""
        self._pools.opened.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def expire(self, now: float) -> bool:
        """Closes those that were free for too long; True when others are left."""
        idle = self._idle
        while idle and now - idle[0].idle_since >= KEEP_ALIVE_S:
            idle.popleft().drop()
        return bool(idle)


class Pools:
    """The pools of all origins, and what they share: names, certificates, one timer. Belongs to one event loop."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.tls = tls
        self.names = Names()
        self.opened: set[Connection] = set()
        self._pools: dict[Origin, Pool] = {}
        self._timer: asyncio.TimerHandle | None = None

    def of(self, origin: Origin) -> Pool:
        """The pool of an origin."""
        found = self._pools.get(origin)
        if found is None:
            found = self._pools[origin] = Pool(origin, self)
        return found

    def watch(self) -> None:
        """Looks now and then for what is free for too long, while anything is free."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        if sum(pool.expire(now) for pool in self._pools.values()):
            self.watch()

    async def close(self) -> None:
        """Ends all connections and lets their transports go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.names.close()
        for connection in list(self.opened):
            connection.drop()
        await asyncio.sleep(0)
