"""Lays out the chart of a table as rectangles, lines and words. It must never smooth or invent a point."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from textwrap import wrap
from typing import Final, Literal

from proxy.reports.line import Spread
from proxy.reports.pages.language import Language, Measure, scale
from proxy.reports.pages.outline import PAGE_ROWS, Cell, ChartKind, Table

Ink = Literal["axis", "grid", "bar", "more", "less", "range", "word", "faint"]
WIDTH: Final = 720.0
LABELS: Final = 300.0
LETTER: Final = 7.0
"""Widest column of labels, and how wide a letter is, about."""

RIGHT: Final = 46.0
ROW: Final = 26.0
TALL_ROW: Final = 32.0
LINE: Final = 12.5
"""Rows whose names take one line, or two, and how far apart these are."""

TOP: Final = 8.0
FOOT: Final = 26.0
DAYS_HEIGHT: Final = 200.0
DAYS_LEFT: Final = 62.0
LONGEST: Final = 40
ELLIPSIS: Final = "\N{HORIZONTAL ELLIPSIS}"
MOST_DAYS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A filled rectangle."""

    x: float
    y: float
    width: float
    height: float
    ink: Ink


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    ink: Ink


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A text at a point. anchor: which end stands there."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    ink: Ink = "word"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A chart to draw, in a box of WIDTH by height."""

    height: float
    boxes: tuple[Box, ...]
    rules: tuple[Rule, ...]
    words: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of a chart: where its bar begins and ends, and its range."""

    label: str
    start: float
    end: float
    low: float
    high: float
    ink: Ink = "bar"


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale with round ticks; begin..end in figures, first..last in pixels."""

    begin: float
    end: float
    step: float
    first: float
    last: float

    def at(self, figure: float) -> float:
        """Where a figure stands."""
        return self.first + (self.last - self.first) * (figure - self.begin) / (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round figures from begin to end."""
        return [self.begin + self.step * place for place in range(round((self.end - self.begin) / self.step) + 1)]


def draw(table: Table, language: Language) -> Picture | None:
    """The picture of a table that has a chart; None where it has none or nothing to show."""
    if table.chart is None:
        return None
    marks = _MARKS[table.chart.kind](table)
    if not any(abs(edge) > 0 for mark in marks for edge in (mark.start, mark.end, mark.low, mark.high)):
        return None
    return _columns(marks, language) if table.chart.kind == "days" else _rows(marks, language, table.chart.middle)


def _bars(table: Table) -> list[Mark]:
    return _spreads(table, PAGE_ROWS)


def _days(table: Table) -> list[Mark]:
    return _spreads(table, None)


def _spreads(table: Table, most: int | None) -> list[Mark]:
    """One mark for each row with a sum; a difference below 0 has another ink."""
    chart = table.chart
    if chart is None:
        return []
    pairs = list(zip(table.column(chart.label), table.column(chart.value), strict=True))[:most]
    return [
        Mark(str(label), 0.0, cell.mean, cell.p5, cell.p95, "less" if cell.mean < 0 else "bar")
        for label, cell in pairs
        if isinstance(cell, Spread)
    ]


def _waterfall(table: Table) -> list[Mark]:
    """Whole figures at both ends, steps between them, each from where the one before ended."""
    chart = table.chart
    if chart is None:
        return []
    labels, cells = table.column(chart.label), [_plain(cell) for cell in table.column(chart.value)]
    marks, reached = [], 0.0
    for place, (label, grams) in enumerate(zip(labels, cells, strict=True)):
        is_whole = place in (0, len(cells) - 1)
        start, end = (0.0, grams) if is_whole else (reached, reached + grams)
        ink: Ink = "bar" if is_whole else "less" if grams < 0 else "more"
        marks.append(Mark(str(label).partition(":")[0].strip(), start, end, end, end, ink))
        reached = end
    return marks


def _tornado(table: Table) -> list[Mark]:
    chart = table.chart
    if chart is None or chart.high is None:
        return []
    rows = zip(table.column(chart.label), table.column(chart.value), table.column(chart.high), strict=True)
    marks = [Mark(str(label), _plain(low), _plain(high), _plain(low), _plain(high)) for label, low, high in rows]
    return marks[:PAGE_ROWS]


_MARKS: Final[dict[ChartKind, Callable[[Table], list[Mark]]]] = {
    "bars": _bars,
    "days": _days,
    "waterfall": _waterfall,
    "tornado": _tornado,
}


def _rows(marks: Sequence[Mark], language: Language, middle: float | None) -> Picture:
    """Marks one below the other, on a horizontal axis."""
    left = min(LABELS, 14 + LETTER * max(len(part) for mark in marks for part in _parts(mark.label)))
    axis = _axis(marks, left + 8, WIDTH - RIGHT, middle=0.0 if middle is None else middle)
    row = ROW if all(len(_parts(mark.label)) == 1 for mark in marks) else TALL_ROW
    foot = TOP + row * len(marks)
    middles = [TOP + row * (place + 0.5) for place in range(len(marks))]
    boxes = [_bar(mark, axis, y) for mark, y in zip(marks, middles, strict=True)]
    rules = [Rule(x1=x, y1=TOP, x2=x, y2=foot, ink="grid") for x in map(axis.at, axis.ticks())]
    rules += [Rule(x1=x, y1=TOP, x2=x, y2=foot, ink="axis") for x in ([axis.at(middle if middle is not None else 0.0)])]
    rules += [rule for mark, y in zip(marks, middles, strict=True) for rule in _whisker(mark, axis, y)]
    words = [word for mark, y in zip(marks, middles, strict=True) for word in _label(mark, left, y)]
    words += [Word(x=axis.at(tick), y=foot + 16, text=text, anchor="middle", ink="faint") for tick, text in _named(axis, language)]
    return Picture(height=foot + FOOT, boxes=tuple(boxes), rules=tuple(rules), words=tuple(words))


def _columns(marks: Sequence[Mark], language: Language) -> Picture:
    """Marks side by side, on a vertical axis."""
    axis = _axis(marks, DAYS_HEIGHT - FOOT, TOP, middle=0.0)
    slots = _slots([mark.label for mark in marks])
    wide = (WIDTH - DAYS_LEFT - TOP) / len(slots)
    boxes, whiskers = [], []
    for place, mark in ((slots.index(mark.label), mark) for mark in marks):
        left, y = DAYS_LEFT + wide * place, axis.at(mark.end)
        boxes.append(Box(x=left + wide * 0.15, y=y, width=wide * 0.7, height=axis.at(0.0) - y, ink=mark.ink))
        centre = left + wide / 2
        whiskers.append(Rule(x1=centre, y1=axis.at(mark.low), x2=centre, y2=axis.at(mark.high), ink="range"))
    named = _named(axis, language)
    grid = [Rule(x1=DAYS_LEFT, y1=axis.at(tick), x2=WIDTH - TOP, y2=axis.at(tick), ink="grid") for tick, _ in named]
    words = [Word(x=DAYS_LEFT - 8, y=axis.at(tick) + 4, text=text, anchor="end", ink="faint") for tick, text in named]
    every = math.ceil(len(slots) / 8)
    for place in range(0, len(slots), every):
        words.append(
            Word(
                x=DAYS_LEFT + wide * (place + 0.5),
                y=DAYS_HEIGHT - FOOT + 17,
                text=language.short_day(slots[place]),
                anchor="middle",
                ink="faint",
            )
        )
    return Picture(height=DAYS_HEIGHT, boxes=tuple(boxes), rules=(*grid, *whiskers), words=tuple(words))


def _slots(labels: Sequence[str]) -> Sequence[str]:
    """Every day from the first to the last, so that a day without calls leaves a gap; the labels themselves where they are no days."""
    try:
        days = [date.fromisoformat(label) for label in labels]
    except ValueError:
        return labels
    first, wide = min(days), (max(days) - min(days)).days + 1
    return [(first + timedelta(days=place)).isoformat() for place in range(wide)] if wide <= MOST_DAYS else labels


def _bar(mark: Mark, axis: Axis, middle: float) -> Box:
    left, right = sorted((axis.at(mark.start), axis.at(mark.end)))
    return Box(x=left, y=middle - ROW * 0.3, width=max(right - left, 0.8), height=ROW * 0.6, ink=mark.ink)


def _whisker(mark: Mark, axis: Axis, y: float) -> Iterator[Rule]:
    """The range with its two ends; nothing where a mark has none of its own."""
    if mark.low == mark.high or (mark.start, mark.end) == (mark.low, mark.high):
        return
    low, high = axis.at(mark.low), axis.at(mark.high)
    yield Rule(x1=low, y1=y, x2=high, y2=y, ink="range")
    for x in (low, high):
        yield Rule(x1=x, y1=y - 4, x2=x, y2=y + 4, ink="range")


def _axis(marks: Sequence[Mark], first: float, last: float, *, middle: float) -> Axis:
    """Round ticks around all marks and what bars stand on or around."""
    edges = [edge for mark in marks for edge in (mark.start, mark.end, mark.low, mark.high)]
    low, high = min(*edges, middle), max(*edges, middle)
    step = _step(high - low or abs(high) or 1.0)
    begin, end = math.floor(low / step) * step, math.ceil(high / step) * step
    return Axis(begin, max(end, begin + step), step, first, last)


def _step(wide: float) -> float:
    """A round fifth or so of a width."""
    rough = wide / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(each for each in (power, 2 * power, 5 * power, 10 * power) if each >= rough * 0.999)


def _named(axis: Axis, language: Language) -> list[tuple[float, str]]:
    """Ticks with their texts, all in the unit of the largest."""
    measure: Measure = "g"
    factor, unit = scale(measure, max(abs(axis.begin), abs(axis.end)))
    exact = [Decimal(f"{tick:.10g}") / factor for tick in axis.ticks()]
    decimals = max(0, -Decimal(f"{axis.step:.0e}").adjusted() + factor.adjusted())
    return [(tick, language.tick(number, decimals, unit)) for tick, number in zip(axis.ticks(), exact, strict=True)]


def _label(mark: Mark, right: float, middle: float) -> Iterator[Word]:
    """The name of a row, in one line or two."""
    parts = _parts(mark.label)
    first = middle + 4 - LINE * (len(parts) - 1) / 2
    yield from (Word(x=right, y=first + LINE * place, text=part, anchor="end") for place, part in enumerate(parts))


def _parts(label: str) -> list[str]:
    """A label that fits, in one line or two; the whole of it stands in the table."""
    return wrap(label, LONGEST, max_lines=2, placeholder=ELLIPSIS) or [label]


def _plain(cell: Cell) -> float:
    return float(cell) if isinstance(cell, int | float) else 0.0
