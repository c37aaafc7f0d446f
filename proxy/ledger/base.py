"""What the writer asks of a database, and the two ways in which it can refuse. It must never name a vendor's type."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from proxy.call import CallRecord

Durability = Literal["commit", "fsync", "async"]
OnFailure = Literal["pass", "deny"]
Fetched = dict[str, object]
"""One row, by column name."""
Values = Mapping[str, str | int | None]
"""What the `:name` marks of a statement stand for."""


class LedgerUnavailable(Exception):
    """The database takes nothing now (locked, full, gone, broken); the same records may be taken later."""


class UnwritableRecord(Exception):
    """A value in the batch can never be stored; the other records of the batch can."""


class Conflict(Exception):
    """The change does not fit what is there by now: nothing of it was done."""


class Door(Protocol):
    """One kind of database. Writing happens on one thread; fetch may be called from any."""

    def upgrade(self) -> None:
        """Bring the schema to this version, or raise StartError saying what to do."""

    def migrate(self) -> None:
        """Bring the schema to this version, on request: a database server too. Raises StartError."""

    def revision(self) -> str | None:
        """The schema's revision, None when there is none yet. Raises StartError when that cannot be read."""

    def open_writer(self, durability: Durability) -> None:
        """Open the writing connection. Raises LedgerUnavailable."""

    def write(self, records: Sequence[CallRecord]) -> None:
        """Insert or ignore all records in one transaction. Raises LedgerUnavailable or UnwritableRecord."""

    def remember(self, key: str, value: str) -> str:
        """Keep a fact of the ledger itself unless one is kept under that key; returns the one that is kept."""

    def fetch(self, table: str, column: str, values: Sequence[str]) -> list[Fetched]:
        """Rows of a table whose column holds one of the values. Raises LedgerUnavailable."""

    def select(self, statement: str, values: Values) -> list[Fetched]:
        """The rows of a SELECT of ours. Raises LedgerUnavailable."""

    def change(self, statements: Sequence[tuple[str, Values]]) -> None:
        """Do all statements in one transaction. Raises Conflict when one touches no row or breaks a rule, LedgerUnavailable."""

    def close(self) -> None:
        """Give back every connection."""
