"""Writes an outline as Markdown, for people: two significant digits. It must never let a client's text become markup."""

import re
from collections.abc import Iterator

from proxy.reports.pages.cells import written
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Column, Outline, Section, Table

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|!~$&])")
"""What Markdown, or HTML inside it, would take for a mark."""


def markdown(outline: Outline) -> str:
    """The whole outline; tables as GitHub writes them, every row."""
    return "\n".join(_lines(outline)) + "\n"


def _lines(outline: Outline) -> Iterator[str]:
    language = Language(code=outline.language)
    yield f"# {_plain(outline.title)}"
    for text in outline.subtitle:
        yield from ("", _plain(text))
    if outline.headline is not None:
        yield from ("", f"**{_plain(outline.headline[0])} CO₂e** ({_plain(outline.headline[1])})")
    for section in outline.sections:
        yield from _section(section, language)


def _section(section: Section, language: Language, level: int = 2) -> Iterator[str]:
    yield from ("", f"{'#' * level} {_plain(section.title)}")
    for text in section.paragraphs:
        yield from ("", _plain(text))
    for table in section.tables:
        yield from ("", f"**{_plain(table.caption)}**", "", *_table(table, language))
    for part in section.parts:
        yield from _section(part, language, level + 1)


def _table(table: Table, language: Language) -> Iterator[str]:
    yield f"| {' | '.join(_plain(column.title) for column in table.columns)} |"
    yield f"| {' | '.join('---' if column.kind in ('text', 'day') else '---:' for column in table.columns)} |"
    for row in table.rows:
        yield f"| {' | '.join(_cell(cell, column, language) for cell, column in zip(row, table.columns, strict=True))} |"


def _cell(cell: Cell, column: Column, language: Language) -> str:
    if column.key == "address" and isinstance(cell, str):
        return f"<{cell}>"
    found = written(cell, column, language)
    return _plain(f"{found.text} ({found.range})" if found.range else found.text)


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)
