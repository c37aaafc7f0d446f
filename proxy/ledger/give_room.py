"""Gives the room of deleted rows back to the disk, and leaves nothing of them in the file. It must never hold the ledger for long."""

from collections.abc import Callable
from contextlib import closing
from typing import Final

from sqlalchemy import Connection, Engine

from proxy.ledger.turn import Turn

PAGES_AT_ONCE: Final = 512
"""Pages of one transaction (2 MB): no batch of calls waits long for it."""
_INCREMENTAL: Final = 2


def blank_deleted(transaction: Connection) -> None:
    """What the transaction deletes is overwritten with zeros; a database server does that by itself (VACUUM)."""
    if transaction.dialect.name == "sqlite":
        transaction.exec_driver_sql("PRAGMA secure_delete=ON")


def give_room_back(turn: Turn, is_ended: Callable[[], bool]) -> None:
    """Shortens a SQLite file by its free pages, and empties its log. A file from before this does not shrink: VACUUM, once."""
    if turn.reader.dialect.name != "sqlite":
        return
    while not is_ended():
        with turn.write() as transaction:
            if _number(transaction, "auto_vacuum") != _INCREMENTAL or not _number(transaction, "freelist_count"):
                break
            _shorten(transaction)
    _empty_log(turn.reader)


def _shorten(transaction: Connection) -> None:
    """A page goes with each row that is fetched; SQLAlchemy takes the pragma for one without rows."""
    with closing(transaction.connection.cursor()) as cursor:
        cursor.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
        cursor.fetchall()


def _number(transaction: Connection, pragma: str) -> int:
    return int(transaction.exec_driver_sql(f"PRAGMA {pragma}").scalar_one())


def _empty_log(reader: Engine) -> None:
    """As far as no reader needs it; the rest goes with a later checkpoint."""
    with closing(reader.raw_connection()) as connection:
        connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
