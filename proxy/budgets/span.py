"""When a budget's period begins and ends, by UTC. It must never read a clock."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from config.budgets import Period

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
MONTHS_A_YEAR = 12
_MONTHS: dict[Period, int] = {"month": 1, "quarter": 3, "year": MONTHS_A_YEAR}
_LENGTHS: dict[Period, timedelta] = {"hour": timedelta(hours=1), "day": timedelta(days=1), "week": timedelta(weeks=1)}


class Span(NamedTuple):
    """One period, in ms since 1970 UTC: begins at `start_ms`, ends before `end_ms`; None: it never ends."""

    start_ms: int
    end_ms: int | None

    def holds(self, at_ms: int) -> bool:
        """True when the instant lies in it."""
        return self.start_ms <= at_ms and (self.end_ms is None or at_ms < self.end_ms)


def span_of(period: Period, at_ms: int) -> Span:
    """The period that `at_ms` lies in; weeks begin on Monday, `all` is one for ever."""
    if period == "all":
        return Span(0, None)
    at = _EPOCH + at_ms * _MS
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if period in _MONTHS:
        length = _MONTHS[period]
        first = (day.month - 1) // length * length
        begin = day.replace(month=first + 1, day=1)
        end = begin.replace(year=begin.year + (first + length) // MONTHS_A_YEAR, month=(first + length) % MONTHS_A_YEAR + 1)
        return Span(_ms(begin), _ms(end))
    begin = at.replace(minute=0, second=0, microsecond=0) if period == "hour" else day
    if period == "week":
        begin -= timedelta(days=begin.weekday())
    return Span(_ms(begin), _ms(begin + _LENGTHS[period]))


def instant(at_ms: int) -> str:
    """The instant for people and programs: 2026-11-01T00:00:00Z."""
    return (_EPOCH + at_ms * _MS).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MS
