"""Reads what the proxy itself was found to weigh in a period. It must never count a process's hour twice."""

import msgspec
from sqlalchemy import Connection, select

from proxy.ledger.own_store import LAST_HOUR, PREFIX, OwnRow, hour_key
from proxy.ledger.rollup_columns import HOUR_MS
from proxy.ledger.tables import ledger_meta


def own_rows(snapshot: Connection, since_ms: int | None, until_ms: int | None) -> list[OwnRow]:
    """Rows of the hours that the period touches, oldest first."""
    key = ledger_meta.c.key
    statement = select(ledger_meta.c.value).where(key >= PREFIX, key < hour_key(LAST_HOUR))
    if since_ms is not None:
        statement = statement.where(key >= hour_key(since_ms // HOUR_MS))
    if until_ms is not None:
        statement = statement.where(key < hour_key(-(-until_ms // HOUR_MS)))
    return [msgspec.json.decode(value, type=OwnRow) for value in snapshot.execute(statement.order_by(key)).scalars()]
