"""What configurations said of weighing, and since when. It must never change what was in force: a new word is a row of its own."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from proxy.ledger.base import Door

PREFIX: Final = "weighing."
_ALL: Final = "SELECT key, value FROM ledger_meta WHERE key LIKE 'weighing.%' ORDER BY key"


class RulesInForce(msgspec.Struct, frozen=True, kw_only=True):
    """The assumed use of machines, the boundary and the order of methods (none: the usual), from since_ms on, in ms since 1970."""

    since_ms: int
    operating_prior: str
    profile: str
    methods: tuple[str, ...]

    @property
    def said(self) -> tuple[str, str, tuple[str, ...]]:
        """The rules without their time."""
        return (self.operating_prior, self.profile, self.methods)


class WeighingStore:
    """Blocks: called from a thread. Raises LedgerUnavailable."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def keep(self, rules: RulesInForce) -> None:
        """Adds the rules if they are others than those in force."""
        before = self.all()
        if not before or before[-1].said != rules.said:
            self._door.remember(f"{PREFIX}{rules.since_ms:014d}", msgspec.json.encode(rules).decode())

    def all(self) -> list[RulesInForce]:
        """Every rule there was, oldest first."""
        return [msgspec.json.decode(str(row["value"]), type=RulesInForce) for row in self._door.select(_ALL, {})]


def in_force_at(rules: Sequence[RulesInForce], at_ms: int) -> RulesInForce | None:
    """The rules of that time; the first ones for what came before them, None where there are none."""
    if not rules:
        return None
    return rules[max(bisect_right([each.since_ms for each in rules], at_ms) - 1, 0)]
