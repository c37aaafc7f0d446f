"""What is pruned from a SQLite ledger is gone: its bytes are in no file, and its room is the disk's again."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from proxy.ledger import give_room
from proxy.ledger.prune import prune
from proxy.ledger.store import Store, sqlite_path
from proxy.ledger.turn import taken_turn
from tests.contract.ledger_rows import ON_A_FILE
from tests.contract.ledgers import open_store, record
from tests.contract.rolled_ledgers import DAY_MS, MIDNIGHT_MS, rolled_up

MARK = "5ca1ab1e" * 8
"""A hash of a user, as calls have them."""


def calls_of_a_user(store: Store, count: int) -> None:
    store.write([record(number, started_ms=MIDNIGHT_MS + number, user_hash=MARK, user_hash_key_id="k") for number in range(count)])


def pruned(url: str) -> None:
    with taken_turn(url) as turn:
        assert turn is not None
        assert prune(turn, MIDNIGHT_MS + DAY_MS).calls > 0


def files_of(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.glob(f"{path.name}*"))


@pytest.fixture(name="path")
def _path(url: str) -> Path:
    found = sqlite_path(url)
    assert found is not None
    return found


@ON_A_FILE
def test_nothing_of_a_pruned_call_stays_in_the_files_of_the_database(store: Store, url: str, path: Path) -> None:
    calls_of_a_user(store, 300)
    store.write([record(900, started_ms=MIDNIGHT_MS + 5 * DAY_MS)])
    rolled_up(url)
    assert MARK.encode() in files_of(path)
    pruned(url)
    assert MARK.encode() not in files_of(path)


@ON_A_FILE
def test_a_file_shrinks_by_what_was_pruned_in_short_transactions(
    store: Store, url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(give_room, "PAGES_AT_ONCE", 8)
    calls_of_a_user(store, 600)
    store.write([record(900, started_ms=MIDNIGHT_MS + 5 * DAY_MS)])
    rolled_up(url)
    store.close()
    full = path.stat().st_size
    pruned(url)
    assert path.stat().st_size < full / 2
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA freelist_count").fetchone() == (0,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """A reader who stays on its snapshot: the log cannot be emptied meanwhile."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM calls").fetchone()
        yield


@ON_A_FILE
def test_a_reader_does_not_keep_calls_from_being_pruned(store: Store, url: str, path: Path) -> None:
    calls_of_a_user(store, 50)
    rolled_up(url)
    with reading(path):
        pruned(url)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM calls").fetchone() == (0,)


def test_a_file_from_before_is_pruned_and_keeps_its_room(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # the file has its first page, and no auto_vacuum
    url = f"sqlite:///{path}"
    with closing(open_store(url)) as store:
        calls_of_a_user(store, 300)
        rolled_up(url)
    full = path.stat().st_size
    pruned(url)
    assert path.stat().st_size == full
    assert MARK.encode() not in files_of(path)
