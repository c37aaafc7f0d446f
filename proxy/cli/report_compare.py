"""`grammage report --compare A B`: why two opinions of the same calls differ. It must never print a share without its grams."""

import json
from typing import TYPE_CHECKING

from proxy.cli.output import Cell, Format, message, show_rows

if TYPE_CHECKING:
    from proxy.ledger.queries import Selection
    from proxy.restate.explain import Explained

COLUMNS = ("factor", "gco2e", "share", "meaning")


def show_comparison(url: str, selection: "Selection", a: str, b: str, form: Format) -> None:
    """The totals of both, and the difference by factor. Raises StartError for an opinion that the ledger does not hold."""
    from proxy.ledger.compare_queries import read_pairs  # slow (SQLAlchemy); not for the help
    from proxy.restate.explain import explain

    found = explain(read_pairs(url, selection, a, b))
    rows = _rows(found)
    if form is Format.JSON:
        print(json.dumps(_document(found, a, b, rows), indent=2))
        return
    if form is Format.TABLE:
        print(f"difference of {b} to {a}, by factor (LMDI: the lines add up to it); one factor's grams are not those of a change alone")
    whole: list[dict[str, Cell]] = [
        {"factor": f"total {a}", "gco2e": found.a_gco2e, "share": None, "meaning": f"{found.attempts + found.only_a} attempts"},
        {"factor": f"total {b}", "gco2e": found.b_gco2e, "share": None, "meaning": f"{found.attempts + found.only_b} attempts"},
    ]
    show_rows([*whole, *rows], COLUMNS, form)
    if found.only_a or found.only_b:
        message(f"{found.only_a} attempts are in {a} alone, {found.only_b} in {b} alone: their grams are the line `coverage`")


def _rows(found: "Explained") -> list[dict[str, Cell]]:
    from proxy.restate.explain import MEANING

    whole = found.difference
    rows: list[dict[str, Cell]] = [
        {"factor": factor, "gco2e": grams, "share": grams / whole if whole else None, "meaning": MEANING[factor]}
        for factor, grams in sorted(found.by_factor.items(), key=lambda each: -abs(each[1]))
        if grams
    ]
    return [*rows, {"factor": "difference", "gco2e": whole, "share": 1.0 if whole else None, "meaning": "the sum of the lines above"}]


def _document(found: "Explained", a: str, b: str, rows: list[dict[str, Cell]]) -> dict[str, object]:
    return {
        "object": "footprint.comparison",
        "a": {"estimates": a, "gco2e": found.a_gco2e, "attempts": found.attempts + found.only_a},
        "b": {"estimates": b, "gco2e": found.b_gco2e, "attempts": found.attempts + found.only_b},
        "difference_gco2e": found.difference,
        "lines": rows,
    }
