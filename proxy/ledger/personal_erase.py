"""Takes out of the ledger what leads to a person, the one edit of a recorded call that it permits. It must never change a figure."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, Table, insert, select, text, update

from proxy.ledger.changing import Hands
from proxy.ledger.ids import id_bytes
from proxy.ledger.kept_columns import CALL_KIND, KEPT_CALLS
from proxy.ledger.key_store import MARKER
from proxy.ledger.packed_store import change_kinds, sweep_kinds
from proxy.ledger.personal import ERASED, ERASED_COLUMNS, PREFIX, PROVIDER_IDS, LiveKey, Scope, Whom
from proxy.ledger.personal_rows import callers_of_user, is_of, unsearched
from proxy.ledger.retagging import PREFIX as RETAGS
from proxy.ledger.retagging import Act
from proxy.ledger.tables import asset_verdicts, call_kinds, calls, issued_keys, kept_attempts, kept_calls, ledger_meta

CALLS_AT_ONCE: Final = 500
"""Calls of one transaction: no proxy waits long for it."""

_OF_PEOPLE: Final = ("name", "note", "tags", "brands")


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger remembers of an erasure: its kind and how much, never of whom."""

    scope: Scope
    calls: int
    verdicts: int
    keys: int
    provider_ids: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What an erasure is about: calls, words on assets, issued keys; calls hashed with secrets not known here, by their ids.

    callers: the keys under which an end user called.
    """

    calls: int
    verdicts: int
    keys: int
    unsearched: dict[str, int]
    callers: tuple[str, ...]


def found(hands: Hands, whom: Whom) -> Found:
    """What there is of them."""
    with hands.reader.begin() as snapshot:
        return Found(
            calls=len(_ids(snapshot, whom)),
            verdicts=len(_verdicts(snapshot, whom)),
            keys=len(_keys(snapshot, whom)),
            unsearched=unsearched(snapshot, whom),
            callers=callers_of_user(snapshot, whom) if whom.scope == "user" else (str(whom.caller_id),),
        )


def erase(hands: Hands, whom: Whom, now_ms: int, *, provider_ids: bool = False) -> tuple[int | None, Erasure]:
    """Erases, and says so in the ledger; when that was recorded (None: there was nothing), and how much it was.

    Done in short transactions, each of which keeps the record true: what is stopped halfway is gone on with by doing it again.
    Raises LiveKey, before anything is changed.
    """
    with hands.reader.begin() as snapshot:
        ids, verdicts, keys = _ids(snapshot, whom), _verdicts(snapshot, whom), _keys(snapshot, whom, now_ms)
    done = Erasure(scope=whom.scope, calls=0, verdicts=0, keys=0, provider_ids=provider_ids)
    if not (ids or verdicts or keys):
        return None, done
    with hands.writer.begin() as transaction:
        number = _begin(transaction, done, now_ms)
    for at in range(0, len(ids), CALLS_AT_ONCE):
        batch = ids[at : at + CALLS_AT_ONCE]
        done = msgspec.structs.replace(done, calls=done.calls + len(batch))
        with hands.writer.begin() as transaction:
            _erase_calls(transaction, whom, batch, provider_ids)
            _tell(transaction, number, done)
    done = msgspec.structs.replace(done, verdicts=len(verdicts), keys=len(keys))
    with hands.writer.begin() as transaction:
        _erase_caller(transaction, whom, keys, number)
        _tell(transaction, number, done)
    with hands.writer.begin() as transaction:
        sweep_kinds(transaction)
    _sweep_up(hands.writer, (kept_calls, kept_attempts, call_kinds, asset_verdicts, issued_keys, ledger_meta))
    return number, done


def erasures(hands: Hands) -> dict[int, Erasure]:
    """Every erasure, by when it was, in ms since 1970 UTC."""
    with hands.reader.begin() as snapshot:
        rows = snapshot.execute(select(ledger_meta.c.key, ledger_meta.c.value).where(ledger_meta.c.key.startswith(PREFIX, autoescape=True)))
        return {int(key.removeprefix(PREFIX)): msgspec.json.decode(value, type=Erasure) for key, value in rows}


def _ids(connection: Connection, whom: Whom) -> list[str]:
    return sorted(connection.execute(select(calls.c.call_id).where(is_of(whom))).scalars())


def _verdicts(connection: Connection, whom: Whom) -> list[str]:
    if whom.scope == "user":
        return []
    said = asset_verdicts.c
    return list(connection.execute(select(said.verdict_id).where(said.caller_id == whom.caller_id)).scalars())


def _keys(connection: Connection, whom: Whom, now_ms: int | None = None) -> list[str]:
    """Ids of the issued keys of that name. now_ms: raises LiveKey where one still works then."""
    if whom.scope != "key":
        return []
    kept = issued_keys.c
    statement = select(kept.key_id, kept.revoked_ms, kept.expires_ms).where(kept.name == whom.caller_id)
    rows = connection.execute(statement).all()
    ends = [min((end for end in (row.revoked_ms, row.expires_ms) if end is not None), default=None) for row in rows]
    if now_ms is not None and any(end is None or end > now_ms for end in ends):
        raise LiveKey
    return [str(row.key_id) for row in rows]


def _erase_calls(transaction: Connection, whom: Whom, ids: Sequence[str], provider_ids: bool) -> None:
    own = [id_bytes(call_id) for call_id in ids]
    of_row: dict[str, Any] = {name: None for name in ERASED_COLUMNS if name in KEPT_CALLS}
    transaction.execute(update(kept_calls).where(kept_calls.c.call_id.in_(own)).values(**of_row))
    of_kind = {name: None for name in ERASED_COLUMNS if name in CALL_KIND} | ({} if whom.scope == "user" else {"caller_id": ERASED})
    change_kinds(transaction, own, of_kind)
    if provider_ids:
        transaction.execute(update(kept_attempts).where(kept_attempts.c.call_id.in_(own)).values(**dict.fromkeys(PROVIDER_IDS)))


def _erase_caller(transaction: Connection, whom: Whom, keys: Sequence[str], number: int) -> None:
    if whom.scope == "user":
        return
    transaction.execute(update(asset_verdicts).where(asset_verdicts.c.caller_id == whom.caller_id).values(caller_id=ERASED))
    for key_id in keys:
        name = f"{ERASED}-{key_id}"
        blank = {"name": name, "hash": sha256(name.encode()).hexdigest(), "hint": ERASED, "terms": _terms(transaction, key_id)}
        transaction.execute(update(issued_keys).where(issued_keys.c.key_id == key_id).values(**blank))
    transaction.execute(update(ledger_meta).where(ledger_meta.c.key == MARKER).values(value=f"{ERASED}-{number}"))
    _erase_in_rules(transaction, str(whom.caller_id))


def _terms(transaction: Connection, key_id: str) -> str:
    """The terms of a key less what may name somebody."""
    terms = msgspec.json.decode(transaction.execute(select(issued_keys.c.terms).where(issued_keys.c.key_id == key_id)).scalar_one())
    return msgspec.json.encode({name: value for name, value in terms.items() if name not in _OF_PEOPLE}).decode()


def _erase_in_rules(transaction: Connection, caller_id: str) -> None:
    """The name in the rules by which calls were given other tags."""
    rows = transaction.execute(select(ledger_meta.c.key, ledger_meta.c.value).where(ledger_meta.c.key.startswith(RETAGS, autoescape=True)))
    for key, value in rows.all():
        act = msgspec.json.decode(value, type=Act)
        if act.where is None or caller_id not in act.where.keys:
            continue
        names = tuple(ERASED if name == caller_id else name for name in act.where.keys)
        changed = msgspec.structs.replace(act, where=msgspec.structs.replace(act.where, keys=names))
        transaction.execute(update(ledger_meta).where(ledger_meta.c.key == key).values(value=msgspec.json.encode(changed).decode()))


def _begin(transaction: Connection, done: Erasure, now_ms: int) -> int:
    keys = transaction.execute(select(ledger_meta.c.key).where(ledger_meta.c.key.startswith(PREFIX, autoescape=True))).scalars()
    number = max(now_ms, *(int(key.removeprefix(PREFIX)) + 1 for key in keys), 0)
    transaction.execute(insert(ledger_meta).values(key=f"{PREFIX}{number:014d}", value=msgspec.json.encode(done).decode()))
    return number


def _tell(transaction: Connection, number: int, done: Erasure) -> None:
    changed = update(ledger_meta).where(ledger_meta.c.key == f"{PREFIX}{number:014d}").values(value=msgspec.json.encode(done).decode())
    transaction.execute(changed)


def _sweep_up(writer: Engine, tables: Sequence[Table]) -> None:
    """Nothing of the old rows stays in the files of the database: not in its log, nor between its rows."""
    if writer.dialect.name == "sqlite":
        with closing(writer.raw_connection()) as connection:
            connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return
    with writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            connection.execute(text(f"VACUUM {table.name}"))
