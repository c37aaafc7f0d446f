"""Makes the tables of exports. It must never choose what a sheet shows."""

from collections.abc import Sequence
from typing import Final

from proxy.reports.pages.columns import PLAIN, RANGED
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Column, Kind, Table
from proxy.reports.pages.printable import printable

SPREADS: Final[dict[str, Kind]] = {
    **RANGED,
    **dict.fromkeys(("training_gco2e", "network_gco2e", "market_based_gco2e", "location_based_gco2e", "serving_gco2e"), "g"),
    **dict.fromkeys(("o_per_unit", "m_per_unit", "sci"), "g"),
    **dict.fromkeys(("text_gco2e", "image_gco2e", "other_gco2e"), "g"),
}

FIGURES: Final[dict[str, Kind]] = {
    **PLAIN,
    **dict.fromkeys(("gco2e_per_kwh", "pue", "tonnes", "score", "value", "low_value", "high_value"), "number"),
    **dict.fromkeys(("primary_share", "told_share", "market_share"), "share"),
    "units_made": "number",
}


def listing(language: Language, id: str, keys: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table with the caption and columns of the language; texts of clients are made printable."""
    columns = tuple(
        Column(key=key, title=language.say("columns", key), kind=SPREADS.get(key) or FIGURES.get(key, "text"), is_ranged=key in SPREADS)
        for key in keys
    )
    shown = tuple(tuple(printable(cell) if isinstance(cell, str) else cell for cell in row) for row in rows)
    return Table(id=id, caption=language.say("tables", id), columns=columns, rows=shown)
