"""What reports show of imported calls and of comparisons with providers. It must never count an imported call as seen live."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from estimators.quantity import Quantity, ScopeKeys
from proxy.ledger.queries import Selection, in_period, is_newest, moments_of, scope_keys, sum_of
from proxy.ledger.tables import attempts, calls, estimates, imports, reconciliations

WHOLE = ""
"""Stands for all models where a provider's month is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedGrams:
    """Weighed records of one kind of file and tier, which share their errors."""

    source_kind: str
    quality: str
    shared: ScopeKeys
    gco2e: Quantity


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Imported calls of a selection. calls_counted: calls that they stand for, as far as the files tell, by kind of file.

    records: rows of the ledger, by kind of file. weighed: their grams; they are in the selection's sums too.
    """

    records: dict[str, int]
    calls_counted: dict[str, int]
    weighed: tuple[ImportedGrams, ...]


NOT_IMPORTED = Imported(records={}, calls_counted={}, weighed=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """A provider's month as last compared: what it counted and what the ledger held of it. None: not told, or not known."""

    provider: str
    month: str
    created_ms: int
    provider_tokens: int | None
    seen_tokens: int | None
    provider_amount: float | None
    seen_amount: float | None
    currency: str

    @property
    def tokens(self) -> float | None:
        """Share of the provider's tokens that the ledger holds."""
        return _share(self.seen_tokens, self.provider_tokens)

    @property
    def money(self) -> float | None:
        """Share of the provider's bill that the ledger's calls come to at the configured prices."""
        return _share(self.seen_amount, self.provider_amount)


def is_imported() -> ColumnElement[bool]:
    """Whether a call came from a file; for filters of statements that select from `calls`."""
    return exists(select(imports.c.call_id).where(imports.c.call_id == calls.c.call_id).correlate(calls))


def imported_of(connection: Connection, selection: Selection) -> Imported:
    """The imported calls of the selection; they are in its sums too."""
    both = imports.join(calls, imports.c.call_id == calls.c.call_id).outerjoin(attempts, attempts.c.call_id == calls.c.call_id)
    facts = [imports.c.call_id, imports.c.source_kind, imports.c.calls_counted]
    told = in_period(select(*facts).select_from(both).distinct(), selection).subquery()
    counted = select(told.c.source_kind, func.count().label("records"), func.sum(told.c.calls_counted).label("calls")).group_by(
        told.c.source_kind
    )
    kinds = {str(row["source_kind"]): (int(row["records"]), int(row["calls"])) for row in connection.execute(counted).mappings()}
    return Imported(
        records={kind: records for kind, (records, _) in sorted(kinds.items())},
        calls_counted={kind: number for kind, (_, number) in sorted(kinds.items())},
        weighed=_weighed(connection, selection, both) if kinds else (),
    )


def _weighed(connection: Connection, selection: Selection, both: Any) -> tuple[ImportedGrams, ...]:
    facts = [imports.c.source_kind, attempts.c.provider, attempts.c.model]
    facts += [estimates.c[name] for name in ("zone", "method", "method_version", "quality")]
    columns: list[ColumnElement[Any]] = [*facts, *moments_of("gco2e")]
    statement = select(*columns).select_from(both.join(estimates, is_newest(selection.method, selection.estimate_set))).group_by(*facts)
    return tuple(
        ImportedGrams(source_kind=row["source_kind"], quality=row["quality"], shared=scope_keys(row), gco2e=sum_of(row, "gco2e"))
        for row in connection.execute(in_period(statement, selection)).mappings()
        if row["gco2e"] is not None
    )


def coverage_of(connection: Connection, since_ms: int | None, until_ms: int | None) -> list[Covered]:
    """Of each provider and month of the period the newest comparison, in order."""
    facts = ("provider", "month", "created_ms", "provider_tokens", "seen_tokens", "provider_amount", "seen_amount", "currency")
    bounds: list[Any] = [reconciliations.c.model == WHOLE]
    if since_ms is not None:
        bounds.append(reconciliations.c.until_ms > since_ms)
    if until_ms is not None:
        bounds.append(reconciliations.c.since_ms < until_ms)
    told = or_(reconciliations.c.provider_tokens.is_not(None), reconciliations.c.provider_amount.is_not(None))
    statement = select(*(reconciliations.c[name] for name in facts)).where(and_(*bounds, told)).order_by(reconciliations.c.created_ms)
    newest: dict[tuple[str, str], Covered] = {}
    for row in connection.execute(statement).mappings():
        one = Covered(**row)
        before = newest.get((one.provider, one.month))
        newest[one.provider, one.month] = one if before is None else _with_gaps_filled(one, before)
    return [newest[key] for key in sorted(newest)]


def _with_gaps_filled(newer: Covered, older: Covered) -> Covered:
    """The newer comparison; what it does not tell (an invoice tells no tokens) is kept from the older one."""
    has_tokens, has_money = newer.provider_tokens is not None, newer.provider_amount is not None
    tokens, money = newer if has_tokens else older, newer if has_money else older
    return Covered(
        provider=newer.provider,
        month=newer.month,
        created_ms=newer.created_ms,
        provider_tokens=tokens.provider_tokens,
        seen_tokens=tokens.seen_tokens,
        provider_amount=money.provider_amount,
        seen_amount=money.seen_amount,
        currency=money.currency,
    )


def _share(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else part / whole
