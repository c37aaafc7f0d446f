"""The one door of Redis for what is shared between processes. It must never be opened at start, nor let an error of its own out.

Whoever uses it says what becomes of a call when Redis is gone: here that is always a ConnectionError of Python's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from redis.asyncio import Redis

_log = logging.getLogger("grammage.redis")
NO_PACKAGE = "the package `redis` is not there: pip install redis"
PATIENCE_S = 0.25
"""How long a call waits for Redis."""
LOOK_S = 3.0
"""How long somebody who looks at the server waits."""


class NoRedisPackage(ConnectionError):
    """Redis is asked for, and nothing here speaks to it."""


class RedisDoor:
    """One client of one server, made at first use; it holds a pool of connections and belongs to one event loop."""

    def __init__(self, url: str, *, patience_s: float = PATIENCE_S) -> None:
        """url: redis:// or rediss://, never shown."""
        self._url = url
        self._patience_s = patience_s
        self._client: Redis | None = None
        self._opening = asyncio.Lock()

    async def client(self) -> Redis:
        """The client; replies are bytes. Raises NoRedisPackage. Use it within `plainly()`, which is entered once it is there."""
        if self._client is None:
            async with self._opening:
                if self._client is None:
                    self._client = await asyncio.to_thread(_made, self._url, self._patience_s)
        return self._client

    async def close(self) -> None:
        """Gives back the connections."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            with plainly():
                await client.aclose()
        except OSError as error:  # a server that hangs now: the rest of the proxy is to be closed all the same
            _log.info("a connection to Redis was dropped: %s", error)


async def server_time_ms(url: str, *, patience_s: float = LOOK_S) -> int:
    """What time the server has, in ms since 1970 UTC. Raises ConnectionError when it does not answer."""
    door = RedisDoor(url, patience_s=patience_s)
    client = await door.client()
    try:
        with plainly():
            seconds, microseconds = await client.time()
    finally:
        await door.close()
    return int(seconds) * 1000 + int(microseconds) // 1000


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Raises ConnectionError for whatever Redis, or the way to it, fails of inside."""
    try:
        from redis.exceptions import RedisError  # loaded with the client; not needed by those who use no Redis
    except ImportError as error:
        raise NoRedisPackage(NO_PACKAGE) from error
    try:
        yield
    except RedisError as error:
        raise ConnectionError(f"Redis does not serve ({type(error).__name__})") from error


def _made(url: str, patience_s: float) -> Redis:
    """A client, not connected yet. Blocks while the package is imported."""
    try:
        from redis.asyncio import Redis  # slow to import, optional, and needed only where Redis is configured
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError as error:
        raise NoRedisPackage(NO_PACKAGE) from error
    try:
        return Redis.from_url(url, socket_timeout=patience_s, socket_connect_timeout=patience_s, retry=Retry(NoBackoff(), 1))
    except ValueError as error:
        raise ConnectionError("the address under `redis:` cannot be read") from error
