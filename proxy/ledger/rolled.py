"""Reads sums from the rollups, and from the calls what is in none yet. It must never tell anything else than the calls alone would."""

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, String, Table, and_, cast, func, literal, or_, select, union

from proxy.ledger.columns import SUMS, USAGE_COUNTS
from proxy.ledger.queries import (
    Facts,
    Opinions,
    Selection,
    Sums,
    Unweighed,
    facts_of,
    in_period,
    instead_of,
    key_of,
    local_ms,
    opinion_of,
    opinion_rows,
    unweighed_of,
)
from proxy.ledger.rolled_plan import BY_ATTEMPT, Plan, planned
from proxy.ledger.rollup_columns import DAY_MS, LIVE
from proxy.ledger.tables import NO_KNOWN_CALL, attempts, calls, rollups_day, rollups_hour

ALL: Final = "all"
_GROUP: Final = ("key", "provider", "model", "zone", "method", "method_version", "quality", "factor_set", "profile")
_COUNTED: Final = ("attempts", "metered_attempts", "counted_usage", "estimated_usage", *USAGE_COUNTS)


def read_rolled(snapshot: Connection, selection: Selection) -> Sums | None:
    """The sums, all of one snapshot; None when they are to be read from the calls alone."""
    plan = planned(snapshot, selection)
    return None if plan is None else Reading(snapshot, selection, plan).sums()


