"""Named sets of opinions beside those that count. It must never touch a row that is there: a set only grows."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine, select
from sqlalchemy.dialects.postgresql import insert

from estimators.estimate import Estimate
from proxy.ledger.columns import set_role
from proxy.ledger.ids import OWN, id_bytes
from proxy.ledger.pack import Packer
from proxy.ledger.packed_store import hold_kinds, write_kinds, write_rows
from proxy.ledger.sqlite import insert_or_ignore
from proxy.ledger.tables import ledger_meta
from proxy.ledger.touch import touch_calls

PREFIX: Final = "set."
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
    packer = Packer()
    role = set_role(name)
    rows = [packer.opinion(opinion.estimate, key=_key(opinion, role), created_ms=created_ms, role=role) for opinion in opinions]
    with engine.begin() as connection:
        hold_kinds(connection)
        write_kinds(connection, packer)
        write_rows(connection, "kept_estimates", rows)
        touch_calls(connection, [opinion.call_id for opinion in opinions])


def _key(opinion: Opinion, role: str) -> tuple[bytes, bytes, bytes]:
    """The id of the opinion follows from the attempt's and the set's name: weighing twice is weighing once."""
    attempt_id = OWN if opinion.attempt_id == opinion.call_id else id_bytes(opinion.attempt_id)
    return (id_bytes(opinion.call_id), attempt_id, id_bytes(f"{opinion.attempt_id}:{role}"))
