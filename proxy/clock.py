"""Time and ids, passed in as values. Nobody else in the project reads a clock."""

import os
import time
from datetime import UTC, datetime


class Clock:
    """The real clock. Tests pass their own object with the same three methods."""

    def now(self) -> datetime:
        """Current time, aware, UTC."""
        return datetime.now(UTC)

    def now_ms(self) -> int:
        """Current time in whole milliseconds since 1970-01-01 UTC."""
        return time.time_ns() // 1_000_000

    def perf(self) -> float:
        """Monotonic seconds, for durations only."""
        return time.perf_counter()


def uuid7(now_ms: int) -> str:
    """A UUIDv7 (RFC 9562) in its canonical text form; ids made later sort later, to the millisecond."""
    tail = int.from_bytes(os.urandom(10), "big")
    bits = (now_ms & 0xFFFF_FFFF_FFFF) << 80 | 0x7 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
