"""Writes a report as one HTML page with its style and charts inside. It must never hold a script or ask another machine for anything."""

from functools import cache
from importlib.resources import files
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup, escape

from proxy.reports.document import Report
from proxy.reports.pages.cells import Written, written
from proxy.reports.pages.charts import WIDTH, Picture, draw
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import PAGE_ROWS, Cell, Column, Outline, Table
from proxy.reports.pages.write import write

INKS: Final = {
    "axis": "#3d4450",
    "grid": "#d3d8de",
    "bar": "#2f6fb0",
    "more": "#b4631a",
    "less": "#6a58b4",
    "range": "#111111",
    "word": "#1b1f24",
    "faint": "#4a5260",
}
"""Colours on paper; the style sheet has those of a dark screen. Blue, orange and violet differ for every kind of eye."""

DAY_ROWS: Final = 31
WHOLE_ROWS: Final = 14
WHOLE_DRAWN: Final = 6
"""A table with more rows may go on over a second sheet of paper; one with a chart from fewer."""

BROAD: Final = 8
"""A table with more columns is set smaller on paper."""

TREE_ROWS: Final = 24
DEEP: Final = ("\N{EM SPACE}" * 2, "\N{EM SPACE}")
"""How names of assets, then campaigns, begin in the tree."""

NAME_LIMIT: Final = 64
SENTENCES: Final = frozenset({"tips", "lighter", "completeness", "change", "drivers"})
"""Tables whose rows begin with a text of ours, in full."""

STATEMENTS: Final = frozenset({"sci_boundary", "scopes", "category1", "datapoints", "posts", "creation_missing", "apart", "sources"})
"""Tables of exports that are of no use in part: every row, in full."""


def html_page(report: Report, code: str) -> str:
    """The page in a language (`en` or `fr`)."""
    return page(write(report, code), report)


def page(outline: Outline, report: Report) -> str:
    """The page of an outline."""
    language = Language(code=outline.language)
    return _environment().get_template("report.html.jinja").render(_context(outline, report, language)) + "\n"


def page_rows(table: Table) -> tuple[tuple[Cell, ...], ...]:
    """The rows that a page shows: all of a short table, the first of a long one."""
    if table.id in STATEMENTS:
        return table.rows
    if table.id == "tree":
        return _upper_rows(table.rows)
    return table.rows[: DAY_ROWS if table.id == "days" else PAGE_ROWS]


def _upper_rows(rows: tuple[tuple[Cell, ...], ...]) -> tuple[tuple[Cell, ...], ...]:
    """Rows of a tree: assets go first where they are too many, then campaigns, so that every brand is seen."""
    for deep in DEEP:
        if len(rows) > TREE_ROWS:
            rows = tuple(row for row in rows if not str(row[0]).startswith(deep))
    return rows[:TREE_ROWS]


def _context(outline: Outline, report: Report, language: Language) -> dict[str, Any]:
    basis = report.basis
    short = language.say(
        "page",
        "short_basis",
        profiles=", ".join(basis.profiles) or "-",
        factor_sets=", ".join(basis.factor_sets) or "-",
        time_zone=basis.time_zone,
    )

    def cells(cell: Cell, column: Column) -> Written:
        return written(cell, column, language)

    def pictures(table: Table) -> Picture | None:
        return draw(table, language)

    def cut(table: Table) -> str:
        return language.say("page", "cut", count=language.count(len(table.rows) - len(page_rows(table))))

    return {
        "outline": outline,
        "short_basis": short,
        "titles": {section.id: section.title for section in outline.sections},
        "tool": f"grammage {basis.tool_version}",
        "created": basis.created,
        "css": Markup(_data("report.css")),  # our own file, not a text of anybody's
        "ink": INKS,
        "width": f"{WIDTH:g}",
        "cells": cells,
        "pictures": pictures,
        "page_rows": page_rows,
        "whole": WHOLE_ROWS,
        "whole_drawn": WHOLE_DRAWN,
        "broad": BROAD,
        "coded": _coded,
        "stated": lambda text, table: _coded(text) if table.id in STATEMENTS else text,
        "cut": cut,
        "named": _named,
        "is_web": _is_web,
        "say": lambda key: language.say("page", key),
        "words": lambda key: language.say("words", key),
    }


def _named(text: str, table: Table) -> str:
    """A name that a client made up, cut where a row would grow tall; data exports have the whole of it."""
    return text if len(text) <= NAME_LIMIT or table.id in SENTENCES | STATEMENTS else text[: NAME_LIMIT - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _coded(text: str) -> Markup:
    """A sentence, with what stands between backticks set as code."""
    *pairs, last = text.split("`")
    if len(pairs) % 2:
        return escape(text)
    parts = enumerate((*pairs, last))
    return Markup("").join(Markup("<code>{}</code>").format(part) if place % 2 else escape(part) for place, part in parts)


def _is_web(cell: Cell) -> bool:
    return isinstance(cell, str) and cell.startswith(("https://", "http://"))


@cache
def _environment() -> Environment:
    return Environment(loader=FunctionLoader(_data), autoescape=True, undefined=StrictUndefined, trim_blocks=False)


def _data(name: str) -> str:
    return files("proxy.reports.pages").joinpath(f"data/{name}").read_text("utf-8")
