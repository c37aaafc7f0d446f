"""Sums over the ledger, made by the database: one row per group that shares its errors. It must never load a ledger call by call."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    or_,
    select,
)

from estimators.quantity import NOTHING, LogVariance, Quantity, ScopeKeys
from proxy.call import PENDING
from proxy.ledger.columns import CHOSEN, SCOPED_QUANTITIES, SCOPES, SHADOW, USAGE_COUNTS, set_role
from proxy.ledger.tables import NO_KNOWN_CALL, attempts, calls, estimates, instead, retags

Dimension = Literal["model", "tag", "day", "provider", "zone", "operation", "policy"]
DAY_MS: Final = 86_400_000
UNASSIGNED: Final = "unassigned"
NONE: Final = "none"
"""The key of calls without an attempt, where attempts are grouped."""
NOT_GENERATED: Final = "not_generated"
NOT_IN_SET: Final = "not_in_set"
"""Why an attempt that was weighed is in no figure of a named set: the set does not hold it."""


_SHARED = SCOPES[:4]
_BASIS = ("method", "method_version", "quality", "factor_set", "profile")
_FACTS = (
    "key",
    "calls",
    "attempts",
    "simulated_attempts",
    "metered_attempts",
    "counted_usage",
    "estimated_usage",
    "first_ms",
    "last_ms",
)
_BY_CALL: Final = {"operation": calls.c.operation, "policy": calls.c.policy}
_BY_COLUMN: Final = {"model": attempts.c.model, "provider": attempts.c.provider, "zone": attempts.c.zone}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which calls to sum and by what: started at or after since_ms and before until_ms; of each attempt the newest opinion of `method`,
    a shadow's too, or the newest that counts when it is None; with estimate_set that of the named set.
    tags: calls alone whose tag of each name has one of its values.
    offsets: days are of a place, whose clock is so many ms ahead of UTC from an instant on, oldest first; empty: days of UTC.
    """

    by: Dimension
    tag_name: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    method: str | None = None
    tags: tuple[tuple[str, tuple[str, ...]], ...] = ()
    offsets: tuple[tuple[int, int], ...] = ()
    estimate_set: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Counts of one group: calls, attempts, usage, and who counted it. first_ms and last_ms: start of the first and last call."""

    key: str
    calls: int
    attempts: int
    simulated_attempts: int
    metered_attempts: int
    counted_usage: int
    estimated_usage: int
    usage: dict[str, int]
    first_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinions:
    """Estimates of one group that share method, provider, model, zone, tier and basis. lines: each line's sum, as one quantity whose
    components are those of the sum; adding it to a Total under `shared` equals adding the calls one by one.
    """

    key: str
    shared: ScopeKeys
    quality: str
    factor_set: str
    profile: str
    attempts: int
    lines: dict[str, Quantity]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unweighed:
    """Attempts without any estimate, by reason."""

    key: str
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Everything a report needs, read in one snapshot. instead: calls by what answered them in place of a provider."""

    whole: Facts
    groups: list[Facts]
    opinions: list[Opinions]
    unweighed: list[Unweighed]
    instead: dict[str, int]


