"""Prints rows as a table, JSON or CSV on standard output. It must never write a message there."""

import csv
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

from proxy.reports.cell import harmless, on_unix_lines

if TYPE_CHECKING:
    from rich.table import Table

Cell = str | int | float | bool | None
Row = Mapping[str, Cell]

PIPED_WIDTH = 200
"""Columns of a table that does not go to a terminal."""


ANY_WIDTH = 10_000
"""Columns to measure a table in."""


class Format(StrEnum):
    """How data is printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def show_rows(
    rows: Sequence[Row],
    columns: Sequence[str],
    form: Format,
    *,
    title: str | None = None,
    number: Callable[[float], str] | None = None,
) -> None:
    """Prints `rows`, in this order of columns; tables show two significant digits (or what `number` makes), JSON and CSV all of them."""
    if form is Format.JSON:
        print(json.dumps([{column: row.get(column) for column in columns} for row in rows], indent=2, ensure_ascii=False))
    elif form is Format.CSV:
        writer = csv.DictWriter(sys.stdout, list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: harmless(on_unix_lines(row.get(column))) for column in columns} for row in rows)
    else:
        _show_table(rows, columns, title, number or two_digits)


def message(text: str) -> None:
    """Prints a message on standard error."""
    print(text, file=sys.stderr)


def two_digits(number: float) -> str:
    """A figure for people: two significant digits, without an exponent for everyday sizes."""
    if number == 0 or not 1e-8 <= abs(number) < 1e9:
        return f"{number:.2g}"
    decimals = max(0, 1 - _exponent(number))
    rounded = round(number, 1 - _exponent(number))
    return f"{rounded:,.{decimals}f}" if abs(rounded) >= 1000 else f"{rounded:.{decimals}f}"


def _exponent(number: float) -> int:
    return int(f"{number:.1e}".partition("e")[2])


def _text(cell: Cell, number: Callable[[float], str]) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return number(cell) if isinstance(cell, float) else str(cell)


def _show_table(rows: Sequence[Row], columns: Sequence[str], title: str | None, number: Callable[[float], str]) -> None:
    """A table; with headings of several lines where it is narrow, and a block for each row where a figure would be torn apart."""
    from rich.console import Console  # slow to import; only tables need it

    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    unlimited = console.options.update(max_width=ANY_WIDTH)
    table = _table(rows, columns, title, number, between=" ")
    if console.measure(table, options=unlimited).maximum > console.width:
        table = _table(rows, columns, title, number, between="\n")
    if console.measure(table, options=unlimited).minimum <= console.width:
        console.print(table)
    else:
        console.print("\n\n".join(_block(row, columns, number) for row in rows) + "\n", markup=False, soft_wrap=True)


def _table(rows: Sequence[Row], columns: Sequence[str], title: str | None, number: Callable[[float], str], *, between: str) -> "Table":
    from rich import box  # as above
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1 if between == " " else 0))
    for column in columns:
        numeric = any(isinstance(row.get(column), int | float) and not isinstance(row.get(column), bool) for row in rows)
        table.add_column(column.replace("_", between), justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows:
        table.add_row(*(Text(_text(row.get(column), number)) for column in columns))
    return table


def _block(row: Row, columns: Sequence[str], number: Callable[[float], str]) -> str:
    lead, *rest = columns
    margin = max(map(len, columns))
    return "\n".join(
        (_text(row.get(lead), number), *(f"  {column.replace('_', ' '):<{margin}}  {_text(row.get(column), number)}" for column in rest))
    )
