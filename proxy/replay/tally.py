"""Sums of what calls were, would be and differ by. It must never add up what is not weighed, nor shrink a doubt that calls share."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from estimators.paired import PairedTotal
from estimators.quantity import Difference, Total
from proxy.ledger.past import PastCall
from proxy.replay.again import Judged, Served

ACTIONS: Final = ("routed", "kept", "passthrough", "refused", "holdback")
UNITS: Final[Mapping[str, str]] = {"gco2e": "gco2e", "water_ml": "water_ml"}

Figures = dict[str, Any]


class Tally:
    """One group of calls: how many came to what, and the sums in gCO2e and millilitres of water."""

    def __init__(self) -> None:
        self.calls = 0
        self.actions: Counter[str] = Counter()
        self.why_not: Counter[str] = Counter()
        self._was = {line: Total() for line in UNITS}
        self._baseline = {line: Total() for line in UNITS}
        self._would = {line: Total() for line in UNITS}
        self._changed = {line: PairedTotal() for line in UNITS}

    def add(self, call: PastCall, judged: Judged) -> None:
        """One more call."""
        self.calls += 1
        if judged.why_not:
            self.why_not[judged.why_not] += 1
        elif judged.action != "none":
            self.actions[judged.action] += 1
        for attempt in call.attempts:
            if attempt.shared is not None:
                for line, total in self._was.items():
                    quantity = getattr(attempt, line)
                    if quantity is not None:
                        total.add(quantity, attempt.shared)
        if judged.baseline is not None and judged.would is not None:
            self._pair(judged.baseline, judged.would, judged.changes)

    def _pair(self, baseline: Served, would: Served, changes: bool) -> None:
        for line in UNITS:
            before, after = getattr(baseline, line), getattr(would, line)
            self._baseline[line].add(before, baseline.shared)
            self._would[line].add(after, would.shared)
            if changes:
                self._changed[line].add(after, would.shared, before, baseline.shared)

    def figures(self) -> Figures:
        """The counts, and of each line what it was, baseline, what it would be, and the difference between these two with its range."""
        found: Figures = {
            "calls": self.calls,
            "judged": sum(self.actions.values()),
            **{action: self.actions[action] for action in ACTIONS},
            "not_judged": dict(sorted(self.why_not.items())),
        }
        for line in UNITS:
            found |= _spread("was", line, self._was[line])
            found |= _spread("baseline", line, self._baseline[line])
            found |= _spread("would_be", line, self._would[line])
            gap = self._changed[line].difference() if self._baseline[line].calls else None
            found |= difference_figures("difference", line, gap)
        return found


def _spread(name: str, line: str, total: Total) -> Figures:
    figures = (total.mean, total.p5, total.p95) if total.calls else (None, None, None)
    return dict(zip((f"{name}_{line}", f"{name}_{line}_low", f"{name}_{line}_high"), figures, strict=True))


def difference_figures(name: str, line: str, gap: Difference | None) -> Figures:
    """A difference with its range; nulls where there is none."""
    figures = (None, None, None) if gap is None else (gap.mean, gap.p5, gap.p95)
    return dict(zip((f"{name}_{line}", f"{name}_{line}_low", f"{name}_{line}_high"), figures, strict=True))
