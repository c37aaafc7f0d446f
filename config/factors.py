"""The set of factor rows that every figure rests on. It must never carry a number without a source."""

from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable

from config.factor import Factor
from config.fitted import read_fitted
from config.rows import read_rows

__all__ = ["Factor", "FactorSet", "read_factors"]

FINGERPRINT_DIGITS = 12
"""Of the sha256, as many as a stamp bears."""

FACTOR_COLUMNS = ("id", "value", "low", "high", "unit", "source", "url", "year", "as_of", "licence", "note")


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

    @property
    def stamp(self) -> str:
        """Version and first digits of the fingerprint, as every estimate bears them."""
        return f"{self.version}+{self.fingerprint[:FINGERPRINT_DIGITS]}"


def read_factors(folder: Traversable, *, version: str, fingerprint: str) -> FactorSet:
    """The rows of factors.csv and of the fitted parameters in `folder`; raises ValueError naming file, line and column."""
    found: dict[str, Factor] = {}
    for row in read_rows(folder, "factors.csv", FACTOR_COLUMNS):
        factor_id = row.text("id")
        if factor_id in found:
            row.refuse("id", f"{factor_id!r} stands there twice")
        span = row.span("value", "low", "high")
        found[factor_id] = Factor(
            id=factor_id,
            value=span.value,
            low=span.low,
            high=span.high,
            unit=row.text("unit"),
            source=row.text("source"),
            url=row.url("url"),
            year=row.year("year"),
            as_of=row.text("as_of"),
            licence=row.text("licence"),
            note=row.optional("note"),
        )
    for fitted in read_fitted(folder):
        if fitted.id in found:
            raise ValueError(f"factor {fitted.id!r} stands in factors.csv and among the fitted parameters")
        found[fitted.id] = fitted
    if not found:
        raise ValueError("factors.csv:1: column 'id': the table holds no factor")
    return FactorSet(found, version=version, fingerprint=fingerprint)
