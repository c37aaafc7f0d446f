"""The rows of the result: floor, target and what was measured. It must never hide a row that was skipped."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Sense = Literal["at most", "at least", "told"]


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. floor and target: None for a figure that is told beside. nginx: the same figure of nginx in the same run."""

    name: str
    unit: str
    measured: float | None
    floor: float | None = None
    target: float | None = None
    nginx: float | None = None
    sense: Sense = "told"
    note: str = ""

    @property
    def verdict(self) -> str:
        """target, floor or BELOW FLOOR; skipped when there is no figure."""
        if self.measured is None:
            return "skipped"
        if self.sense == "told" or self.floor is None or self.target is None:
            return ""
        sign = 1 if self.sense == "at most" else -1
        if sign * self.measured <= sign * self.target:
            return "target"
        return "floor" if sign * self.measured <= sign * self.floor else "BELOW FLOOR"


def render(rows: list[Row]) -> str:
    """A table for a terminal."""
    head = ("figure", "unit", "floor", "target", "measured", "nginx", "reached")
    lines = [head] + [
        (row.name, row.unit, _number(row.floor), _number(row.target), _number(row.measured), _number(row.nginx), row.verdict)
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    text = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width) for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    text.insert(1, "  ".join("-" * width for width in widths))
    notes = [f"- {row.name}: {row.note}" for row in rows if row.note]
    return "\n".join([*text, "", *notes])


def as_json(rows: list[Row], about: dict[str, object]) -> str:
    """The rows with what is said about the run."""
    return json.dumps({"about": about, "rows": [{**asdict(row), "reached": row.verdict} for row in rows]}, indent=2)


def _number(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
