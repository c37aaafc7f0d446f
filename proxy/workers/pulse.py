"""Tells which workers hang: the system gives them connections, and they do nothing. It must never take our sleep for theirs."""

from collections.abc import Callable, Iterable
from typing import Final

from proxy.metrics.sheets import Sheets
from proxy.workers.child import Child

HANGS_S: Final = 60.0
"""A worker says that it lives twice a second; after so long without it, it does nothing for its clients any more."""

MOST_AT_ONCE_S: Final = 5.0
"""What counts of the time between two looks: when all processes were stopped together, the workers did not hang."""


class Pulse:
    """Looks at what workers that serve write on their sheets. perf: monotonic seconds."""

    def __init__(self, sheets: Sheets, perf: Callable[[], float]) -> None:
        self._sheets = sheets
        self._perf = perf
        self._looked_at_s = perf()
        self._heard: dict[int, tuple[int, float]] = {}

    def hanging(self, children: Iterable[Child]) -> list[Child]:
        """Those that were silent for too long; each is told of once in that time."""
        now_s = self._perf()
        passed_s, self._looked_at_s = min(now_s - self._looked_at_s, MOST_AT_ONCE_S), now_s
        heard, found = {}, []
        for child in children:
            if not child.is_ready or child.is_draining:
                continue
            beats = self._sheets.all[child.sheet].beats
            before, silent_s = self._heard.get(child.pid, (beats, 0.0))
            silent_s = silent_s + passed_s if beats == before else 0.0
            if silent_s >= HANGS_S:
                found.append(child)
                silent_s = 0.0
            heard[child.pid] = (beats, silent_s)
        self._heard = heard
        return found
