"""Says what a dashboard is made of, in our own words. It must never know Grafana's JSON."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["stat", "line", "stacked", "band", "bars", "table", "text"]
"""band: lines of which the one called `high` is filled down to the one called `low`. bars: one bar a series, over the whole time shown."""

WIDTH = 24
"""Columns of Grafana's grid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One PromQL expression. name: a word of the phrases, or a legend such as `{{model}}: [limit]` with labels and words.

    exemplars: whether calls are pointed at.
    """

    expr: str
    name: str
    exemplars: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel; `key` names its title and description among the phrases.

    queries: for a table, one a column, each with the label `by`. units: of a table's columns, in their order; else one.
    link: board that a click on `by` opens, narrowed to its value. limits: value from which on the colour is orange, then red.
    most: end of the scale. words: the phrase that a text panel shows. yes_no: 1 and 0 are shown as words.
    """

    key: str
    kind: Kind
    queries: tuple[Query, ...] = ()
    units: tuple[str, ...] = ("short",)
    width: int = 12
    height: int = 8
    by: str = ""
    link: str = ""
    limits: tuple[float, float] | None = None
    most: float | None = None
    words: str = ""
    yes_no: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading, in reading order."""

    key: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard. variables: names of those in `variables.py` that narrow it, in their order."""

    key: str
    variables: tuple[str, ...]
    rows: tuple[Row, ...]
