"""Hands a whole report over: in the terminal, or as a file. It must never write half a file, nor bytes into a terminal."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from proxy.cli.output import PIPED_WIDTH, message
from proxy.errors import StartError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table as RichTable

    from proxy.reports.document import Report
    from proxy.reports.pages.language import Language
    from proxy.reports.pages.outline import Section, Table

TERMINAL_ROWS = 20
"""Rows of a table in the terminal; data formats have all of them."""


def write_page(report: "Report", form: str, language: str, output: Path | None) -> None:
    """Writes the report in a form of proxy.reports.pages.forms to a file, or to standard output where that is no terminal."""
    from proxy.reports.pages.forms import FORMS  # not for the help

    may_print(form, output)
    hand_over(FORMS[form].make(report, language), output)


def may_print(form: str, output: Path | None) -> None:
    """Raises typer.BadParameter where bytes would go into a terminal."""
    from proxy.reports.pages.forms import FORMS  # as above

    if output is None and form in FORMS and sys.stdout.isatty() and not FORMS[form].media_type.startswith("text/"):
        raise typer.BadParameter(f"--format {form} is not for a terminal; add --output report.{FORMS[form].extension}")


def hand_over(body: bytes, output: Path | None) -> None:
    """To the file, or to standard output."""
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(body)
        sys.stdout.buffer.flush()
        return
    _put(output, body)
    message(f"wrote {output} ({len(body):,} bytes)")


def _put(output: Path, body: bytes) -> None:
    """The whole file, or the one that was there before."""
    beside = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        beside.write_bytes(body)
        beside.replace(output)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise StartError(f"cannot write {output}: {error.strerror}; choose another --output") from error


def show_report(report: "Report", language: str) -> None:
    """The whole report as text and tables on standard output, two significant digits, in the order of a page."""
    from rich.console import Console  # slow to import; only tables need it

    from proxy.reports.pages.language import Language  # as above
    from proxy.reports.pages.write import write  # as above

    outline, words = write(report, language), Language(code=language)
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False, markup=False, emoji=False)
    console.print(outline.title, style="bold")
    console.print("\n".join(outline.subtitle))
    if outline.headline:
        console.print(f"\n{outline.headline[0]} CO\N{SUBSCRIPT TWO}e ({outline.headline[1]})", style="bold")
    for section in outline.sections:
        _show_section(section, console, words)


def _show_section(section: "Section", console: "Console", language: "Language") -> None:
    console.print(f"\n{section.title}", style="bold")
    for text in section.paragraphs:
        console.print(text)
    for table in section.tables:
        console.print(f"\n{table.caption}", style="italic")
        console.print(_rich_table(table, language))
        if len(table.rows) > TERMINAL_ROWS:
            console.print(language.say("page", "cut", count=language.count(len(table.rows) - TERMINAL_ROWS)))
    for part in section.parts:
        _show_section(part, console, language)


def _rich_table(table: "Table", language: "Language") -> "RichTable":
    from rich import box  # as above
    from rich.table import Table as RichTable
    from rich.text import Text

    from proxy.reports.pages.cells import written  # as above

    shown = RichTable(box=box.SIMPLE_HEAD, padding=(0, 1))
    for column in table.columns:
        numeric = column.kind not in ("text", "day")
        shown.add_column(column.title, justify="right" if numeric else "left", overflow="fold")
    for row in table.rows[:TERMINAL_ROWS]:
        cells = (written(cell, column, language) for cell, column in zip(row, table.columns, strict=True))
        shown.add_row(*(Text(f"{cell.text} ({cell.range})" if cell.range else cell.text) for cell in cells))
    return shown
