"""Writes a report as a workbook: a sheet for each part, figures in full, charts of the program's own. It must never write a formula."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from proxy.errors import StartError
from proxy.reports.cell import harmless
from proxy.reports.document import Basis, Report
from proxy.reports.line import Spread
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Column, Outline, Section, Table
from proxy.reports.pages.write import write
from proxy.reports.pages.xlsx_charts import add_chart

if TYPE_CHECKING:
    from xlsxwriter import Workbook
    from xlsxwriter.format import Format
    from xlsxwriter.worksheet import Worksheet

_NO_LIBRARY: Final = "a report as XLSX needs XlsxWriter; run: pip install 'grammage[report]'"
UNITS: Final = {"g": "g", "wh": "Wh", "ml": "mL"}
CHART_ROWS: Final = 17
WIDE: Final = 34
FIGURE_WIDE: Final = 17
TEXT_WIDE: Final = 60
"""Characters of the first column, of one of figures, and of the widest of texts."""

SAYS_COLUMNS: Final = 6
LINE_HEIGHT: Final = 15
"""A sentence goes over so many columns; points of its lines."""

DAYS: Final = {"en": "d mmm yyyy", "fr": "dd/mm/yyyy"}


def xlsx_report(report: Report, code: str) -> bytes:
    """The workbook in a language (`en` or `fr`), the same bytes for the same report. Raises StartError without the library."""
    return xlsx_outline(write(report, code), report.basis)


def xlsx_outline(outline: Outline, basis: Basis) -> bytes:
    """The workbook of an outline. Raises StartError without the library."""
    try:
        from xlsxwriter import Workbook  # an extra
    except ModuleNotFoundError as error:
        raise StartError(_NO_LIBRARY) from error
    language = Language(code=outline.language)
    file = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    book = Workbook(file, options)
    book.set_properties(_properties(outline, basis))
    styles = Styles(book)
    for section in outline.sections:
        _Sheet(book, book.add_worksheet(language.say("sheets", section.id)), styles, language).section(section, outline)
    book.close()
    return file.getvalue()


def _properties(outline: Outline, basis: Basis) -> dict[str, Any]:
    created = datetime.fromisoformat(basis.created or basis.until).astimezone(UTC).replace(tzinfo=None)
    about = "; ".join(f"{item}: {content}" for item, content in outline.basis.items())
    return {"title": outline.title, "subject": outline.subtitle[0], "comments": about, "created": created}


@dataclass(slots=True)
class Styles:
    """The formats of a workbook, each made once."""

    book: "Workbook"
    _made: dict[tuple[tuple[str, Any], ...], "Format"] = field(default_factory=dict)

    def of(self, **properties: Any) -> "Format":
        """A format with these properties."""
        key = tuple(sorted(properties.items()))
        if key not in self._made:
            self._made[key] = self.book.add_format(properties)
        return self._made[key]

    def figure(self, number: float, kind: str) -> "Format":
        """A format that shows two significant digits at least; the figure in the cell is whole."""
        shown = number * 100 if kind == "share" else number
        decimals = 0 if kind == "count" or not shown else min(12, max(0, 1 - math.floor(math.log10(abs(shown)))))
        pattern = ("#,##0" if kind != "share" else "0") + ("." + "0" * decimals if decimals else "") + ("%" if kind == "share" else "")
        return self.of(num_format=pattern, align="right", valign="top")


@dataclass(slots=True)
class _Sheet:
    """One part, its tables one below the other; charts stand on the right of their tables."""

    book: "Workbook"
    sheet: "Worksheet"
    styles: Styles
    language: Language
    row: int = 0
    says_wide: int = 0

    def section(self, section: Section, outline: Outline) -> None:
        """Title, sentences, tables, then the parts of the part; period and scope on top."""
        widths = _widths(section, self.language)
        for place, wide in enumerate(widths):
            self.sheet.set_column(place, place, wide)
        self.says_wide = sum(widths[:SAYS_COLUMNS])
        self._text(section.title, bold=True, font_size=14)
        self._text(" · ".join(outline.subtitle), font_color="#4a5260")
        self._says(section)
        for part in section.parts:
            self.row += 1
            self._text(part.title, bold=True, font_size=12)
            self._says(part)
        self.sheet.freeze_panes(2, 1)
        self.sheet.set_landscape()
        self.sheet.set_paper(9)
        self.sheet.fit_to_pages(1, 0)
        self.sheet.hide_gridlines(2)

    def _says(self, section: Section) -> None:
        for text in section.paragraphs:
            self._sentence(text)
        for table in section.tables:
            self.row += 1
            self._table(table)

    def _text(self, text: str, **style: Any) -> None:
        self.sheet.write_string(self.row, 0, harmless(text), self.styles.of(**style))
        self.row += 1

    def _sentence(self, text: str) -> None:
        """A text over several columns, in as many lines as it takes."""
        style = self.styles.of(text_wrap=True, valign="top")
        self.sheet.merge_range(self.row, 0, self.row, SAYS_COLUMNS - 1, "", style)
        self.sheet.write_string(self.row, 0, harmless(text), style)
        self.sheet.set_row(self.row, LINE_HEIGHT * math.ceil(len(text) * 1.05 / self.says_wide))
        self.row += 1

    def _table(self, table: Table) -> None:
        self._text(table.caption, bold=True)
        top = self.row
        titles = _titles(table, self.language)
        for place, (title, is_text) in enumerate(titles):
            style = self.styles.of(bold=True, text_wrap=True, bottom=1, valign="bottom", align="left" if is_text else "right")
            self.sheet.write_string(top, place, harmless(title), style)
        for number, row in enumerate(table.rows, start=1):
            cells = [cell for pair in zip(row, table.columns, strict=True) for cell in _cells(*pair)]
            for place, (cell, column) in enumerate(cells):
                self._cell(top + number, place, cell, column)
        self.row = top + len(table.rows) + 1
        if add_chart(self.book, self.sheet, table, top=top, right=max(len(titles), 1) + 1, language=self.language):
            self.row += CHART_ROWS

    def _cell(self, row: int, place: int, cell: Cell, column: Column) -> None:
        """Text as text, never as formula, link or number; nothing where a figure is unknown."""
        if isinstance(cell, str):
            if column.kind == "day" and (moment := _day(cell)):
                self.sheet.write_datetime(
                    row, place, moment, self.styles.of(num_format=DAYS[self.language.code], align="left", valign="top")
                )
                return
            self.sheet.write_string(row, place, harmless(cell), self.styles.of(valign="top", text_wrap=True))
        elif isinstance(cell, int | float):
            self.sheet.write_number(row, place, cell, self.styles.figure(cell, column.kind))


def _widths(section: Section, language: Language) -> list[int]:
    """Characters of each column: as wide as its longest text, within bounds."""
    widths = [WIDE] + [FIGURE_WIDE] * (SAYS_COLUMNS - 1)
    for table in section.all_tables():
        columns = len(_titles(table, language))
        widths += [FIGURE_WIDE] * (columns - len(widths))
        for row in table.rows:
            cells = [cell for pair in zip(row, table.columns, strict=True) for cell, _ in _cells(*pair)]
            for place, cell in enumerate(cells):
                if isinstance(cell, str):
                    widths[place] = max(widths[place], min(TEXT_WIDE, len(cell) + 2))
    return widths


def _titles(table: Table, language: Language) -> list[tuple[str, bool]]:
    """Headings with units, and which are of text: three for a column with a range."""
    found = []
    for column in table.columns:
        unit = UNITS.get(column.kind)
        keys = ("expected", "low_end", "high_end") if column.is_ranged else ("",)
        for key in keys:
            title = language.say("columns", key, column=column.title) if key else column.title
            found.append((f"{title} ({unit})" if unit else title, column.kind in ("text", "day")))
    return found


def _cells(cell: Cell, column: Column) -> Iterator[tuple[Cell, Column]]:
    """The cell in as many as its column has headings."""
    if not column.is_ranged:
        yield cell, column
        return
    figures = (cell.mean, cell.p5, cell.p95) if isinstance(cell, Spread) else (None, None, None)
    yield from ((figure, column) for figure in figures)


def _day(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
