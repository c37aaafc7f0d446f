"""A central value with its plausible span. It must never hold a number without its doubt."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    """A positive quantity: `value` is the central one (p50), `low` its p5, `high` its p95.

    Raises ValueError unless 0 <= low <= value <= high. An exact number has low == value == high.
    """

    value: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.value <= self.high:
            raise ValueError(f"a range needs 0 <= low <= value <= high, got {self.low}, {self.value}, {self.high}")

    @classmethod
    def exact(cls, value: float) -> "Range":
        """A range without spread."""
        return cls(value, value, value)

    def scaled(self, by: float) -> "Range":
        """The range times an exact number >= 0."""
        return Range(self.value * by, self.low * by, self.high * by)
