"""Ledgers and finished calls for the ledger's tests. It must never keep a ledger beyond its test."""

from pathlib import Path

from proxy.call import CallRecord
from proxy.clock import uuid7
from proxy.ledger.columns import REVISIONS
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
    """A ledger with its schema; made if need be, which a database server leaves to `grammage db upgrade`."""
    store = Store(url)
    if store.revision() != REVISIONS[-1]:
        store.migrate()
    store.upgrade()
    return store


def spool_beside(store: Store, folder: Path, reserve_bytes: int = RESERVE_BYTES) -> Spool:
    """A small spool beside the ledger's file, in the folder for a database server."""
    return Spool(folder / spool_path(store.path), reserve_bytes)
