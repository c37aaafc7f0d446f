"""A ledger's rows as somebody else sees and changes them, on every database. It must never go through the store that is tested."""

from typing import Any

import pytest
from sqlalchemy import create_engine, pool, text

from proxy.ledger.columns import ESTIMATES, IDS
from proxy.ledger.ids import id_bytes, id_text
from proxy.ledger.kept_columns import VIEWS
from proxy.ledger.packed_store import add_rows

ON_A_FILE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""For what only a file of SQLite has; the other tests of `url` and `store` run on every database."""


def ask_ledger(url: str, statement: str, **values: object) -> list[tuple[Any, ...]]:
    """Rows of a SELECT, on a connection that nobody else has."""
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        return [tuple(_shown(value) for value in row) for row in connection.execute(text(statement), _kept(values))]


def change_ledger(url: str, statement: str, **values: object) -> None:
    """A statement in a transaction of its own."""
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement), _kept(values))


def plain(row: Any) -> dict[str, Any]:
    """A row of SQLite by its columns, ids as texts."""
    return {name: _shown(row[name]) for name in row.keys()}  # noqa: SIM118  # its iterator gives values


def in_order(table: str) -> str:
    """All rows of a table, in the order in which they were written; calls and what belongs to them in that of their start."""
    return f"SELECT * FROM {table} ORDER BY {'call_id' if table in VIEWS else 'rowid'}"


def add_opinion(url: str, **row: object) -> None:
    """One more opinion by its columns, packed as the ledger packs them."""
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        add_rows(connection, {"estimates": [row]})


def repeat_opinions(url: str, call_id: str | None = None, **changes: object) -> None:
    """The opinions once more (those of one call, or all), with some columns changed."""
    rows = ask_ledger(url, f"SELECT {', '.join(ESTIMATES)} FROM estimates")
    for row in [dict(zip(ESTIMATES, row, strict=True)) for row in rows]:
        if call_id in (None, row["call_id"]):
            add_opinion(url, **(row | {name: value(row) if callable(value) else value for name, value in changes.items()}))


def _kept(values: dict[str, object]) -> dict[str, object]:
    """Values of a statement, ids as the ledger keeps them."""
    return {name: id_bytes(str(value)) if name in ("id", *IDS) else value for name, value in values.items()}


def _shown(value: object) -> object:
    """A value as it is read: nothing but ids is bytes."""
    return id_text(bytes(value)) if isinstance(value, (bytes, memoryview)) else value


def stored_calls(url: str) -> list[str]:
    """Ids of the calls in the ledger, of each only those whose attempt and estimate are there too; one entry per row joined."""
    found = ask_ledger(
        url, "SELECT c.call_id FROM calls c JOIN attempts a ON a.call_id = c.call_id JOIN estimates e ON e.attempt_id = a.attempt_id"
    )
    return [str(row[0]) for row in found]
