"""Writes into the packed tables for all who write beside the proxy: imports, sets, upgrades. It must never run on the hot path."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from proxy.ledger.columns import ATTEMPTS, CALLS, ESTIMATES, TABLES
from proxy.ledger.kept_columns import CALL_KIND, KEPT_TABLES, KINDS_OF, SWEEP_LOCK, SWEPT
from proxy.ledger.pack import Kept, Packer, number_of
from proxy.ledger.server import put_kinds, put_rows
from proxy.ledger.sqlite import insert_or_ignore
from proxy.ledger.tables import (
    METADATA,
    attempt_kinds,
    call_kinds,
    estimate_kinds,
    kept_attempts,
    kept_calls,
    kept_estimates,
    ledger_meta,
    tag_sets,
)

_ORDER: Final = {"calls": CALLS, "attempts": ATTEMPTS, "estimates": ESTIMATES}
_HELD_BY: Final = (
    (call_kinds, kept_calls.c.kind_id),
    (tag_sets, kept_calls.c.tag_set),
    (attempt_kinds, kept_attempts.c.kind_id),
    (estimate_kinds, kept_estimates.c.kind_id),
)


def add_rows(transaction: Connection, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Rows of `calls`, `attempts` and `estimates` by column name; those whose key is there already are left alone."""
    packer = Packer()
    hold_kinds(transaction)
    found = {name: [tuple(row.get(column) for column in columns) for row in rows.get(name, ())] for name, columns in _ORDER.items()}
    attempts, media = packer.attempts(found["attempts"])
    packed = {
        "kept_calls": packer.calls(found["calls"]),
        "kept_attempts": attempts,
        "attempt_media": media,
        "kept_estimates": packer.estimates(found["estimates"]),
    }
    write_kinds(transaction, packer)
    for table, made in packed.items():
        write_rows(transaction, table, made)


def add_beside(transaction: Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows of another table by column name; those whose key is there already are left alone."""
    adding = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    whole = [{name: row.get(name) for name in TABLES[table]} for row in rows]
    if whole:
        transaction.execute(adding(METADATA.tables[table]).on_conflict_do_nothing(), whole)


def write_kinds(transaction: Connection, packer: Packer) -> None:
    """What the rows that were packed say alike; before they are written."""
    if transaction.dialect.name != "sqlite":
        put_kinds(transaction, packer)
        return
    for table, kinds in packer.fresh.items():
        if kinds:
            transaction.exec_driver_sql(insert_or_ignore(table, KINDS_OF[table], 1), list(kinds.values()))


def write_rows(transaction: Connection, table: str, rows: Sequence[Kept]) -> None:
    """Packed rows of a table."""
    if transaction.dialect.name != "sqlite":
        put_rows(transaction, table, rows)
    elif rows:
        transaction.exec_driver_sql(insert_or_ignore(table, KEPT_TABLES[table], 1), list(rows))


def hold_kinds(transaction: Connection) -> None:
    """Until the transaction ends nobody takes kinds out; SQLite has one writer anyway."""
    if transaction.dialect.name == "postgresql":
        transaction.execute(text(f"SELECT pg_advisory_xact_lock_shared({SWEEP_LOCK})"))


def change_kinds(transaction: Connection, call_ids: Sequence[bytes], to: Mapping[str, object]) -> None:
    """Gives calls kinds in which some columns say something else; the old kinds stay until they are swept out."""
    hold_kinds(transaction)
    used = select(kept_calls.c.kind_id).where(kept_calls.c.call_id.in_(call_ids)).distinct()
    for row in transaction.execute(select(call_kinds).where(call_kinds.c.kind_id.in_(used))).mappings().all():
        values = tuple(to.get(name, row[name]) for name in CALL_KIND)
        number = number_of(values)
        if number == row["kind_id"]:
            continue
        _add_kind(transaction, number, values)
        own = kept_calls.c.call_id.in_(call_ids)
        transaction.execute(update(kept_calls).where(own, kept_calls.c.kind_id == row["kind_id"]).values(kind_id=number))


def _add_kind(transaction: Connection, number: int, values: Kept) -> None:
    adding = sqlite.insert if transaction.dialect.name == "sqlite" else postgresql.insert
    kind = dict(zip(KINDS_OF["call_kinds"], (number, *values), strict=True))
    transaction.execute(adding(call_kinds).on_conflict_do_nothing(), kind)


def has_spare_kinds(snapshot: Connection) -> bool:
    """Whether there are kinds that no row is of any more."""
    return any(snapshot.execute(select(kinds).where(_is_spare(kinds, held)).limit(1)).first() for kinds, held in _HELD_BY)


def _is_spare(kinds: Table, held: ColumnElement[int]) -> ColumnElement[bool]:
    return next(iter(kinds.c)).not_in(select(held).distinct())


def sweep_kinds(transaction: Connection) -> None:
    """Takes out the kinds and tag sets that no row is of any more; who writes is told of it and writes its kinds again."""
    if transaction.dialect.name == "postgresql":
        transaction.execute(text(f"SELECT pg_advisory_xact_lock({SWEEP_LOCK})"))
    for kinds, held in _HELD_BY:
        transaction.execute(delete(kinds).where(_is_spare(kinds, held)))
    swept = transaction.execute(select(ledger_meta.c.value).where(ledger_meta.c.key == SWEPT)).scalar()
    transaction.execute(delete(ledger_meta).where(ledger_meta.c.key == SWEPT))
    transaction.execute(insert(ledger_meta).values(key=SWEPT, value=str(int(swept or 0) + 1)))
