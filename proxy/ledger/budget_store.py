"""What the ledger knows of a budget's period: the grams of its calls as they were first counted, and what it is pinned to. It must never
change a call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.call import PENDING
from proxy.ledger.base import Door, Fetched
from proxy.ledger.columns import CHOSEN

NOTHING_MADE: Final = ("not_generated", PENDING, "unmetered")
"""Reasons of attempts that came to nothing, are booked later, or that the proxy does not read: no call of a budget's is unknown by them."""

_TAG: Final = """COALESCE(
    (SELECT r.value FROM retags r WHERE (r.call_id = c.call_id OR r.call_id = c.origin_call_id) AND r.name = :{name}
     ORDER BY r.created_ms DESC LIMIT 1),
    c.tags ->> CAST(:{name} AS text))"""

_SUMS: Final = """
    SELECT e.method || '@' || e.method_version AS method, e.factor_set AS factor_set,
           COUNT(*) AS attempts, SUM(e.gco2e) AS gco2e,
           SUM(CASE WHEN e.estimate_id IS NULL AND COALESCE(a.unweighed_reason, '') NOT IN ({nothing}) THEN 1 ELSE 0 END) AS unweighed
    FROM calls c JOIN attempts a ON a.call_id = c.call_id
    LEFT JOIN estimates e ON e.call_id = a.call_id AND e.attempt_id = a.attempt_id AND e.estimate_id = (
        SELECT o.estimate_id FROM estimates o WHERE o.call_id = a.call_id AND o.attempt_id = a.attempt_id AND o.role = :chosen
        ORDER BY CASE WHEN o.factor_set = :factor_set OR o.factor_set LIKE :stamped THEN 0 ELSE 1 END, o.created_ms, o.estimate_id LIMIT 1)
    WHERE {where}
    GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Whose calls are summed: those that began in the period, carry one of the values for each tag, and came with one of the keys."""

    since_ms: int
    until_ms: int | None
    tags: Mapping[str, Sequence[str]]
    keys: Sequence[str] | None


class BudgetStore:
    """Blocks: called from a thread. Raises LedgerUnavailable."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def sums(self, counted: Counted, factor_set: str) -> list[Fetched]:
        """By method and factor set: attempts, gco2e, and `unweighed` attempts (those have no method).

        Of an attempt's opinions that count, the one by `factor_set`, else the first that was made: what is weighed anew moves nothing.
        """
        values: dict[str, str | int | None] = {
            "chosen": CHOSEN,
            "factor_set": factor_set,
            "stamped": f"{factor_set}+%",
            "since": counted.since_ms,
        }
        where = ["c.started_ms >= :since"]
        if counted.until_ms is not None:
            values["until"] = counted.until_ms
            where.append("c.started_ms < :until")
        for at, (name, allowed) in enumerate(sorted(counted.tags.items())):
            values[f"t{at}"] = name
            where.append(f"{_TAG.format(name=f't{at}')} IN ({_marks(f't{at}v', allowed, values)})")
        if counted.keys is not None:
            where.append(f"c.caller_id IN ({_marks('k', counted.keys, values)})")
        statement = _SUMS.format(nothing=_marks("n", NOTHING_MADE, values), where=" AND ".join(where))
        return self._door.select(statement, values)

    def pin(self, key: str, value: str) -> str:
        """Keeps what a period is pinned to; the first word stands, and is returned."""
        return self._door.remember(key, value)

    def pinned(self, key: str) -> str | None:
        """What a period is pinned to, None where no proxy counted it yet."""
        found = self._door.select("SELECT value FROM ledger_meta WHERE key = :key", {"key": key})
        return str(found[0]["value"]) if found else None


def _marks(prefix: str, allowed: Sequence[str], values: dict[str, str | int | None]) -> str:
    """Places for the values in a statement; the values themselves never stand in it."""
    names = [f"{prefix}{at}" for at in range(len(allowed))]
    values.update(zip(names, allowed, strict=True))
    return ", ".join(f":{name}" for name in names)
