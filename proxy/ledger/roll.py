"""Makes the sums of hours and days anew from the calls. It must never add to a sum: whatever changed in an hour, the whole hour is read."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, Connection, Select, and_, case, delete, false, func, insert, literal, or_, select
from sqlalchemy.exc import SQLAlchemyError

from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.columns import ROLLUPS, SCOPED_QUANTITIES, SETS, SUMS, USAGE_COUNTS
from proxy.ledger.queries import NONE, NOT_IN_SET, Selection, count_if, in_period, is_newest, is_of_attempt, moments_of, tag_of
from proxy.ledger.rollup_columns import COUNTS, DAY_MS, DIMENSIONS, HOUR_MS, LIVE, OF_OPINIONS, ROLLED_TAGS, SPAN
from proxy.ledger.server import plainly
from proxy.ledger.set_store import known_sets
from proxy.ledger.tables import NO_KNOWN_CALL, attempts, calls, estimates, instead, rollups_day, rollups_hour, touched_hours
from proxy.ledger.turn import Turn

TOUCHES_AT_ONCE: Final = 500
TOGETHER: Final = "together"
"""The touch of hours that are being summed: that of an hour that changes because a booking in another one did, too."""

Touches = dict[int, list[str]]
"""Touched hours, each with the ids of its touches; an hour that changed with another one has none."""


def roll(turn: Turn, *, is_ended: Callable[[], bool] = lambda: False) -> int:
    """Sums every hour in which something was written since it was last summed; returns how many calls stand in these hours.

    The calls are read without a lock, a day's hours are written in one short transaction. Raises LedgerUnavailable.
    """
    try:
        touched = _planned(turn)
        rolled = 0
        for hours in _by_day(touched):
            if is_ended():
                break
            rolled += _roll_day(turn, hours, touched)
        if touched:
            _sum_days(turn, {hour * HOUR_MS // DAY_MS * DAY_MS for hour in touched})
    except SQLAlchemyError as error:
        raise LedgerUnavailable(plainly(error)) from error
    return rolled


def touched_in(snapshot: Connection) -> Touches:
    """Hours that rollups do not hold as they are now: a call changes with the bookings of its work, and these with it."""
    found: Touches = defaultdict(list)
    for hour, touch_id in snapshot.execute(select(touched_hours.c.hour, touched_hours.c.touch_id)):
        found[hour].append(touch_id)
    if found:
        fresh = set(found)
        for pair in snapshot.execute(_hours_of_bookings()):
            if fresh.intersection(pair):
                for hour in pair:
                    found.setdefault(hour, [])
    return dict(found)


def _hours_of_bookings() -> Select[int, int]:
    """Hours of a call, and of a booking of its work."""
    origin, late = calls.alias("origin"), calls.alias("late")
    pairs = select(origin.c.started_ms // HOUR_MS, late.c.started_ms // HOUR_MS).distinct()
    return pairs.select_from(late.join(origin, origin.c.call_id == late.c.origin_call_id)).where(late.c.origin_call_id.is_not(None))


def _planned(turn: Turn) -> Touches:
    """What is to be done: every touch becomes ours before a call is read, with those of hours that change with another one.

    What is written from now on touches its hour anew; what is not done stays touched by us, and is done the next time.
    """
    with turn.reader.begin() as snapshot:
        if snapshot.execute(select(touched_hours.c.hour).limit(1)).first() is None:
            return {}
    with turn.write() as transaction:
        found = [(hour, touch_id) for hour, touch_id in transaction.execute(select(touched_hours.c.hour, touched_hours.c.touch_id))]
        ours = {hour for hour, touch_id in found if touch_id == TOGETHER}
        _forget(transaction, [(hour, touch_id) for hour, touch_id in found if touch_id != TOGETHER])
        _touch(transaction, {hour for hour, _ in found} - ours)
    ours |= {hour for hour, _ in found}
    with turn.reader.begin() as snapshot:
        joined = {hour for hour, ids in touched_in(snapshot).items() if not ids}
    if joined:
        with turn.write() as transaction:
            _touch(transaction, joined)
    return {hour: [TOGETHER] for hour in ours | joined}


def _touch(transaction: Connection, hours: Collection[int]) -> None:
    if hours:
        transaction.execute(insert(touched_hours), [{"hour": hour, "touch_id": TOGETHER} for hour in sorted(hours)])


def _by_day(touched: Touches) -> Iterable[list[int]]:
    days: dict[int, list[int]] = defaultdict(list)
    for hour in sorted(touched):
        days[hour * HOUR_MS // DAY_MS].append(hour)
    return days.values()


def _roll_day(turn: Turn, hours: Sequence[int], touched: Touches) -> int:
    """The touched hours of one day. Touches that came since stay, and with them what came with them."""
    with turn.reader.begin() as snapshot:
        rows = [row for since, until in _runs(hours) for row in sums_of(snapshot, since * HOUR_MS, until * HOUR_MS)]
    starts = [hour * HOUR_MS for hour in hours]
    done = [(hour, touch_id) for hour in hours for touch_id in touched[hour]]
    with turn.write() as transaction:
        transaction.execute(delete(rollups_hour).where(rollups_hour.c.bucket_ms.in_(starts)))
        transaction.execute(delete(rollups_day).where(rollups_day.c.bucket_ms == starts[0] // DAY_MS * DAY_MS))
        if rows:
            transaction.execute(insert(rollups_hour), rows)
        _forget(transaction, done)
    return sum(row["calls"] for row in rows if row["estimate_set"] == LIVE)


def _forget(transaction: Connection, done: Sequence[tuple[int, str]]) -> None:
    """Exactly the touches that were read: one that came since stays."""
    by_hour: dict[int, list[str]] = defaultdict(list)
    for hour, touch_id in done:
        by_hour[hour].append(touch_id)
    for hour, ids in by_hour.items():
        for start in range(0, len(ids), TOUCHES_AT_ONCE):
            some = touched_hours.c.touch_id.in_(ids[start : start + TOUCHES_AT_ONCE])
            transaction.execute(delete(touched_hours).where(touched_hours.c.hour == hour, some))


def _runs(hours: Sequence[int]) -> list[tuple[int, int]]:
    """Hours as runs without a gap: first, and the one after the last."""
    runs: list[tuple[int, int]] = []
    for hour in hours:
        if runs and runs[-1][1] == hour:
            runs[-1] = (runs[-1][0], hour + 1)
        else:
            runs.append((hour, hour + 1))
    return runs


def sums_of(snapshot: Connection, since_ms: int, until_ms: int, only: ColumnElement[bool] | None = None) -> list[dict[str, Any]]:
    """Rows of the rollups by hour, of all calls or of some."""
    period = Selection(by="model", since_ms=since_ms, until_ms=until_ms)
    sets = [None, *_sets_in(snapshot, period)]
    return [dict(row) for name in sets for row in snapshot.execute(_statement(period, name, only)).mappings()]


def _sets_in(snapshot: Connection, period: Selection) -> list[str]:
    """Named sets that hold an opinion of the period."""
    if not known_sets(snapshot):
        return []
    found = (
        select(estimates.c.role)
        .select_from(calls.join(attempts, attempts.c.call_id == calls.c.call_id).join(estimates, is_of_attempt(estimates)))
        .where(estimates.c.role.startswith(SETS, autoescape=True))
        .distinct()
    )
    return sorted(role.removeprefix(SETS) for role in snapshot.execute(in_period(found, period)).scalars())


def _statement(period: Selection, estimate_set: str | None, only: ColumnElement[bool] | None) -> Any:
    dimensions = _dimensions(estimate_set)
    bucket = calls.c.started_ms // HOUR_MS * HOUR_MS
    source = attempts.c.usage_source
    columns: dict[str, ColumnElement[Any]] = {
        "bucket_ms": bucket,
        "estimate_set": literal(LIVE if estimate_set is None else estimate_set),
        **dimensions,
        "calls": _calls(),
        "calls_by_model": _calls("model"),
        "calls_by_provider": _calls("provider"),
        "calls_by_zone": _calls("zone"),
        "attempts": func.count(attempts.c.attempt_id),
        "metered_attempts": func.count(source),
        "counted_usage": count_if(source == "counted"),
        "estimated_usage": count_if(source == "estimated"),
        "first_ms": func.min(calls.c.started_ms),
        "last_ms": func.max(calls.c.started_ms),
        **{name: func.coalesce(func.sum(attempts.c[name]), 0) for name in USAGE_COUNTS},
        **{moment.name: moment for line in SCOPED_QUANTITIES for moment in moments_of(line)},
    }
    joined = (
        calls.outerjoin(attempts, attempts.c.call_id == calls.c.call_id)
        .outerjoin(estimates, is_newest(None, estimate_set))
        .outerjoin(instead, instead.c.call_id == calls.c.call_id)
    )
    statement = select(*(columns[name].label(name) for name in ROLLUPS)).select_from(joined)
    chosen = statement if only is None else statement.where(only)
    return in_period(chosen, period).group_by(bucket, *dimensions.values())


def _dimensions(estimate_set: str | None) -> dict[str, ColumnElement[Any]]:
    why = attempts.c.unweighed_reason
    unweighed = func.coalesce(why, "" if estimate_set is None else NOT_IN_SET)
    has_none = and_(attempts.c.attempt_id.is_not(None), estimates.c.estimate_id.is_(None))
    made: dict[str, ColumnElement[Any]] = {
        "operation": calls.c.operation,
        "policy": calls.c.policy,
        **{f"tag_{name}": tag_of(name) for name in ROLLED_TAGS},
        "instead": func.coalesce(instead.c.kind, ""),
        **{name: func.coalesce(attempts.c[name], NONE) for name in ("provider", "model", "zone")},
        "simulated": func.coalesce(attempts.c.simulated, false(), type_=Boolean),
        "reason": case((has_none, unweighed), else_=""),
        "grid_zone": func.coalesce(estimates.c.zone, ""),
        **{name: func.coalesce(estimates.c[name], "") for name in OF_OPINIONS[1:]},
    }
    return {name: made[name] for name in DIMENSIONS}


def _calls(same: str | None = None) -> ColumnElement[int]:
    """Calls counted at their first attempt (of the same model ...). Calls that were booked late span hours: readers count those."""
    earlier = attempts.alias("earlier")
    others = select(literal(1)).where(earlier.c.call_id == attempts.c.call_id, earlier.c.attempt_id < attempts.c.attempt_id)
    if same is not None:
        others = others.where(earlier.c[same] == attempts.c[same])
    return count_if(~or_(others.correlate(attempts).exists(), spans_hours()))


def spans_hours() -> ColumnElement[bool]:
    """A call that was booked late, or is such a booking."""
    late = calls.alias("booking")
    booked = select(literal(1)).where(late.c.origin_call_id == calls.c.call_id).correlate(calls).exists()
    return or_(func.coalesce(calls.c.origin_call_id, NO_KNOWN_CALL) != NO_KNOWN_CALL, booked)


def _sum_days(turn: Turn, rolled: Collection[int]) -> None:
    """Days that are over (a later one has calls) and not summed up yet, from their hours."""
    with turn.reader.begin() as snapshot:
        days = _unsummed_days(snapshot, rolled)
    hour, sums = rollups_hour.c, (*COUNTS, *USAGE_COUNTS, *SUMS)
    for day in days:
        groups = [hour.estimate_set, *(hour[name] for name in DIMENSIONS)]
        columns = [func.min(hour.first_ms), func.max(hour.last_ms), *(func.sum(hour[name]) for name in sums)]
        of_day = select(literal(day), *groups, *columns).where(hour.bucket_ms >= day, hour.bucket_ms < day + DAY_MS).group_by(*groups)
        names = ["bucket_ms", "estimate_set", *DIMENSIONS, *SPAN, *sums]
        with turn.write() as transaction:
            transaction.execute(delete(rollups_day).where(rollups_day.c.bucket_ms == day))
            transaction.execute(insert(rollups_day).from_select(names, of_day))


def _unsummed_days(snapshot: Connection, rolled: Collection[int]) -> list[int]:
    """Of the days just rolled and those since the last summed one, all but the newest day there is."""
    hour = rollups_hour.c.bucket_ms
    newest = snapshot.execute(select(func.max(hour))).scalar()
    if newest is None:
        return []
    last = snapshot.execute(select(func.max(rollups_day.c.bucket_ms))).scalar()
    since = select((hour // DAY_MS * DAY_MS).label("day")).where(hour < newest // DAY_MS * DAY_MS).distinct()
    if last is not None:
        since = since.where(hour >= last + DAY_MS)
    return sorted({*snapshot.execute(since).scalars(), *(day for day in rolled if day < newest // DAY_MS * DAY_MS)})
