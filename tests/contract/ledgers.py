"""Ledgers and finished calls for the ledger's tests. It must never keep a ledger beyond its test."""

import sqlite3
from contextlib import closing
from pathlib import Path

from proxy.call import CallRecord
from proxy.clock import uuid7
from proxy.ledger.spool import Spool, spool_path
from proxy.ledger.store import Store
from tests.sample_records import attempt, call

STARTED_MS = 1_790_000_000_000
RESERVE_BYTES = 1 << 20


def record(number: int = 0, **changes: object) -> CallRecord:
    """A call of its own ids, `number` milliseconds after the first."""
    started_ms = STARTED_MS + number
    own = {"call_id": uuid7(started_ms), "started_ms": started_ms, "attempts": (attempt(attempt_id=uuid7(started_ms)),)}
    return call(**(own | changes))


def records(count: int) -> list[CallRecord]:
    """So many calls."""
    return [record(number) for number in range(count)]


def sqlite_url(folder: Path) -> str:
    """A ledger file in the folder."""
    return f"sqlite:///{folder / 'ledger.db'}"


def open_store(url: str) -> Store:
    """A ledger with its schema."""
    store = Store(url)
    store.upgrade()
    return store


def spool_beside(store: Store, reserve_bytes: int = RESERVE_BYTES) -> Spool:
    """A small spool beside the ledger's file."""
    return Spool(spool_path(store.path), reserve_bytes)


def stored_calls(folder: Path) -> list[str]:
    """Ids of the calls in the ledger file, of each only those whose attempt and estimate are there too; one entry per row joined."""
    with closing(sqlite3.connect(folder / "ledger.db")) as connection:
        found = connection.execute(
            "SELECT c.call_id FROM calls c JOIN attempts a ON a.call_id = c.call_id JOIN estimates e ON e.attempt_id = a.attempt_id"
        ).fetchall()
    return [str(row[0]) for row in found]
