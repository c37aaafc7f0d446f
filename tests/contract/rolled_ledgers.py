"""Calls of every kind for the tests of rollups, and the comparison with a recount. It must never take a rollup's word for anything."""

import random  # noqa: TID251  # seeded by each test
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import create_engine

from estimators.quantity import LogVariance, Quantity
from proxy.call import PENDING, CallRecord, InsteadRecord
from proxy.clock import uuid7
from proxy.ledger.columns import SCOPED_QUANTITIES
from proxy.ledger.queries import Selection
from proxy.ledger.roll import roll
from proxy.ledger.set_store import Opinion, SetTerms, add_to_set, claim_set
from proxy.ledger.touch import touch_calls
from proxy.ledger.turn import taken_turn
from proxy.reports.line import Line, Spread
from proxy.reports.summary import Summary, summarise
from tests.contract.ledger_rows import change_ledger
from tests.contract.ledgers import record
from tests.sample_records import attempt, estimate

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
MIDNIGHT_MS = 20_717 * DAY_MS
PARIS = ((0, HOUR_MS), (MIDNIGHT_MS + DAY_MS + HOUR_MS, 2 * HOUR_MS))


def weighed(dice: random.Random, attempt_id: str, **changes: Any) -> Any:
    """An attempt with figures and doubts of its own."""

    def some() -> Quantity:
        return Quantity(dice.uniform(0.01, 5), LogVariance(*(dice.choice((0.0, 0.02, 0.3)) for _ in range(5))))

    own = {name: some() for name in SCOPED_QUANTITIES} | {"zone": dice.choice(("SE", "US")), "quality": dice.choice("CD")}
    facts: dict[str, Any] = {
        "attempt_id": attempt_id,
        "provider": dice.choice(("openai", "azure")),
        "model": dice.choice(("m0", "m1", "m2")),
        "zone": own["zone"],
        "simulated": dice.random() < 0.2,
        "estimate": estimate(**own),
    }
    if dice.random() < 0.1:
        facts |= {"estimate": None, "unweighed_reason": dice.choice(("not_generated", "weighing_failed"))}
    return attempt(**(facts | changes))


def any_calls(dice: random.Random, count: int, days: int = 3) -> list[CallRecord]:
    """Calls of some days: of no, one and several attempts, answered by a copy, and works that are booked hours after they began."""
    made: list[CallRecord] = []
    for _ in range(count):
        at = MIDNIGHT_MS + dice.randrange(days * DAY_MS)
        tags = tuple((name, dice.choice(("a", "b"))) for name in ("brand", "campaign", "asset") if dice.random() < 0.7)
        facts: dict[str, Any] = {"call_id": uuid7(at), "started_ms": at, "tags": tags, "operation": dice.choice(("chat", "batches"))}
        kind = dice.random()
        if kind < 0.1:
            made.append(record(**facts, attempts=(), instead=InsteadRecord(kind="reuse") if kind < 0.05 else None))
        elif kind < 0.2:
            waiting = attempt(attempt_id=uuid7(at), usage=None, estimate=None, unweighed_reason=PENDING)
            first = weighed(dice, uuid7(at))
            made.append(record(**facts, attempts=(first, waiting) if kind < 0.13 else (waiting,)))
            made += [_booking(dice, made[-1].call_id, at) for _ in range(dice.randrange(3))]
        else:
            made.append(record(**facts, attempts=tuple(weighed(dice, uuid7(at)) for _ in range(1 if kind < 0.8 else dice.randint(2, 3)))))
    return made


def _booking(dice: random.Random, origin: str, after_ms: int) -> CallRecord:
    at = after_ms + dice.randrange(30 * HOUR_MS)
    facts: dict[str, Any] = {"call_id": uuid7(at), "started_ms": at, "operation": "batches"}
    return record(**facts, origin_call_id=dice.choice((origin, origin, "unknown")), attempts=(weighed(dice, uuid7(at)),))


def retag(url: str, call_id: str, value: str, at: int) -> None:
    """A late tag, as a rule gives it."""
    statement = "INSERT INTO retags (call_id, name, created_ms, value) VALUES (:call_id, 'campaign', :at, :value)"
    change_ledger(url, statement, call_id=call_id, at=at, value=value)
    touched(url, [call_id])


def touched(url: str, call_ids: list[str]) -> None:
    engine = create_engine(url)
    with engine.begin() as transaction:
        touch_calls(transaction, call_ids)
    engine.dispose()


def restate(url: str, name: str, kept: Iterable[CallRecord], dice: random.Random) -> None:
    """Another opinion of every second attempt, in a named set."""
    engine = create_engine(url)
    claim_set(engine, name, SetTerms(factor_set="beef"))
    opinions = [
        Opinion(call.call_id, each.attempt_id, estimate(gco2e=Quantity(dice.uniform(1, 9), LogVariance(0.1))))
        for call in kept
        for each in call.attempts
        if each.estimate is not None and dice.random() < 0.5
    ]
    add_to_set(engine, name, opinions, MIDNIGHT_MS)
    engine.dispose()


def rolled_up(url: str) -> int:
    """Rolls once."""
    with taken_turn(url) as turn:
        assert turn is not None
        return roll(turn)


def selections(dice: random.Random) -> list[Selection]:
    """Some of all ways to group, over whole and broken periods."""
    ways: list[dict[str, Any]] = [{"by": by} for by in ("model", "provider", "zone", "operation", "policy", "day")]
    ways += [{"by": "tag", "tag_name": name} for name in ("campaign", "brand", "asset")]
    ways += [{"by": "day", "offsets": PARIS}, {"by": "model", "tags": (("brand", ("a",)),)}]
    ways += [{"by": "model", "estimate_set": "new"}, {"by": "tag", "tag_name": "campaign", "estimate_set": "new"}]
    edges = sorted(MIDNIGHT_MS + dice.randrange(3 * DAY_MS) for _ in range(2))
    periods = [(None, None), (MIDNIGHT_MS, MIDNIGHT_MS + 2 * DAY_MS), (edges[0], edges[1]), (edges[0], None), (edges[0], edges[0] + 60_000)]
    chosen = [(way, period) for way in ways for period in periods]
    return [Selection(**way, since_ms=since, until_ms=until) for way, (since, until) in dice.sample(chosen, 6)]


def assert_recounted(url: str, dice: random.Random) -> None:
    """Every report from rollups is the report from the calls."""
    for selection in selections(dice):
        quick, exact = summarise(url, selection), summarise(url, selection, exact=True)
        assert _plain(quick) == _plain(exact), selection


def _plain(summary: Summary) -> dict[str, Any]:
    lines = {line.key: _line(line) for line in (*summary.lines, summary.whole)}
    span = (summary.first_ms, summary.last_ms)
    return {"lines": lines, "span": span, "instead": dict(summary.instead), "sets": summary.factor_sets, "methods": summary.methods}


def _line(line: Line) -> dict[str, Any]:
    return {each.name: _comparable(getattr(line, each.name)) for each in fields(line)}


def _comparable(value: Any) -> Any:
    if isinstance(value, Spread):
        return _Near(value.mean, value.p5, value.p95)
    if isinstance(value, Mapping):
        return {name: _comparable(part) for name, part in value.items()}
    return _Near(value) if isinstance(value, float) else value


class _Near:
    """Figures that equal others to nine digits."""

    def __init__(self, *values: float) -> None:
        self.values = values

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Near) and all(
            abs(a - b) <= 1e-9 * max(abs(a), abs(b)) for a, b in zip(self.values, other.values, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]  # compared, never looked up

    def __repr__(self) -> str:
        return f"Near{self.values}"
