"""Footprints that a provider had reviewed for one version of one model. It must never speak for another version of the name."""

from dataclasses import dataclass
from importlib.resources.abc import Traversable

from config.rows import Row, read_rows

FILE = "disclosures.csv"
DISCLOSURE_COLUMNS = (
    "id", "model", "who", "reviewed_by", "system", "unit_output_tokens", "gco2e", "water_ml", "adpe_kgsbeq",
    "boundary", "place", "year", "source", "url", "as_of", "licence", "note",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """A reviewed footprint of one answer of `unit_output_tokens` by the model with card id `model`; None = not disclosed."""

    id: str
    model: str
    who: str
    reviewed_by: str
    system: str
    unit_output_tokens: int
    gco2e: float
    water_ml: float | None
    adpe_kgsbeq: float | None
    boundary: str
    place: str
    year: int
    source: str
    url: str
    as_of: str
    licence: str
    note: str


def read_disclosures(folder: Traversable) -> dict[str, Disclosure]:
    """The rows of disclosures.csv by card id; raises ValueError naming file, line and column."""
    found: dict[str, Disclosure] = {}
    for row in read_rows(folder, FILE, DISCLOSURE_COLUMNS):
        disclosure = _disclosure(row)
        if disclosure.model in found:
            row.refuse("model", f"{disclosure.model!r} has a disclosure already")
        found[disclosure.model] = disclosure
    return found


def _disclosure(row: Row) -> Disclosure:
    unit = row.number("unit_output_tokens")
    if unit < 1 or not unit.is_integer():
        row.refuse("unit_output_tokens", "must be a whole number of tokens, at least 1")
    gco2e = row.number("gco2e")
    if gco2e <= 0:
        row.refuse("gco2e", "must be greater than 0")
    return Disclosure(
        id=row.text("id"),
        model=row.text("model"),
        who=row.text("who"),
        reviewed_by=row.text("reviewed_by"),
        system=row.text("system"),
        unit_output_tokens=int(unit),
        gco2e=gco2e,
        water_ml=row.maybe_number("water_ml"),
        adpe_kgsbeq=row.maybe_number("adpe_kgsbeq"),
        boundary=row.text("boundary"),
        place=row.text("place"),
        year=row.year("year"),
        source=row.text("source"),
        url=row.url("url"),
        as_of=row.text("as_of"),
        licence=row.text("licence"),
        note=row.optional("note"),
    )
