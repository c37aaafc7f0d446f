"""Counts the answers that one policy let through, by their tags. It must never count what was refused, failed or came without a model."""

from collections import Counter
from typing import Final

import msgspec

from proxy.ledger.base import Door

MOST_GROUPS: Final = 200_000
_BY_TAGS: Final = """
    SELECT CAST(c.tags AS TEXT) AS tags, COUNT(*) AS calls, MAX(c.started_ms) AS newest
    FROM decisions d JOIN calls c ON c.call_id = d.call_id LEFT JOIN instead i ON i.call_id = c.call_id
    WHERE d.policy = :policy AND d.mode = :mode AND c.outcome = 'ok' AND i.call_id IS NULL
    GROUP BY CAST(c.tags AS TEXT) ORDER BY MAX(c.started_ms) DESC LIMIT :most
"""


class IterationStore:
    """Reads the ledger of calls. Blocks: called from a thread."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def made(self, policy: str, mode: str, tag: str, beside: str) -> dict[tuple[str, str], int]:
        """Answers by the values of two tags, the second empty where a call lacks it; calls without the first are left out.

        Where there are more sets of tags than MOST_GROUPS the newest count. Raises LedgerUnavailable.
        """
        found: Counter[tuple[str, str]] = Counter()
        for row in self._door.select(_BY_TAGS, {"policy": policy, "mode": mode, "most": MOST_GROUPS}):
            tags = msgspec.json.decode(str(row["tags"]), type=dict[str, str])
            if tag in tags:
                found[tags[tag], tags.get(beside, "")] += int(str(row["calls"]))
        return dict(found)
