"""A ledger's rows as somebody else sees and changes them, on every database. It must never go through the store that is tested."""

from typing import Any

import pytest
from sqlalchemy import create_engine, pool, text

ON_A_FILE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)
"""For what only a file of SQLite has; the other tests of `url` and `store` run on every database."""


def ask_ledger(url: str, statement: str, **values: object) -> list[tuple[Any, ...]]:
    """Rows of a SELECT, on a connection that nobody else has."""
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(statement), values)]


def change_ledger(url: str, statement: str, **values: object) -> None:
    """A statement in a transaction of its own."""
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        connection.execute(text(statement), values)


def stored_calls(url: str) -> list[str]:
    """Ids of the calls in the ledger, of each only those whose attempt and estimate are there too; one entry per row joined."""
    found = ask_ledger(
        url, "SELECT c.call_id FROM calls c JOIN attempts a ON a.call_id = c.call_id JOIN estimates e ON e.attempt_id = a.attempt_id"
    )
    return [str(row[0]) for row in found]
