"""Named sets of opinions beside those that count. It must never touch a row that is there: a set only grows."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from estimators.estimate import Estimate
from proxy.ledger.columns import ESTIMATES, set_role
from proxy.ledger.rows import Row, opinion_row
from proxy.ledger.sqlite import insert_or_ignore
from proxy.ledger.tables import estimates, ledger_meta
from proxy.ledger.touch import touch_calls

PREFIX: Final = "set."
_INSERT: Final = insert(estimates).on_conflict_do_nothing()
_ONE_ROW: Final = insert_or_ignore("estimates", ESTIMATES, 1)
_KEEP: Final = insert(ledger_meta).on_conflict_do_nothing()


class SetTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a set is weighed by. method None: the one that the configuration of the call's time chose."""

    factor_set: str
    method: str | None = None


class Opinion(NamedTuple):
    """An estimate of an attempt, and whose it is."""

    call_id: str
    attempt_id: str
    estimate: Estimate


def claim_set(engine: Engine, name: str, terms: SetTerms) -> SetTerms:
    """The terms of the set: these if it is new, else those that it was begun with."""
    with engine.begin() as connection:
        values = {"key": f"{PREFIX}{name}", "value": msgspec.json.encode(terms).decode()}
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(insert_or_ignore("ledger_meta", ("key", "value"), 1), tuple(values.values()))
        else:
            connection.execute(_KEEP, values)
        return known_sets(connection)[name]


def known_sets(connection: Connection) -> dict[str, SetTerms]:
    """Every set by its name."""
    found = connection.execute(select(ledger_meta.c.key, ledger_meta.c.value).where(ledger_meta.c.key.startswith(PREFIX, autoescape=True)))
    return {key.removeprefix(PREFIX): msgspec.json.decode(value, type=SetTerms) for key, value in found}


def add_to_set(engine: Engine, name: str, opinions: Sequence[Opinion], created_ms: int) -> None:
    """Adds the opinions in one transaction; those already there are left alone."""
    if not opinions:
        return
    rows = [_row(name, opinion, created_ms) for opinion in opinions]
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql(_ONE_ROW, rows)
        else:
            connection.execute(_INSERT, list(_named(rows)))
        touch_calls(connection, [opinion.call_id for opinion in opinions])


def _row(name: str, opinion: Opinion, created_ms: int) -> Row:
    role = set_role(name)
    return opinion_row(
        opinion.estimate,
        attempt_id=opinion.attempt_id,
        estimate_id=f"{opinion.attempt_id}:{role}",
        call_id=opinion.call_id,
        created_ms=created_ms,
        role=role,
    )


def _named(rows: Iterable[Row]) -> Iterable[dict[str, Any]]:
    return (dict(zip(ESTIMATES, row, strict=True)) for row in rows)
