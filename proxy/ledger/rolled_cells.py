"""Reads a report's cells from the rollups, and from calls what is in none yet. It must never tell anything else than calls would."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, func, literal, select

from proxy.ledger.cells import BASIS, Cell, cell_of, cell_rows
from proxy.ledger.columns import SUMS, USAGE_COUNTS
from proxy.ledger.queries import Selection
from proxy.ledger.rolled import Reading
from proxy.ledger.rolled_plan import planned
from proxy.ledger.rollup_columns import ROLLED_TAGS

_SUMMED: Final = ("attempts", *USAGE_COUNTS, *SUMS)


def rolled_cells(snapshot: Connection, selection: Selection, tag_names: Sequence[str]) -> list[Cell] | None:
    """The cells, without pictures and seconds; None when they are to be read from the calls alone."""
    plan = planned(snapshot, selection) if all(name in ROLLED_TAGS for name in tag_names) else None
    if plan is None:
        return None
    reading = Reading(snapshot, selection, plan)
    rows = reading.rolled(lambda table: _statement(table, tag_names))
    for part in reading.parts():
        rows += cell_rows(snapshot, part, tag_names)
    names = ("operation", "provider", "model", "place", "zone", *BASIS, *(f"tag_{i}" for i in range(len(tag_names))))
    added: dict[tuple[object, ...], dict[str, Any]] = {}
    for row in rows:
        kept = added.setdefault(tuple(row[name] for name in names), row)
        if kept is not row:
            for name in _SUMMED:
                kept[name] = row[name] if kept[name] is None else kept[name] + (row[name] or 0)
    return [cell_of(row, len(tag_names)) for row in added.values()]


def _statement(table: Table, tag_names: Sequence[str]) -> Select[Any]:
    of = table.c
    facts = [of.operation, of.provider, of.model, of.zone.label("place"), of.grid_zone.label("zone"), *(of[name] for name in BASIS)]
    facts += [of[f"tag_{name}"].label(f"tag_{i}") for i, name in enumerate(tag_names)]
    sums = [func.sum(of[name]).label(name) for name in _SUMMED]
    groups = [getattr(each, "element", each) for each in facts]
    return select(literal("all").label("key"), *facts, *sums).where(of.method != "").group_by(*groups)
