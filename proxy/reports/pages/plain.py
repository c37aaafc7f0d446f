"""Writes a whole report as CSV, one figure a row, in full. It must never write a cell that a spreadsheet would run."""

import csv
import io
from collections.abc import Iterator
from typing import Final

from proxy.reports.cell import harmless
from proxy.reports.line import Spread
from proxy.reports.pages.outline import Cell, Column, Outline, Section, Table

COLUMNS: Final = ("section", "table", "row", "of", "column", "unit", "figure", "low", "high", "text")
UNITS: Final = {"g": "gCO2e", "wh": "Wh", "ml": "ml", "share": "ratio", "count": "1", "number": "1", "text": "", "day": ""}
"""Unit of a column by its kind, for machines. low and high: 5th and 95th percentile."""


def csv_report(outline: Outline) -> str:
    """Every cell of every table, its row named by number and by its first cell; the basis is the last section."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for section in outline.sections:
        for row in _section(section, section.id):
            writer.writerow([harmless(cell) for cell in row])
    return text.getvalue()


def _section(section: Section, id: str) -> Iterator[tuple[Cell, ...]]:
    for table in section.tables:
        yield from _table(id, table)
    for part in section.parts:
        yield from _section(part, id)


def _table(id: str, table: Table) -> Iterator[tuple[Cell, ...]]:
    for number, row in enumerate(table.rows, start=1):
        of = row[0] if isinstance(row[0], str) else ""
        for column, cell in zip(table.columns, row, strict=True):
            yield (id, table.caption, number, of, column.key, UNITS[column.kind], *_figures(cell, column))


def _figures(cell: Cell, column: Column) -> tuple[Cell, Cell, Cell, Cell]:
    """Figure, low, high, text; empty where unknown."""
    if isinstance(cell, Spread):
        return cell.mean, cell.p5, cell.p95, None
    return (None, None, None, cell) if isinstance(cell, str) else (cell, None, None, None)
