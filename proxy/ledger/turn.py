"""Opens a ledger to be rolled up or pruned, by one process at a time. It must never wait for its turn: the other one does the work."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, pool, text
from sqlalchemy.exc import SQLAlchemyError

from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.mathematics import lend_functions
from proxy.ledger.reading import open_engine
from proxy.ledger.server import open_server, plainly
from proxy.ledger.store import sqlite_path

_TURN: Final = 0x726F6C6C  # any number, the same in every version
_WAIT_MS: Final = 10_000
"""How long a short transaction waits for a batch of calls."""

Write = Callable[[], AbstractContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class Turn:
    """reader: each transaction sees one snapshot and locks nothing. write: a short transaction, which breaks if the turn was lost."""

    reader: Engine
    write: Write


@contextmanager
def taken_turn(url: str) -> Iterator[Turn | None]:
    """The ledger, None while somebody else has the turn. Raises LedgerUnavailable, StartError for a URL that cannot be used."""
    reader = open_engine(url)
    path = sqlite_path(url)
    try:
        with _held_file(path) if path is not None else _held_lock(url) as write:
            yield None if write is None else Turn(reader, write)
    except SQLAlchemyError as error:
        raise LedgerUnavailable(plainly(error)) from error
    finally:
        reader.dispose()


@contextmanager
def _held_file(path: Path) -> Iterator[Write | None]:
    """A lock that the system lets go of when its process ends, however it ends."""
    try:
        fd = os.open(path.with_name(f"{path.name}.rolling"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerUnavailable(f"cannot lock the ledger {path}: {error}") from error
    try:
        yield _file_writer(path).begin if _is_locked(fd) else None
    finally:
        os.close(fd)


def _is_locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _held_lock(url: str) -> Iterator[Write | None]:
    """A lock of the server on the connection that writes: it ends with the connection, and so does what would be written."""
    engine = open_server(url, poolclass=pool.NullPool)
    with engine.connect() as connection:
        with connection.begin():
            is_ours = connection.execute(text("SELECT pg_try_advisory_lock(:turn)"), {"turn": _TURN}).scalar()
        yield partial(_on, connection) if is_ours else None


@contextmanager
def _on(connection: Connection) -> Iterator[Connection]:
    with connection.begin():
        yield connection


def _file_writer(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=pool.NullPool)
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _take_the_file)
    return engine


def _leave_transactions_to_us(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # sqlite3.Connection: by default it commits before each CREATE
    lend_functions(connection)


def _take_the_file(connection: Connection) -> None:
    connection.exec_driver_sql(f"PRAGMA busy_timeout={_WAIT_MS}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")