def key_of(selection: Selection) -> ColumnElement[str]:
    """The text that calls or attempts are grouped by; a day as its number since 1970."""
    if selection.by == "day":
        return cast(local_ms(calls.c.started_ms, selection.offsets) // DAY_MS, String)
    if selection.by in _BY_CALL:
        return _BY_CALL[selection.by]
    if selection.by == "tag":
        return tag_of(selection.tag_name or "")
    return func.coalesce(_BY_COLUMN[selection.by], NONE)


def local_ms(started: ColumnElement[int], offsets: tuple[tuple[int, int], ...]) -> ColumnElement[int]:
    """When a call began by the clock of the place, in ms since its 1970."""
    if not offsets:
        return started
    ahead = case(*((started >= since_ms, offset_ms) for since_ms, offset_ms in reversed(offsets)), else_=offsets[0][1])
    return started + ahead


def tag_of(name: str, *, is_retagged: bool = True) -> ColumnElement[str]:
    """A call's tag: its newest re-tag, else what it was recorded with, else unassigned. is_retagged: False where no call has another."""
    told = calls.c.tags[name].as_string()
    if is_retagged:
        newest = (
            select(retags.c.value)
            .where(or_(retags.c.call_id == calls.c.call_id, retags.c.call_id == calls.c.origin_call_id), retags.c.name == name)
            .order_by(retags.c.created_ms.desc())
            .limit(1)
            .scalar_subquery()
        )
        told = func.coalesce(newest, told)
    return func.coalesce(func.nullif(told, ""), UNASSIGNED)


def retagged_names(connection: Connection) -> frozenset[str]:
    """Tags that some call was given late: only these need be looked up call by call."""
    return frozenset(connection.execute(select(retags.c.name).distinct()).scalars())


def in_period(statement: Select[Any], selection: Selection) -> Select[Any]:
    """The statement for the calls of the selection alone; nothing is counted twice that was booked late."""
    if selection.since_ms is not None:
        statement = statement.where(calls.c.started_ms >= selection.since_ms)
    if selection.until_ms is not None:
        statement = statement.where(calls.c.started_ms < selection.until_ms)
    for name, values in selection.tags:
        statement = statement.where(tag_of(name).in_(values))
    return statement.where(~_is_booked_late())


def _is_booked_late() -> ColumnElement[bool]:
    """A call whose work was booked after its end: the booking stands for it, so that nothing is counted twice."""
    late = calls.alias("late")
    waits = func.coalesce(attempts.c.unweighed_reason, "") == PENDING
    booked = select(literal(1)).where(late.c.origin_call_id == calls.c.call_id).correlate(calls).exists()
    return and_(waits, booked)


def facts_of(connection: Connection, selection: Selection, key: ColumnElement[str]) -> list[Facts]:
    """Counts of each group."""
    source = attempts.c.usage_source
    statement = select(
        key.label("key"),
        func.count(func.coalesce(func.nullif(calls.c.origin_call_id, NO_KNOWN_CALL), calls.c.call_id).distinct()).label("calls"),
        func.count(attempts.c.attempt_id).label("attempts"),
        count_if(attempts.c.simulated).label("simulated_attempts"),
        func.count(source).label("metered_attempts"),
        count_if(source == "counted").label("counted_usage"),
        count_if(source == "estimated").label("estimated_usage"),
        *(func.coalesce(func.sum(attempts.c[count]), 0).label(count) for count in USAGE_COUNTS),
        func.min(calls.c.started_ms).label("first_ms"),
        func.max(calls.c.started_ms).label("last_ms"),
    ).select_from(calls.outerjoin(attempts, attempts.c.call_id == calls.c.call_id))
    grouped = in_period(statement, selection)
    found = connection.execute(grouped if isinstance(key, BindParameter) else grouped.group_by(key)).mappings()
    return [Facts(**{name: row[name] for name in _FACTS}, usage={name: int(row[name]) for name in USAGE_COUNTS}) for row in found]


def count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """How many rows the condition holds for."""
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def opinion_rows(connection: Connection, selection: Selection, key: ColumnElement[str]) -> list[dict[str, Any]]:
    """Groups of opinions. Of each line: the sum of means, of mean times standard deviation per shared scope, of the call scope's moment."""
    facts = (attempts.c.provider, attempts.c.model, estimates.c.zone, *(estimates.c[name] for name in _BASIS))
    statement = (
        select(
            key.label("key"), *facts, func.count().label("attempts"), *(moment for line in SCOPED_QUANTITIES for moment in moments_of(line))
        )
        .select_from(
            calls.join(attempts, attempts.c.call_id == calls.c.call_id).join(estimates, is_newest(selection.method, selection.estimate_set))
        )
        .group_by(key, *facts)
    )
    return [dict(row) for row in connection.execute(in_period(statement, selection)).mappings()]


def is_newest(method: str | None, estimate_set: str | None = None) -> ColumnElement[bool]:
    """Joins an attempt with its newest opinion; those of named sets are looked at only where the set is named."""
    newer = estimates.alias("newer")
    later = or_(
        newer.c.created_ms > estimates.c.created_ms,
        and_(newer.c.created_ms == estimates.c.created_ms, newer.c.estimate_id > estimates.c.estimate_id),
    )
    same = and_(newer.c.call_id == estimates.c.call_id, newer.c.attempt_id == estimates.c.attempt_id)
    outdated = select(literal(1)).where(same, *_counts(newer, method, estimate_set), later)
    return and_(is_of_attempt(estimates), *_counts(estimates, method, estimate_set), ~outdated.correlate(estimates).exists())


def _counts(opinions: FromClause, method: str | None, estimate_set: str | None) -> list[ColumnElement[bool]]:
    """Which opinions may be the newest."""
    found: list[ColumnElement[bool]] = [] if method is None else [opinions.c.method == method]
    if estimate_set is not None or method is None:
        return [*found, opinions.c.role == _role(estimate_set)]
    return [*found, opinions.c.role.in_((CHOSEN, SHADOW))]


def is_of_attempt(opinions: Any) -> ColumnElement[bool]:
    """Joins an attempt with its opinions, by the key that both stand under."""
    return and_(opinions.c.call_id == attempts.c.call_id, opinions.c.attempt_id == attempts.c.attempt_id)


def moments_of(line: str) -> list[ColumnElement[float]]:
    """The sum of means, of mean times standard deviation per shared scope, of the call scope's moment."""
    mean = estimates.c[line]
    shared = [func.sum(mean * func.sqrt(estimates.c[f"{line}_var_{scope}"])).label(f"{line}_{scope}") for scope in _SHARED]
    own = func.sum(mean * mean * (func.exp(estimates.c[f"{line}_var_call"]) - 1)).label(f"{line}_call")
    return [func.sum(mean).label(line), *shared, own]


def opinion_of(row: dict[str, Any]) -> Opinions:
    """The group's opinions from its row of moments."""
    return Opinions(
        key=row["key"],
        shared=scope_keys(row),
        quality=row["quality"],
        factor_set=row["factor_set"],
        profile=row["profile"],
        attempts=int(row["attempts"]),
        lines={line: sum_of(row, line) for line in SCOPED_QUANTITIES if row[line] is not None},
    )


def scope_keys(row: Mapping[Any, Any]) -> ScopeKeys:
    """What errors of a row of sums have in common with others."""
    return ScopeKeys(f"{row['method']}@{row['method_version']}", row["provider"], row["model"], row["zone"])


def sum_of(row: Mapping[Any, Any], line: str) -> Quantity:
    """The quantity with the group's mean, its mean-weighted standard deviations, and the moment of its calls' own errors."""
    mean = float(row[line])
    if mean <= 0:
        return NOTHING
    shared = [(row[f"{line}_{scope}"] / mean) ** 2 for scope in _SHARED]
    variance = LogVariance(shared[0], shared[1], shared[2], shared[3], math.log1p(row[f"{line}_call"] / mean**2))
    return Quantity(mean * math.exp(-variance.total / 2), variance)


def unweighed_of(connection: Connection, selection: Selection, key: ColumnElement[str]) -> list[Unweighed]:
    """Attempts without an opinion that counts, by group and reason."""
    in_set = selection.estimate_set is not None
    reason = func.coalesce(attempts.c.unweighed_reason, NOT_IN_SET) if in_set else attempts.c.unweighed_reason
    statement = (
        select(key.label("key"), reason.label("reason"), func.count().label("attempts"))
        .select_from(calls.join(attempts, attempts.c.call_id == calls.c.call_id))
        .where(reason.is_not(None))
        .where(~select(literal(1)).where(_counts_for_attempt(selection.estimate_set)).correlate(attempts).exists())
        .group_by(key, reason)
    )
    found = connection.execute(in_period(statement, selection)).mappings()
    return [Unweighed(key=row["key"], reason=row["reason"], attempts=row["attempts"]) for row in found]


def instead_of(connection: Connection, selection: Selection) -> dict[str, int]:
    """Calls that no provider answered, by what did."""
    statement = (
        select(instead.c.kind, func.count(calls.c.call_id.distinct()).label("calls"))
        .select_from(calls.join(instead, instead.c.call_id == calls.c.call_id).outerjoin(attempts, attempts.c.call_id == calls.c.call_id))
        .group_by(instead.c.kind)
        .order_by(instead.c.kind)
    )
    return {str(row["kind"]): int(row["calls"]) for row in connection.execute(in_period(statement, selection)).mappings()}


def _counts_for_attempt(estimate_set: str | None) -> ColumnElement[bool]:
    return and_(is_of_attempt(estimates), estimates.c.role == _role(estimate_set))


def _role(estimate_set: str | None) -> str:
    """The role of the opinions that are asked for."""
    return CHOSEN if estimate_set is None else set_role(estimate_set)
