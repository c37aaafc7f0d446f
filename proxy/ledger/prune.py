"""Takes calls out of a ledger whose time to be kept is over; their sums by hour stay. It must never take a call that is in no rollup.

The sums of calls that are gone are sealed: they stand a millisecond after their hour, where no later rollup of the hour replaces them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import CallsGone
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.give_room import blank_deleted, give_room_back
from proxy.ledger.packed_store import has_spare_kinds, sweep_kinds
from proxy.ledger.partitions import drop_empty
from proxy.ledger.roll import spans_hours, sums_of
from proxy.ledger.rollup_columns import HOUR_MS
from proxy.ledger.server import plainly
from proxy.ledger.tables import (
    METADATA,
    attempt_media,
    attempts,
    calls,
    kept_attempts,
    kept_calls,
    kept_estimates,
    ledger_meta,
    rollups_hour,
    touched_hours,
)
from proxy.ledger.turn import Turn

SEALED_MS: Final = 1
_MARK: Final = "pruned_before_ms"
_OF_ATTEMPTS: Final = ("hourly_intensities", "shortcomings", "weighing_facts")
_OF_CALLS: Final = ("decisions", "instead", "retags", "imports", "import_spends")
_ONE_SNAPSHOT: Final = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """calls: taken out, or to be. kept_calls: of these hours, those that stay: booked late, or not summed up yet."""

    calls: int
    kept_calls: int


def count_prunable(turn: Turn, before_ms: int) -> Pruned:
    """What prune() would do now. Raises LedgerUnavailable."""
    try:
        with turn.reader.begin() as snapshot:
            whole, stays = (snapshot.execute(each).scalar_one() for each in (_number(before_ms), _number(before_ms).where(spans_hours())))
            fresh = _touched(snapshot)
            stays += sum(
                snapshot.execute(_in_hour(func.count(), hour).where(~spans_hours())).scalar_one() for hour in fresh if hour < before_ms
            )
    except SQLAlchemyError as error:
        raise LedgerUnavailable(plainly(error)) from error
    return Pruned(calls=whole - stays, kept_calls=stays)


def prune(turn: Turn, before_ms: int, *, is_ended: Callable[[], bool] = lambda: False) -> Pruned:
    """Takes out calls of whole hours before the time, an hour in a transaction, once it is rolled up. Raises LedgerUnavailable."""
    gone = 0
    try:
        with turn.reader.begin() as snapshot:
            starts = select(calls.c.started_ms // HOUR_MS * HOUR_MS).where(calls.c.started_ms < before_ms // HOUR_MS * HOUR_MS)
            hours = sorted(snapshot.execute(starts.distinct()).scalars())
        for hour in hours:
            if is_ended():
                break
            with turn.write() as transaction:
                gone += _prune_hour(transaction, hour)
        if gone:
            with turn.reader.begin() as snapshot:
                is_time_to_sweep = has_spare_kinds(snapshot)
            if is_time_to_sweep:
                with turn.write() as transaction:
                    blank_deleted(transaction)
                    sweep_kinds(transaction)
            if turn.reader.dialect.name == "postgresql":
                with turn.write() as transaction:
                    drop_empty(transaction, before_ms)
            give_room_back(turn, is_ended)
        with turn.reader.begin() as snapshot:
            left = snapshot.execute(_number(before_ms)).scalar_one()
    except SQLAlchemyError as error:
        raise LedgerUnavailable(plainly(error)) from error
    return Pruned(calls=gone, kept_calls=left)


def pruned_before_ms(snapshot: Connection) -> int:
    """Until when calls may be missing, in ms since 1970; 0: none is."""
    found = snapshot.execute(select(ledger_meta.c.value).where(ledger_meta.c.key == _MARK)).scalar()
    return 0 if found is None else int(found)


def refuse_pruned(snapshot: Connection, since_ms: int | None) -> None:
    """Raises CallsGone where a report would need calls that are gone: a sum of what is left would pass for the whole."""
    pruned = pruned_before_ms(snapshot)
    if pruned and (since_ms is None or since_ms < pruned):
        until = datetime.fromtimestamp(pruned / 1000, UTC).strftime("%Y-%m-%dT%H:%MZ")
        raise CallsGone(
            f"calls before {until} were pruned; their sums by whole hour are kept: leave --exact and --method out, "
            f"group by what these sums hold, and begin at a full hour, or begin at {until}"
        )


def _number(before_ms: int) -> Select[int]:
    return select(func.count()).select_from(calls).where(calls.c.started_ms < before_ms // HOUR_MS * HOUR_MS)


def _in_hour(what: Any, hour_ms: int) -> Select[Any]:
    return select(what).select_from(calls).where(calls.c.started_ms >= hour_ms, calls.c.started_ms < hour_ms + HOUR_MS)


def _touched(snapshot: Connection) -> set[int]:
    return {hour * HOUR_MS for hour in snapshot.execute(select(touched_hours.c.hour).distinct()).scalars()}


def _prune_hour(transaction: Connection, hour_ms: int) -> int:
    """One snapshot for the sums and for what is deleted: a call that comes meanwhile is in neither."""
    if transaction.dialect.name == "postgresql":
        transaction.execute(_ONE_SNAPSHOT)
    if hour_ms in _touched(transaction):
        return 0
    gone = ~spans_hours()
    number = int(transaction.execute(_in_hour(func.count(), hour_ms).where(gone)).scalar_one())
    if not number:
        return 0
    sealed = [row | {"bucket_ms": hour_ms + SEALED_MS} for row in sums_of(transaction, hour_ms, hour_ms + HOUR_MS, gone)]
    stays = sums_of(transaction, hour_ms, hour_ms + HOUR_MS, spans_hours())
    transaction.execute(delete(rollups_hour).where(rollups_hour.c.bucket_ms == hour_ms))
    if sealed + stays:
        transaction.execute(insert(rollups_hour), sealed + stays)
    blank_deleted(transaction)
    _delete(transaction, _in_hour(calls.c.call_id, hour_ms).where(gone))
    _mark(transaction, hour_ms + HOUR_MS)
    return number


def _delete(transaction: Connection, ids: Select[Any]) -> None:
    of_calls = attempts.c.call_id.in_(ids)
    for name in _OF_ATTEMPTS:
        table = METADATA.tables[name]
        transaction.execute(delete(table).where(table.c.attempt_id.in_(select(attempts.c.attempt_id).where(of_calls))))
    for name in _OF_CALLS:
        table = METADATA.tables[name]
        transaction.execute(delete(table).where(table.c.call_id.in_(ids)))
    for kept in (kept_estimates, attempt_media, kept_attempts, kept_calls):
        transaction.execute(delete(kept).where(kept.c.call_id.in_(ids)))


def _mark(transaction: Connection, until_ms: int) -> None:
    if until_ms <= pruned_before_ms(transaction):
        return
    transaction.execute(delete(ledger_meta).where(ledger_meta.c.key == _MARK))
    transaction.execute(insert(ledger_meta).values(key=_MARK, value=str(until_ms)))
