"""Adds the chart of a table to a sheet, drawn by the program that opens it. It must never draw what no cell holds."""

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from proxy.reports.line import Spread
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Chart, ChartKind, Table

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.worksheet import Worksheet

BAR, MORE, LESS, FAINT = "#2f6fb0", "#b4631a", "#6a58b4", "#8a929c"
MOST_BARS: Final = 20
SIZE: Final = {"width": 620, "height": 320}


def add_chart(book: "Workbook", sheet: "Worksheet", table: Table, *, top: int, right: int, language: Language) -> bool:
    """Whether the table has a chart; it stands below. Cells that it alone is drawn from stand at column `right`, from row `top`."""
    if table.chart is None or not table.rows:
        return False
    chart = _KINDS[table.chart.kind](book, sheet, table, top, right)
    chart.set_title({"name": table.caption, "name_font": {"size": 11}})
    chart.set_size(SIZE)
    if table.chart.kind in _HELPED:
        sheet.write_string(top, right, language.say("page", "chart_cells"), book.add_format({"font_color": FAINT, "valign": "bottom"}))
    sheet.insert_chart(top + len(table.rows) + 1, 0, chart, {"description": language.say("page", "drawn_above"), "y_offset": 6})
    return True


def _bars(book: "Workbook", sheet: "Worksheet", table: Table, top: int, right: int) -> Any:
    chart = book.add_chart({"type": "bar"})
    chart.add_series(_ranged(sheet, table, top, "x_error_bars", min(len(table.rows), MOST_BARS)))
    return _lying(chart, table)


def _days(book: "Workbook", sheet: "Worksheet", table: Table, top: int, right: int) -> Any:
    chart = book.add_chart({"type": "column"})
    chart.add_series(_ranged(sheet, table, top, "y_error_bars", len(table.rows)))
    chart.set_legend({"none": True})
    chart.set_x_axis({"date_axis": True, "num_format": "d mmm"})
    chart.set_y_axis({"name": "g", "num_format": _scale(table)})
    return chart


def _waterfall(book: "Workbook", sheet: "Worksheet", table: Table, top: int, right: int) -> Any:
    """Stacked bars on an invisible one, from helper cells: where a step begins, what is whole, what rises, what falls."""
    cells = [cell if isinstance(cell, int | float) else 0.0 for cell in _values(table)]
    steps: list[tuple[float, float, float, float]] = []
    reached = 0.0
    for place, grams in enumerate(cells):
        is_whole = place in (0, len(cells) - 1)
        start, reached = (0.0, grams) if is_whole else (reached, reached + grams)
        size = abs(reached - start)
        steps.append((min(start, reached), *((size, 0.0, 0.0) if is_whole else (0.0, size, 0.0) if grams > 0 else (0.0, 0.0, size))))
    _helpers(book, sheet, top, right, steps)
    return _stack(book, sheet, table, top, right, (None, BAR, MORE, LESS))


def _tornado(book: "Workbook", sheet: "Worksheet", table: Table, top: int, right: int) -> Any:
    ends = zip(_values(table), table.column(_chart_of(table).high or ""), strict=True)
    pairs = [(low, high - low) for low, high in ends if isinstance(low, int | float) and isinstance(high, int | float)]
    _helpers(book, sheet, top, right, pairs)
    return _stack(book, sheet, table, top, right, (None, BAR))


_KINDS: Final[dict[ChartKind, Callable[["Workbook", "Worksheet", Table, int, int], Any]]] = {
    "bars": _bars,
    "days": _days,
    "waterfall": _waterfall,
    "tornado": _tornado,
}
_HELPED: Final[frozenset[ChartKind]] = frozenset({"waterfall", "tornado"})
"""Charts that are drawn from cells of their own, beside the table."""


def _ranged(sheet: "Worksheet", table: Table, top: int, errors: str, rows: int) -> dict[str, Any]:
    """A series of expected values with their ranges."""
    spreads = [cell if isinstance(cell, Spread) else Spread(0.0, 0.0, 0.0) for cell in _values(table)[:rows]]
    label, value = (_place(table, key) for key in (_chart_of(table).label, _chart_of(table).value))
    bars = {
        "type": "custom",
        "plus_values": [each.p95 - each.mean for each in spreads],
        "minus_values": [each.mean - each.p5 for each in spreads],
    }
    return {
        "categories": [sheet.name, top + 1, label, top + rows, label],
        "values": [sheet.name, top + 1, value, top + rows, value],
        "name": [sheet.name, top, value],
        "fill": {"color": BAR},
        "gap": 60,
        errors: bars,
    }


def _stack(book: "Workbook", sheet: "Worksheet", table: Table, top: int, right: int, inks: Sequence[str | None]) -> Any:
    chart = book.add_chart({"type": "bar", "subtype": "stacked"})
    last = top + len(table.rows)
    for place, ink in enumerate(inks):
        series: dict[str, Any] = {
            "categories": [sheet.name, top + 1, 0, last, 0],
            "values": [sheet.name, top + 1, right + place, last, right + place],
            "fill": {"color": ink} if ink else {"none": True},
            "gap": 50,
        }
        chart.add_series(series)
    return _lying(chart, table)


def _lying(chart: Any, table: Table) -> Any:
    """Bars from top to bottom in the table's order."""
    chart.set_legend({"none": True})
    chart.set_y_axis({"reverse": True, "label_position": "low"})
    chart.set_x_axis({"name": "g", "num_format": _scale(table), "label_position": "high", "major_gridlines": {"visible": True}})
    return chart


def _scale(table: Table) -> str:
    """The format of an axis: as many decimals as its steps take, about a fifth of the largest figure."""
    ends = [(cell.p5, cell.p95) if isinstance(cell, Spread) else (cell,) for cell in _values(table)]
    sizes = [abs(end) for pair in ends for end in pair if isinstance(end, int | float)]
    step = max(sizes, default=0.0) / 5
    decimals = min(9, max(0, -math.floor(math.log10(step)))) if step > 0 else 0
    return "#,##0" + ("." + "0" * decimals if decimals else "")


def _helpers(book: "Workbook", sheet: "Worksheet", top: int, right: int, rows: Sequence[Sequence[float]]) -> None:
    faint = book.add_format({"font_color": FAINT, "num_format": "#,##0.0"})
    for number, row in enumerate(rows, start=1):
        for place, figure in enumerate(row):
            sheet.write_number(top + number, right + place, figure, faint)


def _values(table: Table) -> list[Cell]:
    return table.column(_chart_of(table).value)


def _chart_of(table: Table) -> Chart:
    if table.chart is None:
        raise ValueError(f"the table {table.id!r} has no chart")
    return table.chart


def _place(table: Table, key: str) -> int:
    """Where a column stands in the sheet: one with a range takes three."""
    return sum(3 if column.is_ranged else 1 for column in table.columns[: table.at(key)])
