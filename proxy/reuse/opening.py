"""Chooses where answers are kept: in Redis where one is configured, else in memory. It must never load what is not chosen."""

from proxy.clock import Clock
from proxy.redis_door import RedisDoor
from proxy.reuse.room import Store


def reuse_store(redis: str | None, clock: Clock) -> Store:
    """The store. redis: a redis:// URL, None for this process's memory."""
    if redis is not None:
        from proxy.reuse.shared import InRedis  # needed only where it is chosen

        return InRedis(RedisDoor(redis), clock.perf)
    from proxy.reuse.memory import InMemory  # its library is needed only where some policy reuses

    return InMemory(clock.now_ms)
