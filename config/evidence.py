"""Published figures to hold an estimate against. It must never weigh a call: what is not reviewed for this version is no method."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Literal, get_args

from config.ranges import Range
from config.rows import Row, read_rows

FILE = "evidence.csv"
EVIDENCE_COLUMNS = (
    "id", "models", "who", "system", "kind", "unit", "output_tokens", "energy_wh", "energy_low_wh", "energy_high_wh",
    "gco2e", "gco2e_low", "gco2e_high", "water_ml", "boundary", "year", "source", "url", "as_of", "licence", "note",
)  # fmt: skip
EvidenceKind = Literal["reviewed", "disclosed", "measured", "estimated", "claimed"]
"""reviewed: by third parties; disclosed: with its method; measured: on hardware by outsiders; estimated: modelled by outsiders;
claimed: by the provider, without a method."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One published figure per `unit`, at its own boundary; a range stands where the source gives one, else low = value = high.

    models: card ids that the figure is about; empty when the source names a product, not a model.
    """

    id: str
    models: tuple[str, ...]
    who: str
    system: str
    kind: EvidenceKind
    unit: str
    output_tokens: int | None
    energy_wh: Range | None
    gco2e: Range | None
    water_ml: float | None
    boundary: str
    year: int
    source: str
    url: str
    as_of: str
    licence: str
    note: str


class EvidenceTable:
    """All published figures, and those about one model."""

    __slots__ = ("_by_card", "rows")

    def __init__(self, rows: Iterable[Evidence]) -> None:
        self.rows = tuple(rows)
        self._by_card: dict[str, tuple[Evidence, ...]] = {}
        for row in self.rows:
            for card_id in row.models:
                self._by_card[card_id] = (*self._by_card.get(card_id, ()), row)

    def evidence_for(self, card_id: str) -> tuple[Evidence, ...]:
        """The figures about this model, in the order of the table; empty when there is none."""
        return self._by_card.get(card_id, ())


def read_evidence(folder: Traversable) -> EvidenceTable:
    """The rows of evidence.csv; raises ValueError naming file, line and column."""
    return EvidenceTable(_evidence(row) for row in read_rows(folder, FILE, EVIDENCE_COLUMNS))


def _evidence(row: Row) -> Evidence:
    tokens = row.maybe_number("output_tokens")
    energy_wh = _maybe_span(row, "energy_wh", "energy_low_wh", "energy_high_wh")
    gco2e = _maybe_span(row, "gco2e", "gco2e_low", "gco2e_high")
    if energy_wh is None and gco2e is None:
        row.refuse("energy_wh", "is empty, and so is gco2e: a figure needs one of them")
    return Evidence(
        id=row.text("id"),
        models=row.words("models"),
        who=row.text("who"),
        system=row.text("system"),
        kind=next(kind for kind in get_args(EvidenceKind) if kind == row.one_of("kind", get_args(EvidenceKind))),
        unit=row.text("unit"),
        output_tokens=None if tokens is None else int(tokens),
        energy_wh=energy_wh,
        gco2e=gco2e,
        water_ml=row.maybe_number("water_ml"),
        boundary=row.text("boundary"),
        year=row.year("year"),
        source=row.text("source"),
        url=row.url("url"),
        as_of=row.text("as_of"),
        licence=row.text("licence"),
        note=row.optional("note"),
    )


def _maybe_span(row: Row, value: str, low: str, high: str) -> Range | None:
    """The range of the three cells, None when the value is empty; ends that are not stated are the value's."""
    middle = row.maybe_number(value)
    if middle is None:
        return None
    lowest, highest = row.maybe_number(low), row.maybe_number(high)
    try:
        return Range(middle, middle if lowest is None else lowest, middle if highest is None else highest)
    except ValueError as problem:
        row.refuse(value, str(problem))
