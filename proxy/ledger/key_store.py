"""Issued keys in the ledger's database: kept by hash, beside the calls. It must never hold a key itself, nor forget one."""

from collections.abc import Sequence
from typing import Final

from proxy.ledger.base import Door, Fetched, Values
from proxy.ledger.columns import ISSUED_KEYS

MARKER: Final = "keys_changed"
_ADD: Final = f"INSERT INTO keys ({', '.join(ISSUED_KEYS)}) VALUES ({', '.join(f':{column}' for column in ISSUED_KEYS)})"
_END: Final = """
    UPDATE keys SET revoked_ms = :revoked_ms, replaced_by = :replaced_by
    WHERE key_id = :key_id AND (revoked_ms IS NULL OR revoked_ms > :revoked_ms)
"""
_MARK: Final = "INSERT INTO ledger_meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_ALL: Final = f"SELECT {', '.join(ISSUED_KEYS)} FROM keys ORDER BY created_ms, key_id"


class KeyStore:
    """Every key that was ever issued. Each change moves the marker, in the same transaction. Blocks: called from a thread."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def add(self, row: Values, *, mark: str) -> None:
        """A new key. Raises Conflict when a live key has its name, LedgerUnavailable."""
        self._door.change([(_ADD, row), _marked(mark)])

    def end(self, rows: Sequence[Values], *, mark: str, successor: Values | None = None) -> None:
        """Ends keys (key_id, revoked_ms, replaced_by), and adds the one that takes over. Raises Conflict, LedgerUnavailable."""
        added = [] if successor is None else [(_ADD, successor)]
        self._door.change([*((_END, row) for row in rows), *added, _marked(mark)])

    def all(self) -> list[Fetched]:
        """All keys, oldest first. Raises LedgerUnavailable."""
        return self._door.select(_ALL, {})

    def marker(self) -> str | None:
        """What changes with every change of a key. Raises LedgerUnavailable."""
        found = self._door.select("SELECT value FROM ledger_meta WHERE key = :key", {"key": MARKER})
        return str(found[0]["value"]) if found else None


def _marked(value: str) -> tuple[str, Values]:
    return _MARK, {"key": MARKER, "value": value}
