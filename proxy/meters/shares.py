"""One meter's joules, interval by interval, shared out among the calls that ran in them. It must never read a clock or ask a meter.

A call's share is its modelled energy (its tokens, each at its cost) times what the meter counted over what the model expected of all calls,
in the intervals kept. So shares follow tokens and time, and over a window they add up to the meter.
"""

from collections import deque
from dataclasses import dataclass

from proxy.meters.answer import Readings

KEPT_INTERVALS = 30
STALE_INTERVALS = 3.0
"""A meter that has told nothing new for so many of its intervals is silent."""


@dataclass(slots=True)
class Interval:
    """Between two readings: joules counted, and the modelled joules of the calls that ran then, by their time in it."""

    start: float
    end: float
    joules: float
    modelled_j: float = 0.0

    def take(self, modelled_j: float, began: float, ended: float) -> None:
        """Puts in the part of a call that ran in this interval."""
        overlap = min(ended, self.end) - max(began, self.start)
        if overlap > 0:
            self.modelled_j += modelled_j * overlap / (ended - began)


class Shares:
    """The account of one meter. counts_idle: intervals without a call count too, as far as they are kept. Times in monotonic seconds."""

    __slots__ = ("_counts_idle", "_intervals", "_is_power", "_known", "_last", "_last_at", "_open", "_patience_s", "_unit_j")

    def __init__(self, *, interval_s: float, unit_j: float, is_power: bool, counts_idle: bool) -> None:
        self._patience_s = STALE_INTERVALS * interval_s
        self._unit_j = unit_j
        self._is_power = is_power
        self._counts_idle = counts_idle
        self._intervals: deque[Interval] = deque(maxlen=KEPT_INTERVALS)
        self._open: list[tuple[float, float, float]] = []
        self._last: Readings | None = None
        self._last_at = 0.0
        self._known: float | None = None

    def reading(self, found: Readings, at: float) -> None:
        """Takes the meter's values at `at`. A counter that stands still was not read anew; its interval goes on. After a silence, anew."""
        last, since = self._last, self._last_at
        if last is None or at - since > self._patience_s:
            self._last, self._last_at, self._open = found, at, []
            return
        joules = self._joules(last, found, at - since)
        if joules <= 0 or at <= since:
            return
        interval = Interval(since, at, joules)
        for call in self._open:
            interval.take(*call)
        self._open = [call for call in self._open if call[2] > at]
        self._intervals.append(interval)
        self._last, self._last_at = found, at

    def finished(self, modelled_j: float, began: float, ended: float) -> None:
        """Notes a call that ran from `began` to `ended`."""
        ended = max(ended, began + 1e-6)
        for interval in reversed(self._intervals):
            if interval.end <= began:
                break
            interval.take(modelled_j, began, ended)
        if self._last is not None and self._last_at < ended <= self._last_at + self._patience_s:
            self._open.append((modelled_j, began, ended))

    def measured_per_modelled(self, now: float) -> float | None:
        """Joules counted per joule modelled; None when the meter is silent or no call of its intervals has ended yet."""
        if self._last is None or now - self._last_at > self._patience_s:
            return None
        counted = [interval for interval in self._intervals if self._counts_idle or interval.modelled_j > 0]
        modelled_j = sum(interval.modelled_j for interval in counted)
        if modelled_j > 0:
            self._known = sum(interval.joules for interval in counted) / modelled_j
        return self._known

    def _joules(self, last: Readings, found: Readings, elapsed_s: float) -> float:
        """What was used between two readings, over the series that both have; a counter that fell began anew."""
        pairs = [(last[series], value) for series, value in found.items() if series in last]
        if self._is_power:
            return sum((before + after) / 2 for before, after in pairs) * self._unit_j * elapsed_s
        return sum(after - before if after >= before else after for before, after in pairs) * self._unit_j
