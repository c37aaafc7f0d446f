"""What a provider counted, from its export or its invoices. It must never fill in a model or a month that was not told."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from config.providers import provider_id
from proxy.imports.context import Context
from proxy.imports.files import read_file
from proxy.imports.match import Who
from proxy.imports.openai_usage import COSTS
from proxy.imports.record import Record, record_of
from proxy.imports.row import BadRow, SpendRow, UsageRow
from proxy.imports.run import BadFile, read_rows
from proxy.imports.spends import months_later


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Tokens, or money (None: not told), of one model, or of none in particular (None), in [start_ms, end_ms)."""

    who: Who | None
    provider: str
    model: str | None
    start_ms: int
    end_ms: int
    tokens: int | None
    amount: float | None
    currency: str | None


def counted_usage(
    path: Path, kind: str, context: Context, who: Callable[[str, str], Who], provider_of: Callable[[UsageRow], str]
) -> list[Counted]:
    """What a usage export counts. Raises BadFile, StartError."""
    found = [_usage(row, provider_of(row), who) for row in read_rows(path, kind, context) if isinstance(row, UsageRow)]
    return [*found, *_costs(path, context)] if kind == "openai-usage" else found


def counted_invoices(path: Path, context: Context) -> list[Counted]:
    """What invoices bill, without tax; each for its month. Raises BadFile, StartError."""
    return [_billed(row) for row in read_rows(path, "invoice", context) if isinstance(row, SpendRow)]


def only(found: Iterable[Counted], provider: str | None, since_ms: int | None, until_ms: int | None) -> list[Counted]:
    """What is of the provider and begins in the period."""
    wanted = None if provider is None else provider_id(provider.strip().lower())
    return [
        each
        for each in found
        if wanted in (None, each.provider)
        and (since_ms is None or each.start_ms >= since_ms)
        and (until_ms is None or each.start_ms < until_ms)
    ]


def _usage(row: UsageRow, provider: str, who: Callable[[str, str], Who]) -> Counted:
    return Counted(
        who=who(provider, row.model),
        provider=provider,
        model=row.model,
        start_ms=row.start_ms,
        end_ms=row.end_ms or row.start_ms + 1,
        tokens=round(row.amounts.get("input_tokens", 0) + row.amounts.get("output_tokens", 0)),
        amount=row.money,
        currency=row.currency if row.money is not None else None,
    )


def _billed(row: SpendRow) -> Counted:
    return Counted(
        who=None,
        provider=provider_id(row.provider.strip().lower()),
        model=None,
        start_ms=months_later(row.start_ms, 0),
        end_ms=months_later(row.start_ms, 1),
        tokens=None,
        amount=row.amount,
        currency=row.currency,
    )


def _costs(path: Path, context: Context) -> list[Counted]:
    """Money of OpenAI's costs API, where the file holds buckets of it."""
    found: list[Counted] = []
    try:
        for record in read_file(path, context.zone):
            for result in record.items("results", "result"):
                if isinstance(result, dict) and result.get("object") == COSTS:
                    found.append(_cost(record, record_of(record.file, record.line, result, record.zone), context))
    except BadRow as error:
        raise BadFile([str(error)], 1) from error
    return found


def _cost(bucket: Record, result: Record, context: Context) -> Counted:
    amount = record_of(result.file, result.line, result.mapping("amount"))
    return Counted(
        who=None,
        provider=provider_id(context.provider or "openai"),
        model=None,
        start_ms=bucket.needed_instant_ms("start_time"),
        end_ms=bucket.needed_instant_ms("end_time"),
        tokens=None,
        amount=amount.number("value") or 0.0,
        currency=(amount.text("currency") or "usd").upper(),
    )
