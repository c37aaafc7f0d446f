"""Lines of a report by model, place, day, tag. It must never give a group another sum than its calls have."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TypeVar

from proxy.ledger.queries import DAY_MS, Opinions, Unweighed
from proxy.ledger.report_read import Read
from proxy.reports.line import Line
from proxy.reports.request import DAY
from proxy.reports.summary import line_of

Keyed = TypeVar("Keyed", Opinions, Unweighed)


def grouped_lines(read: Read) -> dict[str, tuple[Line, ...]]:
    """Lines by dimension, heaviest first, days in order."""
    found = {}
    for name, group in read.groups.items():
        opinions = _by_key(group.opinions)
        unweighed = _by_key(group.unweighed)
        lines = [line_of(facts.key, facts, opinions.get(facts.key, []), unweighed.get(facts.key, [])) for facts in group.facts]
        found[name] = tuple(sorted(map(_dated, lines), key=_day) if name == DAY else sorted(lines, key=_weight))
    return found


def _by_key(keyed: Iterable[Keyed]) -> dict[str, list[Keyed]]:
    found: dict[str, list[Keyed]] = {}
    for each in keyed:
        found.setdefault(each.key, []).append(each)
    return found


def _dated(line: Line) -> Line:
    """The line of a day by its date."""
    return replace(line, key=datetime.fromtimestamp(int(line.key) * DAY_MS / 1000, UTC).date().isoformat())


def _day(line: Line) -> str:
    return line.key


def _weight(line: Line) -> tuple[float, str]:
    return (-line.gco2e.mean if line.gco2e else 0.0, line.key)
