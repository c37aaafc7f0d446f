"""What people said of finished assets, and what the calls for one came to. It must never change a word that was said: the last counts."""

from typing import Any, Final, NamedTuple

import msgspec

from estimators.quantity import LogVariance, Quantity, ScopeKeys
from proxy.ledger.base import Door, Fetched, Values
from proxy.ledger.columns import ASSET_VERDICTS, CHOSEN, SCOPED_QUANTITIES, quantity_columns

NOT_GENERATED: Final = "not_generated"
_ADD: Final = f"INSERT INTO asset_verdicts ({', '.join(ASSET_VERDICTS)}) VALUES ({', '.join(f':{column}' for column in ASSET_VERDICTS)})"
_SAID: Final = f"SELECT {', '.join(ASSET_VERDICTS)} FROM asset_verdicts WHERE asset = :asset ORDER BY decided_ms, verdict_id"
_FIGURES: Final = tuple(column for line in SCOPED_QUANTITIES for column in quantity_columns(line))
_RETAGGED: Final = """(SELECT r.value FROM retags r WHERE r.name = 'asset' AND (r.call_id = c.call_id OR r.call_id = c.origin_call_id)
    ORDER BY r.created_ms DESC LIMIT 1)"""
_CALLS: Final = f"""
    SELECT c.call_id, c.origin_call_id, c.started_ms, c.caller_id, c.tags, a.attempt_id, a.provider, a.model, a.unweighed_reason,
           e.estimate_id, e.created_ms, e.method, e.method_version, e.zone, {", ".join(f"e.{column}" for column in _FIGURES)}
    FROM calls c
    LEFT JOIN attempts a ON a.call_id = c.call_id
    LEFT JOIN estimates e ON e.call_id = a.call_id AND e.attempt_id = a.attempt_id AND e.role = '{CHOSEN}'
    WHERE ({{tag}} = :asset OR c.call_id IN (SELECT call_id FROM retags WHERE name = 'asset' AND value = :asset)
           OR c.origin_call_id IN (SELECT call_id FROM retags WHERE name = 'asset' AND value = :asset))
      AND COALESCE({_RETAGGED}, {{tag}}) = :asset
    ORDER BY c.started_ms, c.call_id, e.created_ms, e.estimate_id
"""


class Opinion(NamedTuple):
    """The newest opinion that counts of one attempt, with what its error has in common with others."""

    shared: ScopeKeys
    lines: dict[str, Quantity]


class AssetCall(NamedTuple):
    """A call for an asset that was answered. began: the id of the call that it belongs to, its own but for work that was booked late.

    waits: something was generated that is not weighed, or not yet.
    """

    call_id: str
    began: str
    started_ms: int
    caller_id: str
    tags: dict[str, str]
    opinions: tuple[Opinion, ...]
    waits: bool


class AssetStore:
    """Assets by the tag of that name. Blocks: called from a thread."""

    def __init__(self, door: Door, *, is_sqlite: bool) -> None:
        self._door = door
        self._calls = _CALLS.format(tag="json_extract(c.tags, '$.asset')" if is_sqlite else "(c.tags ->> 'asset')")

    def say(self, row: Values) -> None:
        """One more word on an asset. It is durable when this returns. Raises LedgerUnavailable."""
        self._door.change([(_ADD, row)])

    def said(self, asset: str) -> list[Fetched]:
        """Every word on the asset, oldest first. Raises LedgerUnavailable."""
        return self._door.select(_SAID, {"asset": asset})

    def calls(self, asset: str) -> list[AssetCall]:
        """The answered calls for the asset, oldest first; it looks at every call of the ledger. Raises LedgerUnavailable."""
        rows: dict[str, list[Fetched]] = {}
        for row in self._door.select(self._calls, {"asset": asset}):
            rows.setdefault(str(row["call_id"]), []).append(row)
        return [_call(found) for found in rows.values() if not _came_to_nothing(found)]


def _came_to_nothing(rows: list[Fetched]) -> bool:
    """True when every attempt was refused or failed: nothing was made. A call without attempts was answered in a provider's place."""
    return all(row["unweighed_reason"] == NOT_GENERATED for row in rows)


def _call(rows: list[Fetched]) -> AssetCall:
    first: dict[str, Any] = rows[0]
    newest = {str(row["attempt_id"]): row for row in rows if row["estimate_id"] is not None}
    origin, tags = first["origin_call_id"], first["tags"]
    return AssetCall(
        call_id=str(first["call_id"]),
        began=str(first["call_id"]) if origin in (None, "unknown") else str(origin),
        started_ms=int(first["started_ms"]),
        caller_id=str(first["caller_id"]),
        tags=msgspec.json.decode(tags, type=dict[str, str]) if isinstance(tags, str) else dict(tags or {}),
        opinions=tuple(_opinion(row) for row in newest.values()),
        waits=any(row["unweighed_reason"] not in (None, NOT_GENERATED) and str(row["attempt_id"]) not in newest for row in rows),
    )


def _opinion(row: dict[str, Any]) -> Opinion:
    keys = ScopeKeys(f"{row['method']}@{row['method_version']}", row["provider"], row["model"], row["zone"])
    return Opinion(keys, {line: _quantity(row, line) for line in SCOPED_QUANTITIES if row[f"{line}_p50"] is not None})


def _quantity(row: dict[str, Any], line: str) -> Quantity:
    return Quantity(row[f"{line}_p50"], LogVariance._make(row[f"{line}_var_{scope}"] for scope in LogVariance._fields))
