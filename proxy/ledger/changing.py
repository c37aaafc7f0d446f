"""Opens a ledger that people change beside a running proxy: reads in one snapshot, writes in short transactions. It must never make one."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event, pool
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import StartError
from proxy.ledger.mathematics import lend_functions
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.server import open_server, plainly
from proxy.ledger.store import sqlite_path

_WAIT_MS: Final = 10_000
"""How long a transaction waits for the batches of a busy proxy."""


@dataclass(frozen=True, slots=True)
class Hands:
    """reader: each transaction sees one snapshot and locks nothing; writer: for short transactions, what it overwrites is gone."""

    reader: Engine
    writer: Engine


@contextmanager
def opened_to_change(url: str) -> Iterator[Hands]:
    """The ledger at the URL. Raises StartError where there is none of this version, or it cannot be read or written."""
    check_schema(url)
    path = sqlite_path(url)
    reader = open_engine(url)
    writer = _file_writer(path) if path is not None else open_server(url, poolclass=pool.NullPool)
    try:
        yield Hands(reader, writer)
    except SQLAlchemyError as error:
        raise StartError(f"the ledger at {reader.url!r} cannot be changed: {plainly(error)}; `grammage db check` says more") from error
    finally:
        reader.dispose()
        writer.dispose()


def _file_writer(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", poolclass=pool.NullPool)
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _take_the_file)
    return engine


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    """Transactions are begun by us; what a change leaves free in the file is overwritten with zeros."""
    connection.isolation_level = None
    lend_functions(connection)
    connection.execute(f"PRAGMA busy_timeout={_WAIT_MS}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA secure_delete=ON")
    connection.execute("PRAGMA synchronous=FULL")


def _take_the_file(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
