"""Attempts of each provider and month, and what of them was imported: what can be compared with a provider's count. It must never guess."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, func, select

from proxy.ledger.queries import DAY_MS, Selection, in_period
from proxy.ledger.rolled import Reading
from proxy.ledger.rolled_plan import planned
from proxy.ledger.tables import attempts, calls, imports

ProviderMonth = tuple[str, str]
"""Provider, and month (UTC) such as 2026-11."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Months:
    """attempts: all of them. imported_calls: calls that imported records stand for; None where these may be gone."""

    attempts: Mapping[ProviderMonth, int]
    imported_calls: Mapping[ProviderMonth, int] | None


NO_MONTHS: Final = Months(attempts={}, imported_calls=None)


def months_of(connection: Connection, selection: Selection, *, is_cut: bool) -> Months:
    """The months of the selection. is_cut: single calls of it may be gone."""
    plan = planned(connection, selection)
    if plan is None:
        found = _scanned(connection, selection)
    else:
        reading = Reading(connection, selection, plan)
        found = Counter()
        for row in reading.rolled(_rolled):
            found[row["provider"], _month(row["day"])] += int(row["attempts"])
        for part in reading.parts():
            found.update(_scanned(connection, part))
    return Months(attempts=found, imported_calls=None if is_cut else _imported(connection, selection))


def _rolled(table: Table) -> Select[Any]:
    day = table.c.bucket_ms // DAY_MS
    statement = select(table.c.provider, day.label("day"), func.sum(table.c.attempts).label("attempts"))
    return statement.where(table.c.attempts > 0).group_by(table.c.provider, day)


def _scanned(connection: Connection, selection: Selection) -> Counter[ProviderMonth]:
    day = calls.c.started_ms // DAY_MS
    statement = (
        select(attempts.c.provider, day.label("day"), func.count().label("attempts"))
        .select_from(calls.join(attempts, attempts.c.call_id == calls.c.call_id))
        .group_by(attempts.c.provider, day)
    )
    return _by_month(connection, in_period(statement, selection))


def _imported(connection: Connection, selection: Selection) -> Counter[ProviderMonth]:
    day = calls.c.started_ms // DAY_MS
    statement = (
        select(attempts.c.provider, day.label("day"), func.sum(imports.c.calls_counted).label("calls"))
        .select_from(imports.join(calls, imports.c.call_id == calls.c.call_id).join(attempts, attempts.c.call_id == calls.c.call_id))
        .group_by(attempts.c.provider, day)
    )
    return _by_month(connection, in_period(statement, selection))


def _by_month(connection: Connection, statement: Select[Any]) -> Counter[ProviderMonth]:
    found: Counter[ProviderMonth] = Counter()
    for provider, day, number in connection.execute(statement):
        found[provider, _month(day)] += int(number)
    return found


def _month(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_MS / 1000, UTC).strftime("%Y-%m")
