"""A budget ready to be held against calls: whose calls it counts, and in which account. It must never count anything itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

import msgspec

from config.budgets import Budget
from proxy.budgets.span import Span, span_of

MG_PER_KG = 1_000_000
MG_PER_G = 1_000
KEPT_AFTER_MS = 2 * 86_400_000
"""How long an account stays after its period: longer than any lease, so that late settlements find it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a budget counts in one period. key: names it among all accounts; drop_at_ms: when it is of no use any more, 0: never."""

    key: str
    span: Span
    drop_at_ms: int


class Rule:
    """One budget, its lists as sets, its limit in whole milligrams."""

    __slots__ = ("_account", "_digest", "_keys", "_tags", "budget", "lease_ms", "limit_mg", "soft_mg")

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.limit_mg = max(1, int(budget.limit_kgco2e * MG_PER_KG))
        self.soft_mg = budget.soft_at * self.limit_mg
        self.lease_ms = int(budget.lease_s * 1000)
        self._keys = None if budget.keys is None else frozenset(budget.keys)
        self._tags = tuple((name, frozenset(values)) for name, values in sorted(budget.match.items()))
        counted = (sorted(self._keys or ()), [(name, sorted(values)) for name, values in self._tags], budget.period)
        self._digest = blake2b(msgspec.json.encode(counted), digest_size=6).hexdigest()
        self._account: Account | None = None

    @property
    def name(self) -> str:
        """What the budget is called."""
        return self.budget.name

    def matches(self, tags: Mapping[str, str], caller_id: str) -> bool:
        """True when the budget counts the calls of such a caller with these tags."""
        if self._keys is not None and caller_id not in self._keys:
            return False
        return all(tags.get(name) in values for name, values in self._tags)

    def account_at(self, at_ms: int) -> Account:
        """The account of the period that `at_ms` lies in. A budget that counts other calls than before has other accounts."""
        known = self._account
        if known is not None and known.span.holds(at_ms):
            return known
        span = span_of(self.budget.period, at_ms)
        drop_at_ms = 0 if span.end_ms is None else span.end_ms + KEPT_AFTER_MS
        found = Account(key=f"{self.name}:{self._digest}:{span.start_ms}", span=span, drop_at_ms=drop_at_ms)
        if known is None or span.start_ms > known.span.start_ms:
            self._account = found
        return found
