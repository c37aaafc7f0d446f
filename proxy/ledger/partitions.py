"""PostgreSQL's partitions: a month of calls each, by the time that their ids begin with. It must never leave a call without a place."""

import re
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.kept_columns import BY_CALL_ID
from proxy.ledger.server import plainly
from proxy.ledger.turn import Turn

MONTHS_AHEAD: Final = 3
MOST_MONTHS_BACK: Final = 60
"""Older calls stand in the partition of all that has no month of its own."""

_ROWS_ELSEWHERE: Final = "23514"
"""The default partition holds rows of that month (check_violation)."""
_IN_USE: Final = "55P03"
"""Somebody reads it for longer than we wait (lock_not_available); the next day tries again."""
_PATIENCE: Final = text("SELECT set_config('lock_timeout', '500', true)")

_NOW_MS: Final = text("SELECT CAST(extract(epoch FROM now()) * 1000 AS bigint)")
_PARTITIONS: Final = text(
    "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid JOIN pg_class parent ON parent.oid = inhparent"
    " WHERE parent.relname = ANY(:tables) ORDER BY child.relname"
)
_NAMED: Final = re.compile(r"_(\d{4})_(\d\d)$")
_THERE: Final = text("SELECT to_regclass(:name) IS NOT NULL")


def make_defaults(transaction: Connection) -> None:
    """The partitions for whatever has no month: nothing is ever refused."""
    for table in BY_CALL_ID:
        transaction.execute(text(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT"))


def keep_ahead(turn: Turn) -> None:
    """What make_ahead() does, on a database server and without waiting long. Raises LedgerUnavailable."""
    if turn.reader.dialect.name != "postgresql":
        return
    try:
        with turn.write() as transaction:
            transaction.execute(_PATIENCE)
            make_ahead(transaction)
    except SQLAlchemyError as error:
        raise LedgerUnavailable(plainly(error)) from error


def make_ahead(transaction: Connection, first_ms: int | None = None) -> None:
    """Partitions from the month of that time, or this one, to a few months from now, where there is none yet."""
    now = _month_of(transaction.execute(_NOW_MS).scalar_one())
    first = now if first_ms is None else max(min(_month_of(first_ms), now), now - MOST_MONTHS_BACK)
    make_months(transaction, first, now + MONTHS_AHEAD)


def make_months(transaction: Connection, first: int, last: int) -> None:
    """Partitions of these months, counted from year 0; a month of which calls stand elsewhere already has to do without."""
    for month in range(first, last + 1):
        for table in BY_CALL_ID:
            name = f"{table}_{month // 12:04d}_{month % 12 + 1:02d}"
            if transaction.execute(_THERE, {"name": name}).scalar():
                continue
            since, until = (_start_ms(each).to_bytes(6, "big").hex() for each in (month, month + 1))
            try:
                with transaction.begin_nested():
                    transaction.execute(text(f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('\\x{since}') TO ('\\x{until}')"))
            except DBAPIError as error:
                if _code(error) not in (_ROWS_ELSEWHERE, _IN_USE):
                    raise


def _code(error: DBAPIError) -> object:
    return getattr(error.orig, "sqlstate", None) or getattr(error.orig, "pgcode", None)


def drop_empty(transaction: Connection, before_ms: int) -> None:
    """Drops the partitions of months that ended before the time and of which nothing is left: their room is free at once."""
    for month, name in _months_there(transaction):
        if _start_ms(month + 1) > before_ms:
            continue
        try:
            with transaction.begin_nested():
                transaction.execute(_PATIENCE)
                transaction.execute(text(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE"))
                if transaction.execute(text(f"SELECT 1 FROM {name} LIMIT 1")).first() is None:
                    transaction.execute(text(f"DROP TABLE {name}"))
        except DBAPIError as error:
            if _code(error) != _IN_USE:
                raise


def _months_there(transaction: Connection) -> list[tuple[int, str]]:
    """Partitions of a month, by its number."""
    found = transaction.execute(_PARTITIONS, {"tables": list(BY_CALL_ID)}).scalars()
    named = [(_NAMED.search(name), name) for name in found]
    return [(int(match[1]) * 12 + int(match[2]) - 1, name) for match, name in named if match]


def _month_of(at_ms: int) -> int:
    at = datetime.fromtimestamp(at_ms / 1000, UTC)
    return at.year * 12 + at.month - 1


def _start_ms(month: int) -> int:
    return int(datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
