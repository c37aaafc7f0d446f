"""Time and ids, passed in as values. Nobody else in the project reads a clock."""

import os
import time
from datetime import UTC, datetime

_IDS_AT_ONCE = 256
_RANDOM_BYTES = 10


class Clock:
    """The real clock. Tests pass their own object with the same methods."""

    def now(self) -> datetime:
        """Current time, aware, UTC."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """Current time in whole milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def perf(self) -> float:
        """Monotonic seconds, for durations only."""
        return time.perf_counter()

    def process_cpu(self) -> float:
        """Seconds of processor time that this process has used since its start."""
        return time.process_time()

    def thread_cpu(self) -> float:
        """Seconds of processor time that the calling thread has used, for differences only."""
        return time.thread_time()


class _Randomness:
    """Random bytes for many ids, drawn from the system at once: a draw per call would give up the interpreter's lock each time."""

    def __init__(self) -> None:
        self._pool: list[int] = []

    def draw(self) -> int:
        """80 random bits; each is handed out once, also with several threads."""
        try:
            return self._pool.pop()
        except IndexError:
            fresh = os.urandom(_RANDOM_BYTES * _IDS_AT_ONCE)
            parts = [int.from_bytes(fresh[at : at + _RANDOM_BYTES], "big") for at in range(0, len(fresh), _RANDOM_BYTES)]
            first = parts.pop()
            self._pool.extend(parts)
            return first


_randomness = _Randomness()
os.register_at_fork(after_in_child=lambda: _randomness._pool.clear())


def uuid7(now_ms: int) -> str:
    """A UUIDv7 (RFC 9562) in its canonical text form; ids made later sort later, to the millisecond."""
    tail = _randomness.draw()
    bits = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
