"""Keeps what the proxy itself weighs: a row for each process and hour, said anew as the hour goes on. It must never add to a row."""

from collections.abc import Sequence
from typing import Final

import msgspec

from proxy.ledger.base import Door, Values

PREFIX: Final = "own."
HOUR_DIGITS: Final = 10
LAST_HOUR: Final = 10**HOUR_DIGITS - 1
_KEEP: Final = "INSERT INTO ledger_meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"


class OwnRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one process of the proxy was found to use and weigh in (a part of) an hour: facts, and the opinion of then.

    hour: hours since 1970 UTC. part: of that process; a new one begins with each hour, so that a clock set back meets no row of its own.
    lines: by name median and the five variance components.
    """

    process_id: str
    part: int
    hour: int
    since_ms: int
    until_ms: int
    cpu_s: float
    wall_s: float
    memory_gb_s: float
    measured_cpu_s: float
    package_j: float
    provider: str
    region: str | None
    zone: str
    method: str
    method_version: str
    factor_set: str
    profile: str
    quality: str
    warnings: tuple[str, ...]
    lines: dict[str, tuple[float, float, float, float, float, float]]

    @property
    def key(self) -> str:
        """Its place in the ledger; keys of one hour stand together."""
        return f"{hour_key(self.hour)}.{self.process_id}.{self.part}"


def hour_key(hour: int) -> str:
    """What the keys of an hour begin with."""
    return f"{PREFIX}{hour:0{HOUR_DIGITS}d}"


class OwnStore:
    """Blocks: called from a thread. Raises LedgerUnavailable."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def keep(self, rows: Sequence[OwnRow]) -> None:
        """Writes the rows in one transaction; a row that is there already becomes what it is now."""
        statements: list[tuple[str, Values]] = [(_KEEP, {"key": row.key, "value": msgspec.json.encode(row).decode()}) for row in rows]
        if statements:
            self._door.change(statements)
