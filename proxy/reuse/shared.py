"""Answers kept in Redis, for all processes that share it; it forgets them itself. It must never hold a call up for longer than a moment."""

import logging
from collections.abc import Callable

import msgspec

from proxy.redis_door import RedisDoor, plainly
from proxy.reuse.kept import Kept

_log = logging.getLogger("grammage.reuse")
PREFIX = "grammage:reuse:"
BLIND_S = 1.0
"""How long a Redis that could not be reached is let be: no call waits for it in the meantime."""

ERASED_AT_ONCE = 500
_write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(Kept).decode


class InRedis:
    """Answers by name. Where Redis is gone nothing is found and nothing kept."""

    def __init__(self, door: RedisDoor, perf: Callable[[], float]) -> None:
        self._door = door
        self._perf = perf
        self._blind_until = 0.0
        self._is_blind = False

    async def find(self, name: str) -> Kept | None:
        """What is kept under the name; None also where Redis cannot be asked, or holds what cannot be read."""
        if self._perf() < self._blind_until:
            return None
        try:
            client = await self._door.client()
            with plainly():
                raw = await client.get(PREFIX + name)
            self._see()
            return _read(raw) if isinstance(raw, bytes) else None
        except OSError as error:
            self._blind(error)
        except msgspec.MsgspecError:
            _log.warning("an answer that was kept cannot be read; it is passed over")
        return None

    async def keep(self, name: str, kept: Kept, seconds: float) -> None:
        """Keeps an answer for so long, in place of an earlier one."""
        if self._perf() < self._blind_until:
            return
        try:
            client = await self._door.client()
            with plainly():
                await client.set(PREFIX + name, _write(kept), px=max(1, round(seconds * 1000)))
            self._see()
        except OSError as error:
            self._blind(error)

    async def erase(self, owner: str) -> int:
        """Forgets all that is kept for a caller; how many answers that were. Raises ConnectionError."""
        erased = 0
        client = await self._door.client()
        with plainly():
            names = [name async for name in client.scan_iter(match=f"{PREFIX}{owner}:*", count=ERASED_AT_ONCE)]
            for at in range(0, len(names), ERASED_AT_ONCE):
                erased += int(await client.unlink(*names[at : at + ERASED_AT_ONCE]))
        return erased

    def size_bytes(self) -> int | None:
        """Unknown: Redis tells its own."""
        return None

    async def close(self) -> None:
        """Gives back the connections; what is kept stays."""
        await self._door.close()

    def _blind(self, error: OSError) -> None:
        if not self._is_blind:
            _log.warning("no answer is reused: Redis cannot be reached (%s)", type(error.__cause__ or error).__name__)
        self._is_blind, self._blind_until = True, self._perf() + BLIND_S

    def _see(self) -> None:
        if self._is_blind:
            _log.warning("answers are reused again: Redis is back")
        self._is_blind = False
