"""The one door of the limits library: sliding windows in memory, or in Redis. It must never be imported before a key has limits."""

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.storage.redis.redispy import RedispyBridge
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError, StorageError

from proxy.keys.windows import Window

LENGTH_S = 60
PATIENCE_S = 0.25
"""How long a call waits for Redis before it goes on uncounted."""


class NoRedisPackage(ImportError):
    """Redis is asked for, and nothing here speaks to it."""


class LibraryCounters:
    """Counts by kind and account. Raises ConnectionError when Redis cannot be reached."""

    def __init__(self, redis: str | None) -> None:
        """redis: a redis:// URL, None for this process's memory. Raises NoRedisPackage."""
        try:
            self._storage = MemoryStorage() if redis is None else _shared(redis)
        except ConfigurationError as error:
            raise NoRedisPackage(str(error)) from error
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)

    async def hit(self, kind: str, account: str, limit: int, cost: int) -> bool:
        """Counts `cost` if there is room for it."""
        try:
            return await self._limiter.hit(_item(limit), kind, account, cost=cost)
        except StorageError as error:
            raise ConnectionError("the counters cannot be reached") from error.__cause__

    async def look(self, kind: str, account: str, limit: int) -> Window:
        """The window as it stands."""
        try:
            found = await self._storage.get_sliding_window(_item(limit).key_for(kind, account), LENGTH_S)
        except StorageError as error:
            raise ConnectionError("the counters cannot be reached") from error.__cause__
        previous, previous_s, current, left_s = found
        return Window(
            limit=limit,
            length_s=LENGTH_S,
            previous=int(previous),
            previous_s=float(previous_s),
            current=int(current),
            current_s=max(0.0, left_s - LENGTH_S) if current else 0.0,
        )

    async def close(self) -> None:
        """Gives back the connections to Redis; there are none to this process's memory."""
        if isinstance(self._storage, RedisStorage) and isinstance(self._storage.bridge, RedispyBridge):
            await self._storage.bridge.storage.aclose()


def _shared(redis: str) -> RedisStorage:
    return RedisStorage(f"async+{redis}", True, implementation="redispy", socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S)


def _item(limit: int) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(limit, namespace="grammage")
