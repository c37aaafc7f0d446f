"""The sums of sliding windows: how much room is left, and when there will be more. It must never read a clock or a counter."""

import math
from dataclasses import dataclass

MOMENT_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A counter's state: what was used in the window before, weighted by how much of it still counts, and in the present one.

    previous_s: seconds for which the window before still counts; current_s: seconds until the present one becomes the one before.
    """

    limit: int
    length_s: int
    previous: int
    previous_s: float
    current: int
    current_s: float

    @property
    def used(self) -> int:
        """What counts now."""
        return math.floor(self.previous * self.previous_s / self.length_s) + self.current

    @property
    def room(self) -> int:
        """How much may still be used now."""
        return max(0, self.limit - self.used)

    def wait_s(self, cost: int) -> float:
        """Seconds until there is room for `cost`, which is at most the limit; the fractions of the window before do not count."""
        cost = min(cost, self.limit)
        if self.used + cost <= self.limit:
            return 0.0
        spare = self.limit - cost - self.current + 1
        if spare > 0:
            return max(0.0, self.previous_s - spare * self.length_s / self.previous) + MOMENT_S
        share = min(1.0, (self.limit - cost + 1) / self.current)
        return self.current_s + self.length_s * (1 - share) + MOMENT_S

    @property
    def reset_s(self) -> float:
        """Seconds until nothing counts any more."""
        return self.current_s + self.length_s if self.current else self.previous_s
