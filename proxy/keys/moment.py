"""Reads moments and lengths of time as people write them: when a key ends, how long a grace lasts. It must never read a clock."""

import re
from datetime import UTC, date, datetime, timedelta

_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")
_UNIT_MS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
SPAN_RULE = "a number with s, m, h, d or w, such as 24h or 90d"
LATEST_MS = 253_402_300_799_000
"""The end of the year 9999."""


def span_ms(text: str) -> int:
    """A length of time in ms. Raises ValueError."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text[:40]!r} is no length of time; write {SPAN_RULE}")
    return int(found[1]) * _UNIT_MS[found[2]]


def moment_ms(text: str, now_ms: int) -> int:
    """A moment in ms since 1970 UTC: a length of time from now, a day (its end), or an instant. Raises ValueError."""
    text = text.strip()
    if _SPAN.fullmatch(text):
        return _possible(now_ms + span_ms(text), text)
    try:
        return _possible(instant_ms(text, day_ends=True), text)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{text[:40]!r} is no moment; write {SPAN_RULE}, a day (2027-01-31) or an instant (2027-01-31T12:00:00Z)"
        ) from error


def instant_ms(text: str, *, day_ends: bool) -> int:
    """A day (its end, or its beginning) or an instant in ms since 1970; a naive one is UTC. Raises ValueError, OverflowError."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        instant = datetime.fromisoformat(text)
    else:
        instant = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=day_ends)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return round(instant.timestamp() * 1000)


def shown(at_ms: int | None) -> str | None:
    """The moment as RFC 3339, UTC; None stays None."""
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _possible(at_ms: int, text: str) -> int:
    if not 0 <= at_ms <= LATEST_MS:
        raise ValueError(f"{text[:40]!r} lies outside the calendar")
    return at_ms
