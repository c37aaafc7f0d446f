"""Rows of seats and invoices of tools that never cross a base URL. It must never read who holds a seat."""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from typing import Final

from estimators.spend import DEFAULT_CATEGORY
from proxy.imports.context import Context
from proxy.imports.record import Record
from proxy.imports.row import Row, SkippedRow, SpendRow

MOST_MONTHS: Final = 120


def seats(record: Record, context: Context) -> Iterator[Row]:
    """One row for each month: seats x price per seat and month."""
    months = record.count("months") or 1
    if months > MOST_MONTHS:
        record.refuse("months", f"{months} is more than {MOST_MONTHS}")
    held = record.number("seats", "licences", "licenses", "users")
    if held is None:
        record.refuse("seats", "is not stated")
    price = record.amount("price_per_seat", "price", "unit_price", "price_per_seat_month")
    first = record.needed_instant_ms("month", "start", "from", "since", "date")
    for number in range(months):
        if held == 0:
            yield SkippedRow(line=record.line, reason="empty")
            continue
        yield SpendRow(
            line=record.line,
            provider=_vendor(record, context),
            model=record.needed("tool", "product", "name"),
            start_ms=months_later(first, number, record.zone),
            amount=record.bounded("price_per_seat", held * price),
            currency=_currency(record, context),
            category=record.text("category") or DEFAULT_CATEGORY,
            seats=held,
            tags=context.tags_of(record.named),
        )


def invoices(record: Record, context: Context) -> Iterator[Row]:
    """One row for each month of the time that an invoice is for, the amount in equal parts."""
    months = record.count("months") or 1
    if months > MOST_MONTHS:
        record.refuse("months", f"{months} is more than {MOST_MONTHS}")
    amount = record.number("amount", "net_amount", "amount_excl_tax", "total_excl_tax", "montant_ht")
    if amount is None:
        record.refuse("amount", "is not stated; it is the amount without tax")
    first = record.needed_instant_ms("month", "period_start", "start", "from", "date", "invoice_date")
    for number in range(months):
        if amount == 0:
            yield SkippedRow(line=record.line, reason="empty")
            continue
        yield SpendRow(
            line=record.line,
            own_id=record.text("invoice_id", "invoice", "invoice_number", "number"),
            provider=_vendor(record, context),
            model=record.text("tool", "product") or _vendor(record, context),
            start_ms=months_later(first, number, record.zone),
            amount=amount / months,
            currency=_currency(record, context),
            category=record.text("category") or DEFAULT_CATEGORY,
            tags=context.tags_of(record.named),
            is_tool=record.text("tool", "product") is not None,
        )


def months_later(at_ms: int, months: int, zone: tzinfo = UTC) -> int:
    """The first instant (UTC) of the month that lies so many after that of the moment by the clock of the zone."""
    at = datetime.fromtimestamp(at_ms / 1000, zone)
    count = at.year * 12 + at.month - 1 + months
    return round(datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)


def _vendor(record: Record, context: Context) -> str:
    return record.text("vendor", "provider", "supplier") or context.provider or record.needed("vendor", "provider", "supplier")


def _currency(record: Record, context: Context) -> str:
    found = (record.text("currency") or context.currency or "").upper()
    if len(found) != 3 or not found.isalpha():
        record.refuse("currency", "is not stated as three letters, such as EUR; or give --currency")
    return found
