"""What the ledger holds of calls that telemetry tells of too. It must never change a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.call import OBSERVED
from proxy.ledger.base import Door

IDS_AT_ONCE: Final = 500
MOST_CALLS: Final = 200_000
OBSERVED_SINCE: Final = "observed.since_ms"
"""The ledger's own note that calls are in it that telemetry told of."""

_BETWEEN: Final = """
    SELECT c.call_id, c.started_ms, a.served_model, a.input_tokens, a.output_tokens, a.upstream_request_id, a.upstream_object_id
    FROM calls c JOIN attempts a ON a.call_id = c.call_id LEFT JOIN imports i ON i.call_id = c.call_id
    WHERE c.started_ms >= :since AND c.started_ms < :until AND i.call_id IS NULL AND SUBSTR(c.caller_id, 1, :long) <> :observed
    ORDER BY c.started_ms LIMIT :most
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossed:
    """One attempt of a call that came through the proxy. ids: by which its provider may know it. Counts None: not metered."""

    call_id: str
    started_ms: int
    served_model: str
    input_tokens: int | None
    output_tokens: int | None
    ids: tuple[str, ...]


class CrossingStore:
    """Reads the ledger of calls. Blocks: called from a thread."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def remember(self, now_ms: int) -> None:
        """Lets the ledger know that it holds calls that telemetry told of. Raises LedgerUnavailable."""
        self._door.remember(OBSERVED_SINCE, str(now_ms))

    def known(self, call_ids: Sequence[str]) -> set[str]:
        """Those of the ids that are calls of the ledger. Raises LedgerUnavailable."""
        found: set[str] = set()
        for at in range(0, len(call_ids), IDS_AT_ONCE):
            rows = self._door.fetch("calls", "call_id", call_ids[at : at + IDS_AT_ONCE])
            found.update(str(row["call_id"]) for row in rows)
        return found

    def between(self, since_ms: int, until_ms: int) -> list[Crossed]:
        """Attempts of calls that came through the proxy and began in the time; the first MOST_CALLS. Raises LedgerUnavailable."""
        marks: dict[str, str | int | None] = {"long": len(OBSERVED), "observed": OBSERVED, "most": MOST_CALLS}
        return [_crossed(row) for row in self._door.select(_BETWEEN, {"since": since_ms, "until": until_ms, **marks})]


def _crossed(row: dict[str, Any]) -> Crossed:
    return Crossed(
        call_id=str(row["call_id"]),
        started_ms=row["started_ms"],
        served_model=row["served_model"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        ids=tuple(str(row[name]) for name in ("upstream_request_id", "upstream_object_id") if row[name]),
    )
