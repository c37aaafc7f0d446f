"""Opens a ledger to be read by SQLAlchemy. It must never write to it, nor make one."""

import sqlite3
from contextlib import closing
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import ArgumentError

from proxy.errors import StartError
from proxy.ledger.columns import REVISIONS
from proxy.ledger.mathematics import lend_functions
from proxy.ledger.server import missing_driver, open_server
from proxy.ledger.store import Store, sqlite_path

SORTED_IN_MEMORY: Final = "PRAGMA cache_size=-65536"
"""64 MiB before a sort spills."""

MAPPED: Final = "PRAGMA mmap_size=2147418112"
"""For statements that read a whole period: the file is mapped, not copied page by page."""


def check_schema(url: str) -> None:
    """Raises StartError when there is no ledger of this version at the URL."""
    path = sqlite_path(url)
    if path is not None and not path.is_file():
        raise StartError(f"there is no ledger at {path}; it is made when the proxy first starts, or name another with --ledger or --config")
    with closing(Store(url)) as store:
        revision = store.revision()
    if revision != REVISIONS[-1]:
        raise StartError(f"the ledger's schema is {revision or 'missing'}, this version reads {REVISIONS[-1]}; run: grammage db upgrade")


def open_engine(url: str, *, is_mapped: bool = False) -> Engine:
    """An engine whose transactions see one snapshot. is_mapped: for sums over much of it. Raises StartError when the URL cannot be used."""
    path = sqlite_path(url)
    if path is not None:
        engine = create_engine(f"sqlite:///{path}")
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin)
        if is_mapped:
            event.listen(engine, "connect", _map)
        return engine
    try:
        return open_server(url, isolation_level="REPEATABLE READ")
    except ModuleNotFoundError as error:
        raise StartError(missing_driver(error)) from error
    except ArgumentError as error:
        raise StartError(f"the ledger's URL cannot be used: {error}") from error


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Transactions are begun by us: one snapshot for all sums."""
    connection.isolation_level = None
    connection.execute(SORTED_IN_MEMORY)
    lend_functions(connection)


def _map(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(MAPPED)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
