"""What a mass of CO2e is like in everyday life, as published. It must never turn into a factor of an estimate."""

from dataclasses import dataclass
from importlib.resources.abc import Traversable

from config.rows import read_rows

COLUMNS = ("id", "category", "label_en", "label_fr", "unit", "kgco2e_per_unit", "source", "url", "year", "licence", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Equivalence:
    """One everyday unit: its labels, its mass in kgCO2e per unit, and where that figure comes from."""

    id: str
    category: str
    label_en: str
    label_fr: str
    unit: str
    kgco2e_per_unit: float
    source: str
    url: str
    year: int
    licence: str
    note: str


def read_equivalences(folder: Traversable) -> tuple[Equivalence, ...]:
    """The rows of equivalences.csv in `folder`; raises ValueError naming file, line and column."""
    found: dict[str, Equivalence] = {}
    for row in read_rows(folder, "equivalences.csv", COLUMNS):
        if row.text("id") in found:
            row.refuse("id", f"{row.text('id')!r} stands there twice")
        if row.number("kgco2e_per_unit") == 0:
            row.refuse("kgco2e_per_unit", "must be greater than 0")
        found[row.text("id")] = Equivalence(
            id=row.text("id"),
            category=row.text("category"),
            label_en=row.text("label_en"),
            label_fr=row.text("label_fr"),
            unit=row.text("unit"),
            kgco2e_per_unit=row.number("kgco2e_per_unit"),
            source=row.text("source"),
            url=row.url("url"),
            year=row.year("year"),
            licence=row.text("licence"),
            note=row.optional("note"),
        )
    return tuple(found.values())
