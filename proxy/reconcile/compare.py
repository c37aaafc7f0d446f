"""Puts a provider's count beside the ledger's, month by month. It must never call what is missing anything but missing."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from config.providers import provider_id
from proxy.imports.match import Who
from proxy.ledger.import_ledger import SeenSum
from proxy.reconcile.prices import Prices
from proxy.reconcile.theirs import Counted

ALL: Final = ""
"""The model of the line that sums a provider's month."""


@dataclass(slots=True)
class Line:
    """One provider, month and model (ALL: all of them). Tokens are read and written together. None: not told, or not known.

    seen: what the ledger holds, live and imported; imported: the part of it that came from files.
    """

    provider: str
    month: str
    model: str
    provider_tokens: int | None = None
    seen_tokens: int | None = None
    imported_tokens: int = 0
    provider_amount: float | None = None
    seen_amount: float | None = None
    currencies: set[str] = field(default_factory=set)
    unpriced: bool = False

    @property
    def coverage(self) -> float | None:
        """Share of the provider's tokens that the ledger holds."""
        return (self.seen_tokens or 0) / self.provider_tokens if self.provider_tokens else None

    @property
    def money_coverage(self) -> float | None:
        """Share of the provider's money that the ledger's calls come to at the configured prices."""
        if not self.provider_amount or self.seen_amount is None or len(self.currencies) > 1:
            return None
        return self.seen_amount / self.provider_amount

    @property
    def gap_tokens(self) -> int | None:
        """Tokens that the provider counted and the ledger does not hold; below 0: the other way round."""
        return None if self.provider_tokens is None else self.provider_tokens - (self.seen_tokens or 0)

    @property
    def gap_amount(self) -> float | None:
        """Money that is not explained by the ledger's calls."""
        return None if self.money_coverage is None or self.provider_amount is None else self.provider_amount - (self.seen_amount or 0.0)

    def figures(self) -> dict[str, Any]:
        """The line as data."""
        return {
            "provider": self.provider,
            "month": self.month,
            "model": self.model or "all",
            "provider_tokens": self.provider_tokens,
            "seen_tokens": self.seen_tokens,
            "imported_tokens": self.imported_tokens,
            "coverage": self.coverage,
            "gap_tokens": self.gap_tokens,
            "provider_amount": self.provider_amount,
            "seen_amount": self.seen_amount,
            "currency": " ".join(sorted(self.currencies)) or None,
            "money_coverage": self.money_coverage,
            "gap_amount": self.gap_amount,
        }


def compare(counted: Sequence[Counted], seen: Iterable[SeenSum], prices: Prices, who: Callable[[str, str], Who]) -> list[Line]:
    """Lines of every provider and month that the provider's side tells of, models with the largest gap first, the sum last."""
    lines: dict[tuple[str, str, str], Line] = {}
    months = {(each.provider, month_of(each.start_ms)) for each in counted}
    names: dict[Who, str] = {each.who: each.model for each in reversed(counted) if each.who is not None and each.model is not None}
    has_tokens = {(each.provider, month_of(each.start_ms)) for each in counted if each.tokens is not None}

    def line(provider: str, month: str, model: str) -> Line:
        return lines.setdefault((provider, month, model), Line(provider=provider, month=month, model=model))

    for each in counted:
        for model in {ALL, *([names[each.who]] if each.who is not None else [])}:
            _add_theirs(line(each.provider, month_of(each.start_ms), model), each)
    for found in seen:
        provider, month = provider_id(found.provider), month_of(found.start_ms)
        if (provider, month) not in months:
            continue
        model = names.setdefault(who(found.provider, found.served_model), found.served_model)
        cost = prices.cost(provider, found.model, found.amounts)
        for name in (ALL, model) if (provider, month) in has_tokens else (ALL,):
            _add_ours(line(provider, month, name), found, cost)
    return _sorted(lines.values())


def month_of(at_ms: int) -> str:
    """The month (UTC), as 2026-11."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m")


def _add_theirs(line: Line, counted: Counted) -> None:
    if counted.tokens is not None:
        line.provider_tokens = (line.provider_tokens or 0) + counted.tokens
    if counted.amount is not None:
        line.provider_amount = (line.provider_amount or 0.0) + counted.amount
        if counted.currency is not None:
            line.currencies.add(counted.currency)


def _add_ours(line: Line, seen: SeenSum, cost: float | None) -> None:
    tokens = round(seen.amounts["input_tokens"] + seen.amounts["output_tokens"])
    line.seen_tokens = (line.seen_tokens or 0) + tokens
    line.imported_tokens += tokens if seen.is_imported else 0
    if cost is None:
        line.unpriced = True
    else:
        line.seen_amount = (line.seen_amount or 0.0) + cost


def _sorted(lines: Iterable[Line]) -> list[Line]:
    by_month: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if line.provider_tokens is not None and line.seen_tokens is None:
            line.seen_tokens = 0
        if line.provider_tokens is None and line.seen_tokens is not None and line.model != ALL:
            line.provider_tokens = 0
        by_month[line.provider, line.month].append(line)
    found = []
    for key in sorted(by_month):
        found += sorted(by_month[key], key=lambda line: (line.model == ALL, -abs(line.gap_tokens or 0), line.model))
    return found
