"""The one door of cachetools: answers kept in this process's memory, the least used leave first. It must never outgrow its bound."""

import threading
from collections.abc import Callable

from cachetools import TLRUCache

from proxy.reuse.kept import Kept

MOST_BYTES = 64 * 1024 * 1024


class InMemory:
    """Answers by name, for as long as each was given. Calls and scrapes reach it from two threads, which the library does not bear."""

    def __init__(self, now_ms: Callable[[], int], *, most_bytes: int = MOST_BYTES) -> None:
        self._kept: TLRUCache[str, tuple[Kept, float]] = TLRUCache(
            most_bytes, ttu=lambda name, value, now: value[1], timer=now_ms, getsizeof=lambda value: value[0].size
        )
        self._now_ms = now_ms
        self._alone = threading.Lock()

    async def find(self, name: str) -> Kept | None:
        """What is kept under the name."""
        with self._alone:
            found = self._kept.get(name)
        return None if found is None else found[0]

    async def keep(self, name: str, kept: Kept, seconds: float) -> None:
        """Keeps an answer for so long, in place of an earlier one."""
        if kept.size <= self._kept.maxsize:
            with self._alone:
                self._kept[name] = (kept, self._now_ms() + seconds * 1000)

    async def erase(self, owner: str) -> int:
        """Forgets all that is kept for a caller; how many answers that were."""
        with self._alone:
            names = [name for name in self._kept if name.startswith(f"{owner}:")]
            for name in names:
                self._kept.pop(name, None)
        return len(names)

    def size_bytes(self) -> int | None:
        """Bytes kept now; on any thread."""
        with self._alone:
            self._kept.expire()
            return int(self._kept.currsize)

    async def close(self) -> None:
        """Forgets everything."""
        with self._alone:
            self._kept.clear()
