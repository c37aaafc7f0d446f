"""Writes a cell for people of one language: two significant digits, the unit of its size. It must never write an unknown figure as 0."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast

from proxy.reports.line import Spread
from proxy.reports.pages.language import UNKNOWN, Language, Measure
from proxy.reports.pages.outline import Cell, Column


class Written(NamedTuple):
    """A cell as text, and its range, empty where it has none."""

    text: str
    range: str = ""


def written(cell: Cell, column: Column, language: Language) -> Written:
    """One cell of a column."""
    if cell is None:
        return Written(UNKNOWN)
    if isinstance(cell, Spread):
        return _spread(cell, column, language)
    if isinstance(cell, str):
        return Written(_TEXTS[column.key](cell, language) if column.key in _TEXTS else cell)
    return Written(_PLAIN[column.kind](cell, language))


def _spread(spread: Spread, column: Column, language: Language) -> Written:
    if column.kind == "number":
        ends = (language.number(spread.p5), language.number(spread.p95))
        return Written(language.number(spread.mean), language.say("range", "between", low=ends[0], high=ends[1]))
    measure = cast("Measure", column.kind)  # the other kinds of a Spread
    return Written(language.amount(measure, spread.mean), language.between(measure, spread))


_TEXTS: Final[Mapping[str, Callable[[str, Language], str]]] = {
    "day": lambda cell, language: language.long_day(cell),
    "month": lambda cell, language: language.month(cell),
}
"""How texts of columns are written that are not shown as they are."""

_PLAIN: Final[Mapping[str, Callable[[int | float, Language], str]]] = {
    "count": lambda cell, language: language.count(int(cell)),
    "number": lambda cell, language: language.number(cell),
    "share": lambda cell, language: language.percent(cell),
    "g": lambda cell, language: language.amount("g", cell),
    "wh": lambda cell, language: language.amount("wh", cell),
    "ml": lambda cell, language: language.amount("ml", cell),
    "text": lambda cell, language: str(cell),
    "day": lambda cell, language: str(cell),
}
