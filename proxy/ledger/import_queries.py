"""What reports show of imported calls and of comparisons with providers. It must never count an imported call as seen live."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, or_, select

from proxy.ledger.queries import Selection, in_period, is_newest
from proxy.ledger.tables import attempts, calls, estimates, imports, reconciliations

WHOLE = ""
"""Stands for all models where a provider's month is compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """Imported calls of a selection. records: rows of the ledger; calls_counted: calls that they stand for, as far as the files tell.

    gco2e: expected value of their sum, None: none is weighed. source_kinds: records by kind of file.
    """

    records: int
    calls_counted: int
    gco2e: float | None
    source_kinds: dict[str, int]


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
    both = calls.join(imports, imports.c.call_id == calls.c.call_id).outerjoin(attempts, attempts.c.call_id == calls.c.call_id)
    counted = in_period(
        select(imports.c.source_kind, func.count().label("records"), func.sum(imports.c.calls_counted).label("calls"))
        .select_from(both)
        .group_by(imports.c.source_kind),
        selection,
    )
    kinds = {str(row["source_kind"]): (int(row["records"]), int(row["calls"])) for row in connection.execute(counted).mappings()}
    weighed = select(func.sum(estimates.c.gco2e)).select_from(both.join(estimates, is_newest(selection.method, selection.estimate_set)))
    grams = connection.execute(in_period(weighed, selection)).scalar()
    return Imported(
        records=sum(records for records, _ in kinds.values()),
        calls_counted=sum(counted for _, counted in kinds.values()),
        gco2e=None if grams is None else float(grams),
        source_kinds={kind: records for kind, (records, _) in sorted(kinds.items())},
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
