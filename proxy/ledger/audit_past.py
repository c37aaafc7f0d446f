"""Whole rows of a ledger for an auditor, day by day in one snapshot. It must never show the hash of a user among the facts."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import StartError
from proxy.ledger.columns import ATTEMPTS, CALLS, CHOSEN, ESTIMATES, KINDS, RETAGS, WEIGHING_FACTS, set_role
from proxy.ledger.personal import ERASED_COLUMNS
from proxy.ledger.queries import DAY_MS
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import plainly
from proxy.ledger.tables import attempts, calls, estimates, retags, weighing_facts
from proxy.ledger.weighed_past import BATCH_CALLS, Period

Record = dict[str, Any]
USER: Final = ("user_hash", "user_hash_key_id")
FACTS: Final = tuple(name for name in CALLS if name not in ERASED_COLUMNS)
"""Without what an erasure on request makes null: the facts of a day stay the same then."""

OPINION: Final = tuple(name for name in ESTIMATES if name != "role")


class DayPart(NamedTuple):
    """Some calls of one day with their attempts, the opinions on these, and whose they are. day: its number since 1970, UTC."""

    day: int
    facts: list[Record]
    opinions: list[Record]
    users: list[Record]


class AuditLedger:
    """A ledger by its URL. Raises StartError when there is none of this version, or it cannot be read."""

    def __init__(self, url: str) -> None:
        check_schema(url)
        self._engine = open_engine(url)

    def parts(self, period: Period, estimate_set: str | None) -> Iterator[DayPart]:
        """All calls of the period in the order of their start, in parts that end with the day at the latest."""
        with self._reading() as connection:
            after: tuple[int, str] | None = None
            while rows := self._calls_after(connection, period, after):
                after = (rows[-1]["started_ms"], rows[-1]["call_id"])
                for day, found in groupby(rows, key=lambda row: row["started_ms"] // DAY_MS):
                    yield _part(connection, day, list(found), estimate_set)

    def retags(self, period: Period) -> list[Record]:
        """What was said of tags later, in the order in which it was said."""
        statement = select(*(retags.c[name] for name in RETAGS)).join(calls, calls.c.call_id == retags.c.call_id).where(period.holds())
        with self._reading() as connection:
            found = connection.execute(statement.order_by(retags.c.created_ms, retags.c.call_id, retags.c.name)).mappings()
            return [_plain(dict(row)) for row in found]

    def close(self) -> None:
        """Gives back the connections."""
        self._engine.dispose()

    def _calls_after(self, connection: Connection, period: Period, after: tuple[int, str] | None) -> list[Record]:
        statement = select(*(calls.c[name] for name in CALLS)).where(period.holds())
        if after is not None:
            started, call_id = after
            statement = statement.where(calls.c.started_ms >= started, (calls.c.started_ms > started) | (calls.c.call_id > call_id))
        found = connection.execute(statement.order_by(calls.c.started_ms, calls.c.call_id).limit(BATCH_CALLS)).mappings()
        return [_plain(dict(row)) for row in found]

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StartError(f"cannot read the ledger at {self._engine.url!r}: {plainly(error)}; `grammage db check` says more") from error


def _part(connection: Connection, day: int, rows: Sequence[Record], estimate_set: str | None) -> DayPart:
    ids = [row["call_id"] for row in rows]
    facts = {row["attempt_id"]: row for row in _rows(connection, weighing_facts, WEIGHING_FACTS, weighing_facts.c.call_id.in_(ids))}
    tried: dict[str, list[Record]] = {call_id: [] for call_id in ids}
    for row in _rows(connection, attempts, ATTEMPTS, attempts.c.call_id.in_(ids)):
        tried[row["call_id"]].append({**row, "weighing_facts": _told(facts.get(row["attempt_id"]))})
    for found in tried.values():
        found.sort(key=lambda row: (row["ordinal"], row["attempt_id"]))
    in_turn = [row["attempt_id"] for call_id in ids for row in tried[call_id]]
    role = CHOSEN if estimate_set is None else set_role(estimate_set)
    known = _rows(connection, estimates, OPINION, estimates.c.call_id.in_(ids), estimates.c.role == role)
    newest = {row["attempt_id"]: row for row in sorted(known, key=lambda row: (row["created_ms"], row["estimate_id"]))}
    return DayPart(
        day=day,
        facts=[{**{name: row[name] for name in FACTS}, "attempts": tried[row["call_id"]]} for row in rows],
        opinions=[newest[attempt_id] for attempt_id in in_turn if attempt_id in newest],
        users=[{"call_id": row["call_id"], **{name: row[name] for name in USER}} for row in rows if row["user_hash"] is not None],
    )


def _rows(connection: Connection, table: Any, names: Sequence[str], *conditions: Any) -> list[Record]:
    return [_plain(dict(row)) for row in connection.execute(select(*(table.c[name] for name in names)).where(*conditions)).mappings()]


def _told(facts: Record | None) -> Record | None:
    """What an attempt was weighed by, without what stands there already."""
    return None if facts is None else {name: facts[name] for name in WEIGHING_FACTS[2:]}


def _plain(row: Record) -> Record:
    """The row as every database would give it: truth values as such, tags as an object."""
    for name, value in row.items():
        kind = KINDS.get(name)
        if kind == "boolean" and value is not None:
            row[name] = bool(value)
        elif kind == "json" and isinstance(value, str):
            row[name] = msgspec.json.decode(value)
        elif kind == "double" and value is not None:
            row[name] = float(value)
    return row
