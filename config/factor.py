"""One sourced number. It must never stand without its source, year and licence."""

from dataclasses import dataclass

from config.ranges import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """One sourced number: central value, p5, p95, unit, and where it comes from."""

    id: str
    value: float
    low: float
    high: float
    unit: str
    source: str
    url: str
    year: int
    as_of: str
    licence: str
    note: str

    @property
    def range(self) -> Range:
        """The factor as central value with p5 and p95, in `unit`."""
        return Range(self.value, self.low, self.high)
