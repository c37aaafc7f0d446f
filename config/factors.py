"""Factor rows with their sources, and the set they form. It must never carry a number without a source."""

from collections.abc import Iterator, Mapping
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


class FactorSet(Mapping[str, Factor]):
    """All factor rows by id, with a version and a sha256 fingerprint over every data file that a figure depends on."""

    __slots__ = ("_rows", "fingerprint", "version")

    def __init__(self, rows: Mapping[str, Factor], *, version: str, fingerprint: str) -> None:
        self._rows = dict(rows)
        self.version = version
        self.fingerprint = fingerprint

    def __getitem__(self, factor_id: str) -> Factor:
        return self._rows[factor_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)
