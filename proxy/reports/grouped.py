"""Lines of a report by model, place, day, tag. It must never give a group another sum than its calls have."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from proxy.ledger.cells import Cell
from proxy.ledger.queries import DAY_MS, Opinions, Unweighed
from proxy.ledger.report_read import Group, Read
from proxy.reports.line import Line
from proxy.reports.request import Plan
from proxy.reports.summary import line_of

DAY: Final = "day"
TAG: Final = "tag:"
BY_CELL: Final[Mapping[str, Callable[[Cell], str]]] = {
    "model": lambda cell: cell.model,
    "provider": lambda cell: cell.provider,
    "zone": lambda cell: cell.zone,
    "operation": lambda cell: cell.operation,
    "policy": lambda cell: cell.policy,
}


def grouped_lines(read: Read, plan: Plan) -> dict[str, tuple[Line, ...]]:
    """Lines by dimension, heaviest first, days in order."""
    found = {}
    for name, group in read.groups.items():
        opinions = _told(group) if group.opinions else _of_cells(read, plan, name)
        unweighed: dict[str, list[Unweighed]] = {}
        for each in group.unweighed:
            unweighed.setdefault(each.key, []).append(each)
        lines = [line_of(facts.key, facts, opinions.get(facts.key, []), unweighed.get(facts.key, [])) for facts in group.facts]
        found[name] = tuple(sorted(map(_dated, lines), key=_day) if name == DAY else sorted(lines, key=_weight))
    return found


def _told(group: Group) -> dict[str, list[Opinions]]:
    found: dict[str, list[Opinions]] = {}
    for each in group.opinions:
        found.setdefault(each.key, []).append(each)
    return found


def _of_cells(read: Read, plan: Plan, name: str) -> dict[str, list[Opinions]]:
    if name == DAY:
        return {}
    at = plan.tag_at(name.removeprefix(TAG)) if name.startswith(TAG) else None
    found: dict[str, list[Opinions]] = {}
    for cell in read.now.cells:
        key = BY_CELL[name](cell) if at is None else cell.tags[at]
        found.setdefault(key, []).append(cell.opinions)
    return found


def _dated(line: Line) -> Line:
    """The line of a day by its date."""
    return replace(line, key=datetime.fromtimestamp(int(line.key) * DAY_MS / 1000, UTC).date().isoformat())


def _day(line: Line) -> str:
    return line.key


def _weight(line: Line) -> tuple[float, str]:
    return (-line.gco2e.mean if line.gco2e else 0.0, line.key)
