"""A report as titled parts with tables, in one language and in the order of a page. It must never hold markup, nor a rounded figure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from proxy.reports.line import Spread

Kind = Literal["text", "day", "count", "number", "share", "g", "wh", "ml"]
"""What a column holds. day: an ISO date. g, wh, ml: grams, watt-hours, millilitres, as Spread or a plain figure; share: a ratio."""

Cell = str | int | float | Spread | None
ChartKind = Literal["bars", "days", "waterfall", "tornado"]
PAGE_ROWS = 12
"""Rows of a table on a page; data exports have all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: a key for machines, a title in the language. is_ranged: cells are Spread."""

    key: str
    title: str
    kind: Kind = "text"
    is_ranged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """How a table is drawn: which columns name and size its marks. A tornado has `value` and `high` and stands around `middle`; the first
    and last row of a waterfall are whole figures, those between are steps.
    """

    kind: ChartKind
    label: str
    value: str
    high: str | None = None
    middle: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows below titled columns, figures in full."""

    id: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    chart: Chart | None = None

    def at(self, key: str) -> int:
        """The place of a column. Raises StopIteration for one that the table lacks."""
        return next(place for place, column in enumerate(self.columns) if column.key == key)

    def column(self, key: str) -> list[Cell]:
        """The cells of one column."""
        place = self.at(key)
        return [row[place] for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One part of the page: what it says, then its tables. is_page: it begins a page on paper."""

    id: str
    title: str
    paragraphs: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    parts: tuple["Section", ...] = ()
    is_page: bool = False

    def all_tables(self) -> Iterator[Table]:
        """Its tables and those of its parts."""
        yield from self.tables
        for part in self.parts:
            yield from part.all_tables()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The whole report in one language. headline: the total and its range, None where unknown. subtitle: period and scope."""

    language: str
    title: str
    subtitle: tuple[str, ...]
    headline: tuple[str, str] | None
    sections: tuple[Section, ...]
    basis: Mapping[str, str]
    may: Sequence[str] = field(default=())
    may_not: Sequence[str] = field(default=())
