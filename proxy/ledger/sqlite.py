"""The ledger in a SQLite file, by the driver itself: the hot path. It must never be written from two threads."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from proxy.call import CallRecord
from proxy.clock import uuid7
from proxy.errors import StartError
from proxy.ledger.base import Conflict, Durability, Fetched, LedgerUnavailable, UnwritableRecord, Values
from proxy.ledger.columns import IDS, LEDGER_META, REVISIONS
from proxy.ledger.create import create_if_empty
from proxy.ledger.ids import id_bytes, id_text
from proxy.ledger.kept_columns import KEPT_WRITES, KINDS_OF, SWEPT
from proxy.ledger.mathematics import lend_functions
from proxy.ledger.pack import Kept, Packer

LOCK_WAIT_MS: Final = 1_000
"""How long a batch waits for another writer before it goes to the spool."""
CHANGE_WAIT_S: Final = 10
"""How long a change of keys waits for the batches of a busy proxy."""
CREATE_WAIT_S: Final = 30
"""How long a start waits for another process that makes the schema."""
CHECKPOINT_PAGES: Final = 4_000
CACHE_KIB: Final = 512
"""The writer only appends; a larger cache would hold pages that nobody reads again."""

"""Pages in the write-ahead log before they are folded into the file (16 MB): rare enough to stay out of the 99th percentile."""
ROWS_PER_STATEMENT: Final = (32, 8, 4, 2, 1)
"""Rows are sent by multi-row statements of these sizes: each statement lets go of the interpreter lock once, not once per row."""

_SYNCHRONOUS: Final = {"commit": "NORMAL", "async": "NORMAL", "fsync": "FULL"}
_NEVER_STORABLE: Final = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    UnicodeError,
)


def insert_or_ignore(table: str, columns: Sequence[str], rows: int) -> str:
    """The statement that inserts so many rows and leaves those alone whose key is there already."""
    one = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([one] * rows)} ON CONFLICT DO NOTHING"


_INSERTS: Final = tuple({size: insert_or_ignore(table, columns, size) for size in ROWS_PER_STATEMENT} for table, columns in KEPT_WRITES)
_KINDS: Final = {table: insert_or_ignore(table, columns, 1) for table, columns in KINDS_OF.items()}
_SWEPT: Final = f"SELECT value FROM ledger_meta WHERE key = '{SWEPT}'"


class SqliteDoor:
    """One ledger file. Raises StartError for a path that names no file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: sqlite3.Connection | None = None
        self._durability: Durability = "commit"
        self._file_id = (0, 0)
        self._packer = Packer(touch_id=uuid7(0))
        self._swept: tuple[object, ...] | None = None

    def upgrade(self) -> None:
        """Create or migrate the schema when it is not this version's; alembic is imported only for an older ledger."""
        try:
            self._try_to_write()
            revision = self._read_revision()
            if revision is None and self._create():
                return
        except sqlite3.Error as error:
            raise StartError(self._unusable(error)) from error
        if revision == REVISIONS[-1]:
            return
        if revision is not None and revision not in REVISIONS:
            raise StartError(
                f"the ledger {self._path} was written by a newer version (schema {revision}, this one knows {REVISIONS[-1]}); "
                "install that version again, or point ledger.url at another file"
            )
        from proxy.ledger.schema import migrate  # slow (alembic), needed once per version

        try:
            migrate(f"sqlite:///{self._path}")
        except LedgerUnavailable as error:
            raise StartError(self._unusable(error)) from error

    def migrate(self) -> None:
        """The same: a file belongs to whoever opens it."""
        self.upgrade()

    def revision(self) -> str | None:
        """The schema's revision, None for a file that is fresh or not there. Raises StartError when it cannot be read."""
        if not self._path.exists():
            return None
        try:
            return self._read_revision()
        except sqlite3.Error as error:
            raise StartError(f"cannot read the ledger {self._path}: {error}") from error

    def _read_revision(self) -> str | None:
        with closing(self._reader()) as connection:
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone() is None:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        return None if row is None else str(row[0])

    def open_writer(self, durability: Durability) -> None:
        """Open the writing connection on a file that exists."""
        self._durability = durability
        self._drop_writer()
        self._packer.forget()  # it may be another file
        try:
            connection = sqlite3.connect(
                f"{self._path.absolute().as_uri()}?mode=rw",
                uri=True,
                isolation_level=None,
                timeout=LOCK_WAIT_MS / 1000,
                check_same_thread=False,
            )
            self._writer = connection
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA synchronous={_SYNCHRONOUS[durability]}")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
            self._file_id = self._identity()
        except (sqlite3.Error, OSError) as error:
            self._drop_writer()
            raise LedgerUnavailable(str(error)) from error

    def write(self, records: Sequence[CallRecord]) -> None:
        """All rows of the records in one transaction."""
        try:
            packed = self._packer.pack(records)
        except (TypeError, AttributeError, ValueError, OverflowError) as error:
            raise UnwritableRecord(f"{type(error).__name__}: {error}") from error
        try:
            if self._writer is None or self._identity() != self._file_id:
                self.open_writer(self._durability)
            connection = self._writer
            assert connection is not None  # open_writer raises or sets it
            connection.execute("BEGIN IMMEDIATE")
            if self._have_kinds_gone(connection):
                packed = self._packer.pack(records)
            for table, kinds in self._packer.fresh.items():
                if kinds:
                    connection.executemany(_KINDS[table], kinds.values())
            for inserts, table_rows in zip(_INSERTS, packed, strict=True):
                for size, values in _chunks(table_rows):
                    connection.execute(inserts[size], values)
            connection.execute("COMMIT")
            self._packer.settle()
        except _NEVER_STORABLE as error:
            self._drop_writer()
            raise UnwritableRecord(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            self._drop_writer()
            raise LedgerUnavailable(str(error)) from error

    def _have_kinds_gone(self, connection: sqlite3.Connection) -> bool:
        """Whether kinds were taken out since the last batch, as this transaction sees it; then none is taken for written."""
        swept = connection.execute(_SWEPT).fetchone()
        if swept == self._swept:
            return False
        self._swept = swept
        self._packer.forget()
        return True

    def remember(self, key: str, value: str) -> str:
        """The value kept under the key, now or before."""
        try:
            with closing(self._reader()) as connection, connection:
                connection.execute(insert_or_ignore("ledger_meta", LEDGER_META, 1), (key, value))
                (kept,) = connection.execute("SELECT value FROM ledger_meta WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise LedgerUnavailable(str(error)) from error
        return str(kept)

    def fetch(self, table: str, column: str, values: Sequence[str]) -> list[Fetched]:
        """Rows of a table of ours; table and column are names of columns.py, never a client's text."""
        marks = ", ".join("?" * len(values))
        try:
            with closing(self._reader()) as connection:
                connection.row_factory = sqlite3.Row
                kept = [id_bytes(value) for value in values] if column in IDS else values
                found = connection.execute(f"SELECT * FROM {table} WHERE {column} IN ({marks})", tuple(kept)).fetchall()
        except sqlite3.Error as error:
            raise LedgerUnavailable(str(error)) from error
        return [_read(row) for row in found]

    def close(self) -> None:
        """Fold the write-ahead log into the file and close."""
        if self._writer is not None:
            with suppress(sqlite3.Error):  # a full disk or a reader: the log stays beside the file, complete
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._drop_writer()

    def _create(self) -> bool:
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=CREATE_WAIT_S)) as connection:
            return create_if_empty(connection) or self._read_revision() == REVISIONS[-1]

    def _try_to_write(self) -> None:
        """Make the file if there is none; raises sqlite3.Error unless it can be written."""
        with closing(sqlite3.connect(self._path, isolation_level=None, timeout=LOCK_WAIT_MS / 1000)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("ROLLBACK")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:  # another writer at work: writable, and the spool bridges it
                    raise

    def _unusable(self, error: Exception) -> str:
        folder = self._path.absolute().parent
        if "not a database" in str(error):
            return f"{self._path} is not a ledger of grammage but some other file; set ledger.url to another"
        why = f"the folder {folder} does not exist" if not folder.is_dir() else str(error)
        return f"cannot write the ledger {self._path}: {why}. Make the folder and the file writable, or set ledger.url to another"

    def select(self, statement: str, values: Values) -> list[Fetched]:
        """The rows of a SELECT of ours."""
        try:
            with closing(self._reader()) as connection:
                connection.row_factory = sqlite3.Row
                return [_read(row) for row in connection.execute(statement, dict(values))]
        except sqlite3.Error as error:
            raise LedgerUnavailable(str(error)) from error

    def change(self, statements: Sequence[tuple[str, Values]]) -> None:
        """All statements in one transaction, on a connection of its own, safe from a power cut."""
        try:
            with closing(sqlite3.connect(self._file_uri(), uri=True, timeout=CHANGE_WAIT_S, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    if connection.execute(statement, dict(values)).rowcount == 0:
                        raise Conflict("a row is not as it was")
                connection.execute("COMMIT")
        except sqlite3.IntegrityError as error:
            raise Conflict(str(error)) from error
        except sqlite3.Error as error:
            raise LedgerUnavailable(str(error)) from error

    def _file_uri(self) -> str:
        return f"{self._path.absolute().as_uri()}?mode=rw"

    def _reader(self) -> sqlite3.Connection:
        connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=LOCK_WAIT_MS / 1000)
        lend_functions(connection)
        return connection

    def _identity(self) -> tuple[int, int]:
        """Which file stands at the path: rows written to a deleted file would be lost in silence."""
        found = os.stat(self._path)
        return (found.st_dev, found.st_ino)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            with suppress(sqlite3.Error):  # a broken connection; whatever it had not committed is rolled back
                self._writer.close()
            self._writer = None


def _read(row: sqlite3.Row) -> Fetched:
    """A row with its ids as texts: nothing else is bytes."""
    return {name: id_text(row[name]) if isinstance(row[name], bytes) else row[name] for name in row.keys()}  # noqa: SIM118  # its iterator gives values


def _chunks(rows: list[Kept]) -> Iterator[tuple[int, list[object]]]:
    """The rows' values in runs as long as the prepared statements."""
    start = 0
    for size in ROWS_PER_STATEMENT:
        while len(rows) - start >= size:
            yield size, [value for row in rows[start : start + size] for value in row]
            start += size
