"""Ledgers as older versions left them: rows of calls in the order of columns.py, figures in full. It must never use today's packing."""

from collections.abc import Iterable
from math import exp
from operator import attrgetter
from typing import NamedTuple

import msgspec
from alembic import command
from sqlalchemy import create_engine, inspect, pool, text

from estimators.estimate import Estimate
from estimators.quantity import Quantity
from proxy.call import AttemptRecord, CallRecord, DecisionRecord
from proxy.clock import uuid7
from proxy.ledger.columns import (
    ATTEMPTS,
    CALL_FACTS,
    CALLS,
    CHOSEN,
    FIRST_COUNTS,
    HOURLY,
    INSTEAD,
    QUANTITIES,
    SCOPED_QUANTITIES,
    SHADOW,
    WEIGHING_FACTS,
    WRITES,
    Role,
)
from proxy.ledger.decision_columns import DECISION_FACTS, SIDES, WHO
from proxy.ledger.rollup_columns import HOUR_MS
from proxy.ledger.schema import alembic_config
from proxy.ledger.usage_row import calls_value, is_text, text_values, usage_values

Row = tuple[object, ...]

_json = msgspec.json.encode
_call_head = attrgetter(*CALLS[: CALLS.index("tags")])
_call_tail = attrgetter(*CALL_FACTS[CALLS.index("tags") + 1 :])
_attempt_facts = attrgetter(*ATTEMPTS[1 : ATTEMPTS.index(FIRST_COUNTS[0])])
_intensity_facts = attrgetter("gco2e_per_kwh", "intensity_source", "intensity_year", "zone")
_hour_facts = attrgetter(*HOURLY[1:])
_instead_facts = attrgetter(*INSTEAD[1:])
_weighing_facts = attrgetter(*WEIGHING_FACTS[2:])
_quantities = attrgetter(*QUANTITIES)
_SCOPED = tuple(quantity in SCOPED_QUANTITIES for quantity in QUANTITIES)


class Rows(NamedTuple):
    """The rows of a batch, in the order of WRITES; attempts with media or metered energy have the longer rows."""

    calls: list[Row]
    late_calls: list[Row]
    text_attempts: list[Row]
    object_attempts: list[Row]
    attempts: list[Row]
    estimates: list[Row]
    hours: list[Row]
    decisions: list[Row]
    instead: list[Row]
    shortcomings: list[Row]
    facts: list[Row]
    touched: list[Row]


def rows_of(records: Iterable[CallRecord]) -> Rows:
    """All rows of the records."""
    rows = Rows([], [], [], [], [], [], [], [], [], [], [], [])
    touched: dict[int, Row] = {}
    for record in records:
        hour = record.started_ms // HOUR_MS
        if hour not in touched:
            touched[hour] = (hour, uuid7(record.started_ms))
        call = (*_call_head(record), _json(dict(record.tags)).decode(), *_call_tail(record))
        if record.origin_call_id is None:
            rows.calls.append(call)
        else:
            rows.late_calls.append((*call, record.origin_call_id))
        if record.decision is not None:
            rows.decisions.append(decision_row(record.call_id, record.decision))
        if record.instead is not None:
            rows.instead.append((record.call_id, *_instead_facts(record.instead)))
        for attempt in record.attempts:
            _add_attempt(rows, record, attempt)
    rows.touched.extend(touched.values())
    return rows


def _add_attempt(rows: Rows, record: CallRecord, attempt: AttemptRecord) -> None:
    usage, kept_as = attempt.usage, attempt.upstream_object_id
    if usage is not None and not is_text(usage):
        rows.attempts.append((record.call_id, *_attempt_facts(attempt), *usage_values(usage), kept_as, calls_value(usage)))
    elif kept_as is None:
        rows.text_attempts.append((record.call_id, *_attempt_facts(attempt), *text_values(usage)))
    else:
        rows.object_attempts.append((record.call_id, *_attempt_facts(attempt), *text_values(usage), kept_as))
    if attempt.estimate is not None:
        rows.estimates.append(estimate_row(record, attempt, attempt.estimate, CHOSEN))
    if attempt.hour is not None:
        rows.hours.append((attempt.attempt_id, *_hour_facts(attempt.hour)))
    if attempt.shortcoming is not None:
        rows.shortcomings.append((attempt.attempt_id, record.call_id, attempt.shortcoming))
    if attempt.facts is not None:
        rows.facts.append((attempt.attempt_id, record.call_id, *_weighing_facts(attempt.facts)))
    for shadow in attempt.shadows:
        rows.estimates.append(estimate_row(record, attempt, shadow, SHADOW))


def estimate_row(record: CallRecord, attempt: AttemptRecord, estimate: Estimate, role: Role = CHOSEN) -> Row:
    """The opinion formed during the call, or beside it. Its id follows from the attempt's: writing it twice is writing it once."""
    return opinion_row(
        estimate,
        attempt_id=attempt.attempt_id,
        estimate_id=attempt.attempt_id if role == CHOSEN else f"{attempt.attempt_id}:{estimate.method}",
        call_id=record.call_id,
        created_ms=record.started_ms + int(record.latency_s * 1000),
        role=role,
    )


def opinion_row(estimate: Estimate, *, attempt_id: str, estimate_id: str, call_id: str, created_ms: int, role: str) -> Row:
    """An estimate as a row of its own."""
    row: list[object] = [
        attempt_id,
        estimate_id,
        call_id,
        created_ms,
        estimate.method,
        estimate.method_version,
        estimate.factor_set,
        estimate.profile,
        estimate.quality,
        "".join(estimate.quality_parts),
        *_intensity_facts(estimate),
        ",".join(estimate.warnings),
    ]
    for quantity, scoped in zip(_quantities(estimate), _SCOPED, strict=True):
        row += _quantity_values(quantity, scoped)
    row.append(role)
    return tuple(row)


def decision_row(call_id: str, decision: DecisionRecord) -> Row:
    """What a policy said of the call."""
    row: list[object] = [call_id, *(getattr(decision, name) for name in DECISION_FACTS)]
    for side in SIDES:
        row += [getattr(decision, f"{side}_{name}") for name in WHO]
        row += _quantity_values(getattr(decision, f"{side}_gco2e"), scoped=True)
    return tuple(row)


def _quantity_values(quantity: Quantity | None, scoped: bool) -> Row:
    if quantity is None:
        return (None,) * 7 if scoped else (None, None)
    p50, variance = quantity
    method, provider, model, zone, call = variance
    mean = p50 * exp((method + provider + model + zone + call) / 2)
    return (mean, p50, method, provider, model, zone, call) if scoped else (mean, p50)


def made_at(revision: str, url: str, kept: list[CallRecord]) -> None:
    """A ledger as the version of that revision left it, with the records' calls in it."""
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        for (table, columns), rows in zip(WRITES, rows_of(kept), strict=True):
            if not rows or not inspect(connection).has_table(table):
                continue
            of_the_day = {column["name"] for column in inspect(connection).get_columns(table)}
            names = [name for name in columns if name in of_the_day]
            marks = ", ".join(f":{name}" for name in names)
            for row in rows:
                statement = text(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING")
                connection.execute(statement, dict(zip(columns, row, strict=True)))