class Reading:
    """One selection, part from rollups and part from calls."""

    def __init__(self, snapshot: Connection, selection: Selection, plan: Plan) -> None:
        self._snapshot = snapshot
        self._selection = selection
        self._plan = plan
        self._has_late = self._any_late()

    def sums(self) -> Sums:
        """The parts added up."""
        (whole,) = self._facts(ALL) or [_no_facts(ALL)]
        return Sums(
            whole=whole,
            groups=self._facts(self._selection.by),
            opinions=self._opinions(),
            unweighed=self._unweighed(),
            instead=self._instead(),
        )

    def parts(self) -> list[Selection]:
        """What is read from calls."""
        return [replace(self._selection, since_ms=since, until_ms=until) for since, until in self._plan.calls]

    def rolled(self, statement: Callable[[Table], Select[Any]]) -> list[dict[str, Any]]:
        """Rows of the statement over the days and over the hours of the plan."""
        found = []
        for table, ranges in ((rollups_day, self._plan.days), (rollups_hour, self._plan.hours)):
            if not ranges:
                continue
            inside = or_(*(and_(table.c.bucket_ms >= start, table.c.bucket_ms < end) for start, end in ranges))
            chosen = statement(table).where(inside, table.c.estimate_set == (self._selection.estimate_set or LIVE))
            for name, values in self._selection.tags:
                chosen = chosen.where(table.c[f"tag_{name}"].in_(values))
            found += [dict(row) for row in self._snapshot.execute(chosen).mappings()]
        return found

    def _key(self, table: Table, by: str) -> ColumnElement[str]:
        if by == ALL:
            return literal(ALL)
        if by == "day":
            return cast(local_ms(table.c.bucket_ms, self._selection.offsets) // DAY_MS, String)
        return table.c[f"tag_{self._selection.tag_name}" if by == "tag" else by]

    def _facts(self, by: str) -> list[Facts]:
        added: dict[str, Facts] = {}
        for facts in self._rolled_facts(by):
            added[facts.key] = _sum_of_facts(added.get(facts.key), facts)
        for part in self.parts():
            late = self._late_calls(part, by)
            for facts in facts_of(self._snapshot, part, _key_of(part, by)):
                own = replace(facts, calls=facts.calls - late.get(facts.key, 0))
                added[facts.key] = _sum_of_facts(added.get(facts.key), own)
        late = self._late_calls(self._selection, by)
        return [replace(facts, calls=facts.calls + late.get(name, 0)) for name, facts in added.items()]

    def _rolled_facts(self, by: str) -> list[Facts]:
        def statement(table: Table) -> Select[Any]:
            group = self._key(table, by)
            counts = [func.sum(table.c[name]).label(name) for name in _COUNTED]
            calls_once = func.sum(table.c[BY_ATTEMPT.get(by, "calls")]).label("calls")
            simulated = func.sum(table.c.attempts).filter(table.c.simulated).label("simulated_attempts")
            span = (func.min(table.c.first_ms).label("first_ms"), func.max(table.c.last_ms).label("last_ms"))
            chosen = select(group.label("key"), calls_once, simulated, *counts, *span)
            grouped: Any = chosen.having(func.count() > 0) if by == ALL else chosen.group_by(group)
            return grouped  # type: ignore[no-any-return]  # a select of as many columns as there are counts

        return [_facts(row) for row in self.rolled(statement)]

    def _opinions(self) -> list[Opinions]:
        def statement(table: Table) -> Select[Any]:
            group = [self._key(table, self._selection.by).label("key"), table.c.provider, table.c.model, table.c.grid_zone.label("zone")]
            group += [table.c[name] for name in _GROUP[4:]]
            sums = [func.sum(table.c[name]).label(name) for name in ("attempts", *SUMS)]
            return select(*group, *sums).where(table.c.method != "").group_by(*(getattr(each, "element", each) for each in group))

        rows = self.rolled(statement)
        for part in self.parts():
            rows += opinion_rows(self._snapshot, part, key_of(part))
        added: dict[tuple[object, ...], dict[str, Any]] = {}
        for row in rows:
            group = tuple(row[name] for name in _GROUP)
            kept = added.setdefault(group, row)
            if kept is not row:
                for name in ("attempts", *SUMS):
                    kept[name] = _plus(kept[name], row[name])
        return [opinion_of(row) for row in added.values()]

    def _unweighed(self) -> list[Unweighed]:
        def statement(table: Table) -> Select[Any]:
            group = self._key(table, self._selection.by)
            chosen = select(group.label("key"), table.c.reason, func.sum(table.c.attempts).label("attempts"))
            return chosen.where(table.c.reason != "", table.c.method == "").group_by(group, table.c.reason)

        added: dict[tuple[str, str], int] = defaultdict(int)
        for row in self.rolled(statement):
            added[row["key"], row["reason"]] += int(row["attempts"])
        for part in self.parts():
            for each in unweighed_of(self._snapshot, part, key_of(part)):
                added[each.key, each.reason] += each.attempts
        return [Unweighed(key=key, reason=reason, attempts=number) for (key, reason), number in added.items()]

    def _instead(self) -> dict[str, int]:
        def statement(table: Table) -> Select[Any]:
            return select(table.c.instead, func.sum(table.c.calls).label("calls")).where(table.c.instead != "").group_by(table.c.instead)

        added: dict[str, int] = defaultdict(int)
        for row in self.rolled(statement):
            added[row["instead"]] += int(row["calls"])
        for part in self.parts():
            for kind, number in instead_of(self._snapshot, part).items():
                added[kind] += number
        return dict(sorted(added.items()))

    def _any_late(self) -> bool:
        some = select(literal(1)).where(calls.c.origin_call_id.is_not(None)).limit(1)
        return self._snapshot.execute(some).first() is not None

    def _late_calls(self, selection: Selection, by: str) -> dict[str, int]:
        """Calls that were booked late, by group: work begun in one hour and booked in others is one call, which no rollup can count."""
        if not self._has_late:
            return {}
        group = _key_of(selection, by)
        origin = calls.c.origin_call_id
        number = func.count(func.coalesce(func.nullif(origin, NO_KNOWN_CALL), calls.c.call_id).distinct()).label("calls")
        booked, begun = calls.alias("booked"), calls.alias("begun")
        late = union(
            select(booked.c.call_id).where(booked.c.origin_call_id.is_not(None), booked.c.origin_call_id != NO_KNOWN_CALL),
            select(begun.c.origin_call_id).where(begun.c.origin_call_id.is_not(None)),
        )
        statement: Any = select(group.label("key"), number).select_from(calls.outerjoin(attempts, attempts.c.call_id == calls.c.call_id))
        statement = in_period(statement.where(calls.c.call_id.in_(late)), selection)
        found = self._snapshot.execute(statement if by == ALL else statement.group_by(group)).mappings()
        return {row["key"]: int(row["calls"]) for row in found}


def _key_of(selection: Selection, by: str) -> ColumnElement[str]:
    return literal(ALL) if by == ALL else key_of(selection)


def _facts(row: dict[str, Any]) -> Facts:
    return Facts(
        key=row["key"],
        calls=int(row["calls"]),
        attempts=int(row["attempts"]),
        simulated_attempts=int(row["simulated_attempts"] or 0),
        metered_attempts=int(row["metered_attempts"]),
        counted_usage=int(row["counted_usage"]),
        estimated_usage=int(row["estimated_usage"]),
        usage={name: int(row[name]) for name in USAGE_COUNTS},
        first_ms=row["first_ms"],
        last_ms=row["last_ms"],
    )


def _no_facts(key: str) -> Facts:
    return _facts({"key": key, "first_ms": None, "last_ms": None} | dict.fromkeys(("calls", "simulated_attempts", *_COUNTED), 0))


def _sum_of_facts(a: Facts | None, b: Facts) -> Facts:
    if a is None:
        return b
    counts = ("calls", "attempts", "simulated_attempts", "metered_attempts", "counted_usage", "estimated_usage")
    return replace(
        a,
        **{name: getattr(a, name) + getattr(b, name) for name in counts},
        usage={name: a.usage[name] + b.usage[name] for name in USAGE_COUNTS},
        first_ms=_edge(min, a.first_ms, b.first_ms),
        last_ms=_edge(max, a.last_ms, b.last_ms),
    )


def _edge(which: Callable[[Collection[int]], int], *known: int | None) -> int | None:
    found = [value for value in known if value is not None]
    return which(found) if found else None


def _plus(a: float | None, b: float | None) -> float | None:
    return a if b is None else b if a is None else a + b
