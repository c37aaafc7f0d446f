"""Makes the columns and small tables that parts of a report share. It must never choose what a part shows."""

from collections.abc import Sequence
from typing import Final

from proxy.reports.line import Line, Spread
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Chart, Column, Kind, Table
from proxy.reports.pages.printable import printable

RANGED: Final[dict[str, Kind]] = {
    "gco2e": "g",
    "operational_gco2e": "g",
    "embodied_gco2e": "g",
    "per_accepted": "g",
    "per_unit": "g",
    "baseline": "g",
    "choice": "g",
    "difference": "g",
    "now": "g",
    "facility_energy_wh": "wh",
    "water_ml": "ml",
    "difference_water": "ml",
    "count": "number",
}
"""Columns whose cells are Spread, and what they hold."""

PLAIN: Final[dict[str, Kind]] = {
    **dict.fromkeys(("calls", "attempts", "weighed", "input_tokens", "output_tokens", "assets", "accepted", "rejected"), "count"),
    **dict.fromkeys(("of_imports",), "count"),
    **dict.fromkeys(("undecided", "modelled", "held_back", "number", "not_listed"), "count"),
    **dict.fromkeys(("share", "covered_share", "tokens_covered", "money_covered", "probability", "oversized", "long_answers"), "share"),
    "day": "day",
    **dict.fromkeys(("iterations", "minutes", "quantity"), "number"),
    **dict.fromkeys(("change", "covered_yearly", "covered_hourly", "hourly_total", "low", "high"), "g"),
}
"""Columns of plain figures and days; the rest is text."""

CODES: Final = {"operation": "operation_keys", "policy": "policy_keys", "zone": "zone_keys"}
"""Lines whose keys are codes of ours, or may be, and where their phrases stand."""

WATCHED: Final = frozenset({"shadow", "holdback"})
"""What stands before the name of a policy that did not act on a call."""

_LINE: Final = ("calls", "input_tokens", "output_tokens", "facility_energy_wh", "gco2e", "water_ml")


def columns(language: Language, *keys: str) -> tuple[Column, ...]:
    """Columns by their keys, titled in the language."""
    return tuple(
        Column(key=key, title=language.say("columns", key), kind=RANGED.get(key) or PLAIN.get(key, "text"), is_ranged=key in RANGED)
        for key in keys
    )


def table(
    language: Language, id: str, keys: Sequence[str], rows: Sequence[Sequence[Cell]], *, chart: Chart | None = None, **values: str
) -> Table:
    """A table with the caption and columns of the language; texts of clients are made printable."""
    return Table(
        id=id,
        caption=language.say("tables", id, **values),
        columns=columns(language, *keys),
        rows=tuple(tuple(printable(cell) if isinstance(cell, str) else cell for cell in row) for row in rows),
        chart=chart if rows else None,
    )


def line_table(language: Language, id: str, first: str, lines: Sequence[Line], *, chart: Chart | None = None, **values: str) -> Table:
    """Lines of the ledger, one a row."""
    rows = [(key_name(language, line.key, first), *line_cells(line)) for line in lines]
    return table(language, id, (first, *_LINE), rows, chart=chart, **values)


def line_cells(line: Line) -> tuple[Cell, ...]:
    """The figures of a line in the order of a table of lines."""
    usage = (line.usage.get(name) for name in ("input_tokens", "output_tokens"))
    return (line.calls, *usage, line.facility_energy_wh, line.gco2e, line.water_ml)


def key_name(language: Language, key: str, of: str = "") -> str:
    """The key of a line, where one is for people; of: what the lines are by, for keys that are codes of ours."""
    if key == "unassigned":
        return language.say("words", "unassigned")
    sign, _, name = key.partition(":")
    if of == "policy" and name and sign in WATCHED:
        return language.say("policy_keys", sign, name=name)
    return language.code_name(CODES[of], key) if of in CODES else key


def scaled(spread: Spread, factor: float) -> Spread:
    """A spread in another unit."""
    return Spread(spread.mean * factor, spread.p5 * factor, spread.p95 * factor)
