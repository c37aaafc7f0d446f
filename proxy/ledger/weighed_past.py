"""The attempts of a ledger with all that they were weighed by, batch by batch. It must never hold more than one batch of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Select, and_, func, or_, select

from estimators.usage import Usage
from proxy.call import WeighingFacts
from proxy.ledger.columns import CALLS_COUNTED, CHOSEN, MEDIA, METERED, SHADOW, USAGE_COUNTS, WEIGHING_FACTS, set_role
from proxy.ledger.tables import attempts, calls, estimates, weighing_facts
from proxy.ledger.usage_row import usage_of_row

BATCH_CALLS: Final = 1000
_CALL: Final = ("call_id", "started_ms", "operation", "path")
_ATTEMPT: Final = ("attempt_id", "provider", "served_model", "region", "zone", "place_assumed", "unweighed_reason")
_USAGE: Final = ("usage_source", "partial", CALLS_COUNTED, *USAGE_COUNTS, *MEDIA, *METERED)
_FACTS: Final = WEIGHING_FACTS[2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOpinion:
    """What is kept of the newest opinion that counts: its method and boundary, and what was said of the call beside figures."""

    method: str
    profile: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WeighedPast:
    """One attempt with what it was weighed by. live: the opinion that counts, None: it has none. is_in_set: the set holds one already."""

    call_id: str
    started_ms: int
    operation: str
    path: str
    attempt_id: str
    provider: str
    served_model: str
    region: str | None
    zone: str
    place_assumed: bool
    unweighed_reason: str | None
    bytes_travelled: int
    usage: Usage | None
    facts: WeighingFacts | None
    live: LiveOpinion | None
    is_in_set: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """Calls that began at or after since_ms and before until_ms; None: without that end."""

    since_ms: int | None = None
    until_ms: int | None = None

    def holds(self) -> Any:
        """The condition on a call."""
        started = calls.c.started_ms
        bounds = [
            started >= self.since_ms if self.since_ms is not None else None,
            started < self.until_ms if self.until_ms is not None else None,
        ]
        return and_(True, *(bound for bound in bounds if bound is not None))


def count_calls(engine: Engine, period: Period) -> int:
    """How many calls there are to go through."""
    with engine.begin() as connection:
        return int(connection.execute(select(func.count()).select_from(calls).where(period.holds())).scalar_one())


def in_batches(
    engine: Engine, period: Period, *, estimate_set: str, batch_calls: int = BATCH_CALLS
) -> Iterator[tuple[int, list[WeighedPast]]]:
    """So many calls and their attempts, oldest first, until the period ends; each batch in a transaction of its own."""
    after: tuple[int, str] | None = None
    while True:
        with engine.begin() as connection:
            found = [dict(row) for row in connection.execute(_calls_after(period, after, batch_calls)).mappings()]
            past = _attempts_of(connection, found, estimate_set) if found else []
        if not found:
            return
        after = (found[-1]["started_ms"], found[-1]["call_id"])
        yield len(found), past


def _calls_after(period: Period, after: tuple[int, str] | None, batch_calls: int) -> Select[Any]:
    statement = select(*(calls.c[name] for name in _CALL)).where(period.holds())
    if after is not None:
        started, call_id = after
        later = or_(calls.c.started_ms > started, calls.c.call_id > call_id)
        statement = statement.where(calls.c.started_ms >= started, later)
    return statement.order_by(calls.c.started_ms, calls.c.call_id).limit(batch_calls)


def _attempts_of(connection: Connection, found: Sequence[dict[str, Any]], estimate_set: str) -> list[WeighedPast]:
    by_id = {row["call_id"]: row for row in found}
    columns = [attempts.c[name] for name in (*_ATTEMPT, *_USAGE)]
    travelled = (attempts.c.request_bytes + attempts.c.response_bytes).label("bytes_travelled")
    told = [weighing_facts.c[name].label(f"fact_{name}") for name in _FACTS]
    statement = (
        select(attempts.c.call_id, *columns, travelled, weighing_facts.c.attempt_id.label("has_facts"), *told)
        .select_from(attempts.outerjoin(weighing_facts, weighing_facts.c.attempt_id == attempts.c.attempt_id))
        .where(attempts.c.call_id.in_(list(by_id)))
        .order_by(attempts.c.call_id, attempts.c.ordinal)
    )
    rows = [dict(row) for row in connection.execute(statement).mappings()]
    live, in_set = _opinions(connection, list(by_id), estimate_set)
    return [_past(by_id[row["call_id"]], row, live.get(row["attempt_id"]), row["attempt_id"] in in_set) for row in rows]


def _opinions(connection: Connection, ids: Sequence[str], estimate_set: str) -> tuple[dict[str, LiveOpinion], set[str]]:
    """Of the calls: the newest opinion that counts of each attempt, and the attempts that the set holds."""
    columns = (estimates.c.attempt_id, estimates.c.role, estimates.c.method, estimates.c.profile, estimates.c.warnings)
    statement = select(*columns).where(estimates.c.call_id.in_(ids), estimates.c.role != SHADOW)
    live: dict[str, LiveOpinion] = {}
    in_set: set[str] = set()
    for attempt_id, role, method, profile, warnings in connection.execute(
        statement.order_by(estimates.c.created_ms, estimates.c.estimate_id)
    ):
        if role == CHOSEN:
            live[attempt_id] = LiveOpinion(method=method, profile=profile, warnings=tuple(warnings.split(",")) if warnings else ())
        elif role == set_role(estimate_set):
            in_set.add(attempt_id)
    return live, in_set


def _past(call: dict[str, Any], row: dict[str, Any], live: LiveOpinion | None, is_in_set: bool) -> WeighedPast:
    told = {name: row[f"fact_{name}"] for name in _FACTS} | {"batched": bool(row["fact_batched"])}
    return WeighedPast(
        call_id=call["call_id"],
        started_ms=call["started_ms"],
        operation=call["operation"],
        path=call["path"],
        **{name: row[name] for name in ("attempt_id", "provider", "served_model", "region", "zone", "unweighed_reason", "bytes_travelled")},
        place_assumed=bool(row["place_assumed"]),
        usage=usage_of_row(row),
        facts=None if row["has_facts"] is None else WeighingFacts(**told),
        live=live,
        is_in_set=is_in_set,
    )
