"""Gives recorded calls another tag by rows of their own, of which the newest counts. It must never touch a call, nor an earlier row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, literal, or_, select

from proxy.ledger.changing import Hands
from proxy.ledger.queries import UNASSIGNED, tag_of
from proxy.ledger.tables import NO_KNOWN_CALL, attempts, calls, ledger_meta, retags
from proxy.ledger.touch import touch_calls

PREFIX: Final = "retag."
CALLS_AT_ONCE: Final = 1_000
"""Calls of one transaction: no proxy waits long for it."""

ANY_REST: Final = "*"


class Where(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which calls: all that is named holds, of several words one. until_ms is excluded; a trailing `*` of alias or model: any rest."""

    since_ms: int | None = None
    until_ms: int | None = None
    keys: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    tags: dict[str, tuple[str, ...]] = {}


class Act(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was done at once: by which rule, or which earlier act it took back (its number)."""

    name: str | None = None
    where: Where | None = None
    to: dict[str, str] = {}
    undid: int | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An act as it stands in the ledger. number: when it was, in ms since 1970 UTC, and what it is named by."""

    number: int
    act: Act
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """So many calls went from one value of a tag to another; `unassigned`: none."""

    tag: str
    before: str
    after: str
    calls: int


def moves(hands: Hands, act: Act) -> list[Moved]:
    """What the rule of the act would move, and does not."""
    with hands.reader.begin() as snapshot:
        return _moves(snapshot, act)


def retag(hands: Hands, act: Act, now_ms: int) -> tuple[int | None, list[Moved]]:
    """Moves the calls; the number of the act (None: there was nothing to move), and what went where. Done twice, it moves nothing."""
    with hands.reader.connect().execution_options(yield_per=CALLS_AT_ONCE) as connection, connection.begin():
        found = _moves(connection, act)
        number = _begin(hands, act, now_ms) if found else None
        if number is not None:
            for name, value in act.to.items():
                statement = _rows_to_move(act, name, value)
                _write(hands, number, name, connection.execute(statement).partitions(), value="" if value == UNASSIGNED else value)
    return number, found


def undo(hands: Hands, number: int, now_ms: int) -> tuple[int | None, int]:
    """Gives the calls of an act back what they had before it, unless something later moved them; the new act's number, and its rows."""
    written, begun = 0, None
    with hands.reader.connect().execution_options(yield_per=CALLS_AT_ONCE) as connection, connection.begin():
        names = list(connection.execute(select(retags.c.name).where(retags.c.created_ms == number).distinct()).scalars())
        for name in names:
            for rows in connection.execute(_rows_to_give_back(number, name)).partitions():
                begun = _begin(hands, Act(undid=number), now_ms) if begun is None else begun
                written += _write(hands, begun, name, iter([rows]))
    return begun, written


def acts(hands: Hands) -> list[Done]:
    """Everything that was done, oldest first."""
    with hands.reader.begin() as snapshot:
        kept = snapshot.execute(select(ledger_meta.c.key, ledger_meta.c.value).where(ledger_meta.c.key.startswith(PREFIX, autoescape=True)))
        told = {int(key.removeprefix(PREFIX)): msgspec.json.decode(value, type=Act) for key, value in kept}
        rows = snapshot.execute(select(retags.c.created_ms, func.count()).group_by(retags.c.created_ms))
        counted = {int(number): int(count) for number, count in rows}
    return [Done(number=number, act=told[number], rows=counted.get(number, 0)) for number in sorted(told)]


def _moves(connection: Connection, act: Act) -> list[Moved]:
    found = []
    for name, value in act.to.items():
        before = tag_of(name)
        whose = func.coalesce(func.nullif(calls.c.origin_call_id, NO_KNOWN_CALL), calls.c.call_id)
        counted = select(before.label("before"), func.count(whose.distinct())).where(_holds(act.where), before != value)
        found += [Moved(tag=name, before=old, after=value, calls=count) for old, count in connection.execute(counted.group_by(before))]
    return sorted(found, key=lambda move: (move.tag, -move.calls, move.before))


def _rows_to_move(act: Act, name: str, value: str) -> Select[Any]:
    return select(calls.c.call_id).where(_holds(act.where), tag_of(name) != value)


def _rows_to_give_back(number: int, name: str) -> Select[Any]:
    """The calls whose newest tag is still the act's, each with what it had before."""
    later, earlier = retags.alias("later"), retags.alias("earlier")
    own = retags.join(calls, calls.c.call_id == retags.c.call_id)
    before = (
        select(earlier.c.value)
        .where(_of_call(earlier), earlier.c.name == name, earlier.c.created_ms < number)
        .order_by(earlier.c.created_ms.desc())
        .limit(1)
        .correlate(calls)
        .scalar_subquery()
    )
    is_older = select(literal(1)).where(_of_call(later), later.c.name == name, later.c.created_ms > number).correlate(calls).exists()
    had = func.coalesce(before, calls.c.tags[name].as_string(), "")
    return select(calls.c.call_id, had).select_from(own).where(retags.c.created_ms == number, retags.c.name == name, ~is_older)


def _of_call(rows: Any) -> ColumnElement[bool]:
    return or_(rows.c.call_id == calls.c.call_id, rows.c.call_id == calls.c.origin_call_id)


def _holds(where: Where | None) -> ColumnElement[bool]:
    where = where or Where()
    served = select(literal(1)).where(attempts.c.call_id == calls.c.call_id, _named(attempts.c.model, where.models)).correlate(calls)
    conditions = (
        (where.since_ms is not None, calls.c.started_ms >= (where.since_ms or 0)),
        (where.until_ms is not None, calls.c.started_ms < (where.until_ms or 0)),
        (where.keys, calls.c.caller_id.in_(where.keys)),
        (where.aliases, _named(calls.c.alias, where.aliases)),
        (where.models, served.exists()),
        (where.operations, calls.c.operation.in_(where.operations)),
        *((True, tag_of(name).in_(values)) for name, values in where.tags.items()),
    )
    return and_(True, *(condition for is_named, condition in conditions if is_named))


def _named(column: ColumnElement[str], words: Sequence[str]) -> ColumnElement[bool]:
    begins = (column.startswith(word.removesuffix(ANY_REST), autoescape=True) for word in words if word.endswith(ANY_REST))
    return or_(column.in_([word for word in words if not word.endswith(ANY_REST)]), *begins)


def _begin(hands: Hands, act: Act, now_ms: int) -> int:
    """The number of an act, later than every row there is: what counts does not hang on a clock."""
    with hands.writer.begin() as transaction:
        newest = transaction.execute(select(func.max(retags.c.created_ms))).scalar()
        acts_newest = transaction.execute(
            select(func.max(ledger_meta.c.key)).where(ledger_meta.c.key.startswith(PREFIX, autoescape=True))
        ).scalar()
        number = max(now_ms, (newest or 0) + 1, int((acts_newest or f"{PREFIX}0").removeprefix(PREFIX)) + 1)
        transaction.execute(insert(ledger_meta).values(key=f"{PREFIX}{number:014d}", value=msgspec.json.encode(act).decode()))
        return number


def _write(hands: Hands, number: int, name: str, batches: Iterator[Sequence[Any]], value: str | None = None) -> int:
    """The rows, and the hours in which they are: rollups sum those anew. value None: each row brings its own."""
    written = 0
    for rows in batches:
        made = [{"call_id": row[0], "name": name, "created_ms": number, "value": row[1] if value is None else value} for row in rows]
        with hands.writer.begin() as transaction:
            transaction.execute(insert(retags), made)
            touch_calls(transaction, [row["call_id"] for row in made])
        written += len(made)
    return written
