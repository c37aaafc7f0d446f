"""What became of a file's rows, in counts. It must never count a row twice: read = added + matched + skipped."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Told:
    """rows: of the file, seats and invoices of several months counted once for each. matched: held by the ledger already, by why.

    skipped: nothing to weigh, by why. taken: what was taken from sums for calls that the ledger holds. unweighed: added without a figure.
    """

    rows: int = 0
    added: int = 0
    calls: int = 0
    gco2e: float = 0.0
    unweighed: int = 0
    matched: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, Any]:
        """Everything as data."""
        return {
            "rows": self.rows,
            "added": self.added,
            "calls": self.calls,
            "gco2e": self.gco2e,
            "unweighed": self.unweighed,
            "matched": dict(sorted(self.matched.items())),
            "skipped": dict(sorted(self.skipped.items())),
            "taken_from_sums": {name: count for name, count in sorted(self.taken.items()) if count},
        }
