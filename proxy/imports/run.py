"""Imports one file: reads it whole, matches it, adds the rest. It must never leave half a file that cannot be taken up again.

The marks of a part go before its calls: what breaks off in between is marks without calls, which nothing counts, and the next import of
the file adds the calls.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from proxy.call import CallRecord
from proxy.errors import StartError
from proxy.imports.context import Context
from proxy.imports.files import file_hash, read_file
from proxy.imports.kinds import KINDS
from proxy.imports.money import Purse
from proxy.imports.plan import Planned, Planner
from proxy.imports.record import Record
from proxy.imports.row import BadRow, Row, SpendRow, UsageRow
from proxy.imports.scales import Weigher
from proxy.imports.told import Told
from proxy.ledger.base import LedgerUnavailable, UnwritableRecord
from proxy.ledger.import_ledger import ImportLedger
from proxy.ledger.store import Store

ROWS_AT_ONCE: Final = 2000
MOST_PROBLEMS: Final = 20
Rows = dict[str, list[dict[str, Any]]]


class BadFile(Exception):
    """Rows that cannot be read: nothing of the file is imported. problems: file, line, column and what is wrong, the first of them."""

    def __init__(self, problems: Sequence[str], count: int) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.count = count


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One file of one kind, and what is said beside it. batch_id and now_ms: of this import. dry_run: nothing is written."""

    path: Path
    kind: str
    context: Context
    batch_id: str
    now_ms: int
    dry_run: bool = False


def read_rows(path: Path, kind: str, context: Context, purse: Purse | None = None) -> list[Row]:
    """Every row of the file. Raises BadFile, StartError."""
    rows: list[Row] = []
    problems: list[str] = []
    count = 0
    records = read_file(path, context.zone)
    while True:
        try:
            record = next(records, None)
            if record is None:
                break
            for row in KINDS[kind].rows(record, context):
                _bounded(row, record)
                rows.append(purse.weighable(row, record.file) if purse is not None and isinstance(row, SpendRow) else row)
        except BadRow as error:
            count += 1
            if len(problems) < MOST_PROBLEMS:
                problems.append(str(error))
    if count:
        raise BadFile(problems, count)
    return rows


def _bounded(row: Row, record: Record) -> None:
    """Raises BadRow where an amount is too large, wherever in the row it was told."""
    if isinstance(row, UsageRow):
        for name, amount in row.amounts.items():
            record.bounded(name, amount)


def run(
    job: Job, ledger: ImportLedger, store: Store, weigher: Weigher, purse: Purse, advance: Callable[[int], None] = lambda rows: None
) -> Told:
    """Imports the file; `advance` hears how many rows were added. Raises BadFile, StartError."""
    rows = read_rows(job.path, job.kind, job.context, purse)
    told = Told()
    planned = Planner(job.kind, ledger, weigher).plan(rows, told)
    for at in range(0, len(planned), ROWS_AT_ONCE):
        part = planned[at : at + ROWS_AT_ONCE]
        records, marks = _made(job, part, weigher, purse, told)
        if not job.dry_run:
            ledger.add(marks)
            _write(store, records)
        advance(len(part))
    if not job.dry_run:
        ledger.add({"import_batches": [_batch(job, told)]})
    return told


def _made(job: Job, part: Sequence[Planned], weigher: Weigher, purse: Purse, told: Told) -> tuple[list[CallRecord], Rows]:
    """The calls of a part, and the rows that mark them."""
    records: list[CallRecord] = []
    marks: Rows = {"imports": [], "import_spends": [], "estimates": []}
    for each in part:
        if isinstance(each.row, UsageRow):
            record = weigher.record(each.row, kind=job.kind, provider=each.provider, call=each.call_id, row_hash=each.row_hash)
            counted = _tell_usage(record, told)
        else:
            row = replace(each.row, provider=each.provider)
            record = purse.record(row, kind=job.kind, call=each.call_id, row_hash=each.row_hash)
            opinion = purse.opinion(row, record)
            marks["estimates"].append(dict(opinion))
            marks["import_spends"].append(_spend(row, record))
            counted = 0
            told.gco2e += opinion["gco2e"]
        told.added += 1
        told.calls += counted
        records.append(record)
        marks["imports"].append(
            {
                "call_id": each.call_id,
                "batch_id": job.batch_id,
                "source_kind": job.kind,
                "row_hash": each.row_hash,
                "calls_counted": counted,
            }
        )
    return records, marks


def _tell_usage(record: CallRecord, told: Told) -> int:
    """How many calls the record stands for."""
    attempt = record.attempts[0]
    if attempt.estimate is None:
        told.unweighed += 1
    else:
        told.gco2e += attempt.estimate.gco2e.mean
    return 1 if attempt.usage is None else attempt.usage.calls


def _spend(row: SpendRow, record: CallRecord) -> dict[str, Any]:
    return {
        "attempt_id": record.attempts[0].attempt_id,
        "call_id": record.call_id,
        "category": row.category,
        "amount": row.amount,
        "currency": row.currency,
        "seats": row.seats,
        "months": 1.0,
    }


def _batch(job: Job, told: Told) -> dict[str, Any]:
    return {
        "batch_id": job.batch_id,
        "source_kind": job.kind,
        "file_hash": file_hash(job.path),
        "created_ms": job.now_ms,
        "rows_read": told.rows,
        "calls_added": told.calls,
        "told": msgspec.json.encode(told.figures()).decode(),
    }


def _write(store: Store, records: Sequence[CallRecord]) -> None:
    try:
        store.write(records)
    except LedgerUnavailable as error:
        raise StartError(f"the ledger takes no calls now: {error}; import the file again later, what is there stays") from error
    except UnwritableRecord as error:
        raise StartError(f"the ledger cannot keep one of these calls: {error}") from error
