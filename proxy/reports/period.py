"""Periods by the calendar of a place, and the one before. It must never read a clock."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

STEP_MS: Final = 7 * 86_400_000
"""Clocks change less often than this twice."""

MONTH_LETTERS: Final = len("2026-11")
YEAR_LETTERS: Final = len("2026")


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From since_ms to before until_ms, in ms since 1970 UTC."""

    since_ms: int
    until_ms: int


def zone_named(name: str) -> ZoneInfo:
    """The time zone. Raises ValueError when there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name[:64]!r} is no time zone; write one such as Europe/Paris or UTC") from error


def instant_in(text: str, zone: ZoneInfo, *, ends: bool) -> int:
    """A year, month, day (its beginning, or its end) or an instant, by the clock of the zone where it names no other. Raises ValueError."""
    found = _calendar(text, ends=ends)
    instant = datetime.fromisoformat(text) if found is None else datetime(found.year, found.month, found.day, tzinfo=zone)
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=zone)
    return round(instant.timestamp() * 1000)


def _calendar(text: str, *, ends: bool) -> date | None:
    """The first day of what is named, or the first one after; None for an instant."""
    if len(text) == YEAR_LETTERS and text.isdigit():
        return date(int(text) + ends, 1, 1)
    if len(text) == MONTH_LETTERS:
        first = date.fromisoformat(f"{text}-01")
        return first if not ends else (first + timedelta(days=31)).replace(day=1)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day + timedelta(days=ends)


def before(span: Span, zone: ZoneInfo) -> Span:
    """The period before: whole months for whole months, else one of equal length."""
    since, until = (datetime.fromtimestamp(at / 1000, zone) for at in (span.since_ms, span.until_ms))
    months = (until.year - since.year) * 12 + until.month - since.month
    if months > 0 and _is_first(since) and _is_first(until):
        index = since.year * 12 + since.month - 1 - months
        start = datetime(index // 12, index % 12 + 1, 1, tzinfo=zone)
        return Span(since_ms=round(start.timestamp() * 1000), until_ms=span.since_ms)
    return Span(since_ms=2 * span.since_ms - span.until_ms, until_ms=span.since_ms)


def _is_first(at: datetime) -> bool:
    return at == at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def offsets(span: Span, zone: ZoneInfo) -> tuple[tuple[int, int], ...]:
    """From which instant on the zone's clock is how many ms ahead of UTC, over the span, oldest first."""
    steps = range(span.since_ms, span.until_ms + STEP_MS, STEP_MS)
    found = [(span.since_ms, _ahead(span.since_ms, zone))]
    for earlier, later in pairwise(steps):
        if _ahead(later, zone) != found[-1][1]:
            found.append((_turn(earlier, later, zone), _ahead(later, zone)))
    return tuple(found)


def _turn(low: int, high: int, zone: ZoneInfo) -> int:
    """The instant between both at which the clock changes."""
    old = _ahead(low, zone)
    seconds = range(low // 1000, high // 1000 + 1)
    return seconds[bisect_right(seconds, False, key=lambda second: _ahead(second * 1000, zone) != old)] * 1000


def _ahead(at_ms: int, zone: ZoneInfo) -> int:
    offset = datetime.fromtimestamp(at_ms / 1000, zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)


def stamped(at_ms: int, zone: ZoneInfo) -> str:
    """RFC 3339 by the zone's clock, to the second."""
    return datetime.fromtimestamp(at_ms / 1000, zone).isoformat(timespec="seconds")


UTC_ZONE: Final = ZoneInfo("UTC")
