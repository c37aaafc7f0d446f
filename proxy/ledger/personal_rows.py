"""Reads what the ledger holds of an end user or a caller, table by table. It must never hold more than one batch of it."""

from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select

from proxy.ledger.columns import KEYS, TABLES
from proxy.ledger.personal import BY_ATTEMPT, BY_CALL, BY_CALLER, BY_NAME, NOT_EXPORTED, Whom
from proxy.ledger.tables import METADATA, attempts, calls

ROWS_AT_ONCE: Final = 1_000
Row = dict[str, Any]


def is_of(whom: Whom) -> ColumnElement[bool]:
    """The calls of an end user or a caller."""
    if whom.scope == "user":
        return or_(False, *(and_(calls.c.user_hash == digest, calls.c.user_hash_key_id == secret_id) for secret_id, digest in whom.hashes))
    return calls.c.caller_id == whom.caller_id


def tables_of(whom: Whom) -> tuple[str, ...]:
    """The tables that can hold something of them, calls first."""
    of_caller = () if whom.scope == "user" else (*sorted(BY_CALLER), *(sorted(BY_NAME) if whom.scope == "key" else ()))
    return ("calls", *(name for name in BY_CALL if name != "calls"), *sorted(BY_ATTEMPT), *of_caller)


def rows_of_person(connection: Connection, whom: Whom, table: str) -> Iterator[Row]:
    """The table's rows of them, as they stand; a digest that would help to break in is left out."""
    columns = [METADATA.tables[table].c[name] for name in TABLES[table] if name not in NOT_EXPORTED.get(table, ())]
    statement = select(*columns).where(_belongs(table, whom)).order_by(*(METADATA.tables[table].c[name] for name in KEYS[table]))
    found = connection.execution_options(yield_per=ROWS_AT_ONCE).execute(statement)
    for row in found.mappings():
        yield dict(row)


def unsearched(connection: Connection, whom: Whom) -> dict[str, int]:
    """Calls whose user was hashed with a secret that is not known here, by that secret's id: they were not looked at."""
    if whom.scope != "user":
        return {}
    known = [secret_id for secret_id, _ in whom.hashes]
    secret_id = calls.c.user_hash_key_id
    statement = select(secret_id, func.count()).where(calls.c.user_hash.is_not(None), secret_id.not_in(known)).group_by(secret_id)
    return {str(found): int(count) for found, count in connection.execute(statement)}


def callers_of_user(connection: Connection, whom: Whom) -> tuple[str, ...]:
    """The keys under which an end user called."""
    return tuple(connection.execute(select(calls.c.caller_id).where(is_of(whom)).distinct()).scalars())


def _belongs(table: str, whom: Whom) -> ColumnElement[bool]:
    own: Select[Any] = select(calls.c.call_id).where(is_of(whom))
    columns = METADATA.tables[table].c
    if table == "calls":
        return is_of(whom)
    if table in BY_CALLER:
        return columns.caller_id == whom.caller_id
    if table in BY_NAME:
        return columns.name == whom.caller_id
    if table in BY_ATTEMPT:
        return columns.attempt_id.in_(select(attempts.c.attempt_id).where(attempts.c.call_id.in_(own)))
    return columns.call_id.in_(own)
