"""Draws the data of a panel as SVG: lines, a stack, or a band. It must never invent or smooth a point."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 70, 12, 34, 70
COLOURS = ("#0072b2", "#e69f00", "#56b4e9", "#d55e00", "#cc79a7", "#7f7f7f", "#9467bd", "#8c564b")
SCALES: Mapping[str, tuple[tuple[float, str], ...]] = {
    "massg": ((1e6, "t"), (1e3, "kg"), (1, "g"), (1e-3, "mg"), (1e-6, "ug")),
    "s": ((1, "s"), (1e-3, "ms"), (1e-6, "us")),
    "watt": ((1e3, "kW"), (1, "W"), (1e-3, "mW")),
}
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What is drawn. series: points by legend, seconds since the beginning and a number. kind: as of the panel."""

    title: str
    unit: str
    kind: str
    series: Mapping[str, Points]


def svg(picture: Picture) -> str:
    """The whole picture as text."""
    series = _stacked(picture.series) if picture.kind == "stacked" else dict(picture.series)
    end_s = max(at for points in series.values() for at, _ in points) or 1.0
    step = _step(max(number for points in series.values() for _, number in points))
    top = step * 4

    def place(at: float, number: float) -> str:
        x = LEFT + (WIDTH - LEFT - RIGHT) * at / end_s
        return f"{x:.1f},{HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * number / top:.1f}"

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12" fill="#6b7280">',
        f'<text x="{LEFT}" y="18" font-size="14">{escape(picture.title)}</text>',
    ]
    for line in range(5):
        y = HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * line / 4
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#9ca3af" stroke-opacity=".35"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_named(step * line, top, picture.unit)}</text>')
        x = LEFT + (WIDTH - LEFT - RIGHT) * line / 4
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{end_s * line / 4:.0f} s</text>')
    if picture.kind == "band":
        around = [place(*point) for point in series["high"]] + [place(*point) for point in reversed(series["low"])]
        parts.append(f'<polygon points="{" ".join(around)}" fill="{COLOURS[0]}" fill-opacity=".2"/>')
        series = {"expected": series["expected"]}
    if picture.kind == "stacked":
        floor = [place(end_s, 0.0), place(0.0, 0.0)]
        for number, points in reversed(list(enumerate(series.values()))):
            filled = " ".join([*(place(*point) for point in points), *floor])
            parts.append(f'<polygon points="{filled}" fill="{COLOURS[number % len(COLOURS)]}"/>')
    for number, points in enumerate(series.values()):
        drawn = " ".join(place(*point) for point in points)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="1.6"/>')
    return "\n".join([*parts, *_legend(list(series)), "</svg>", ""])


def _legend(names: Sequence[str]) -> list[str]:
    """Names in rows under the axis."""
    parts, x, y = [], float(LEFT), HEIGHT - 36
    for number, name in enumerate(names):
        width = 30 + 6.4 * len(name)
        if x + width > WIDTH:
            x, y = float(LEFT), y + 18
        parts.append(f'<rect x="{x:.1f}" y="{y}" width="10" height="10" fill="{COLOURS[number % len(COLOURS)]}"/>')
        parts.append(f'<text x="{x + 14:.1f}" y="{y + 9}">{escape(name)}</text>')
        x += width
    return parts


def _stacked(series: Mapping[str, Points]) -> dict[str, Points]:
    """Each series on top of those before it."""
    below: dict[float, float] = {}
    found: dict[str, Points] = {}
    for name, points in series.items():
        for at, number in points:
            below[at] = below.get(at, 0.0) + number
        found[name] = [(at, below[at]) for at, _ in points]
    return found


def _step(most: float) -> float:
    """A round quarter of a scale that holds `most`."""
    rough = most / 4 or 0.25
    power = 10.0 ** math.floor(math.log10(rough))
    return next(each for each in (power, 2 * power, 2.5 * power, 5 * power, 10 * power) if each >= rough)


def _named(number: float, top: float, unit: str) -> str:
    factor, name = next(((factor, name) for factor, name in SCALES.get(unit, ()) if top >= factor), (1.0, unit))
    return f"{number / factor:g} {name}".strip()
