"""Reads everything that a report is made of, of one instant. It must never write to a ledger."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import StartError
from proxy.ledger.cells import Cell, LengthClass, cells_of, lengths_of
from proxy.ledger.deliveries import AssetCell, Word, assets_of, words_of
from proxy.ledger.import_queries import Covered, coverage_of, imported_of
from proxy.ledger.policy_sums import PolicyCell, policies_of
from proxy.ledger.queries import (
    Facts,
    Opinions,
    Selection,
    Unweighed,
    facts_of,
    instead_of,
    key_of,
    opinion_of,
    opinion_rows,
    unweighed_of,
)
from proxy.ledger.reading import check_schema, open_engine
from proxy.ledger.rolled import read_rolled
from proxy.ledger.server import plainly
from proxy.ledger.tables import calls

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Calls grouped in one way. whole, opinions: as rollups have them.

    Else whole is None, and opinions are of days alone: the others are in the cells.
    """

    whole: Facts | None

    facts: Sequence[Facts]
    unweighed: Sequence[Unweighed]
    opinions: Sequence[Opinions]


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What one period sums up to."""

    whole: Facts
    unweighed: Sequence[Unweighed]
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What to read. cell_tags: tags that cells are told apart by; asset_tags: tags that assets are; groups: ways to group, by name."""

    selection: Selection
    previous: Selection | None
    cell_tags: tuple[str, ...]
    asset_tags: tuple[str, ...]
    groups: Mapping[str, Selection]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Everything that a report is made of. compared: nothing where the report is of some tags alone: providers do not know them."""

    now: Period
    before: Period | None
    groups: Mapping[str, Group]
    instead: Mapping[str, int]
    policies: Sequence[PolicyCell]
    assets: Sequence[AssetCell]
    words: Sequence[Word]
    lengths: Sequence[LengthClass]
    imported_calls: int
    compared: Sequence[Covered]


def read_extent(url: str) -> tuple[int, int] | None:
    """When the first and the last call of the ledger began, None for an empty one. Raises StartError."""
    return _reading(url, _extent)


def read_report(url: str, asked: Asked) -> Read:
    """The sums. Raises StartError when there is no ledger at the URL, or it cannot be read."""
    return _reading(url, lambda connection: _read(connection, asked))


def _reading(url: str, read: Callable[[Connection], Found]) -> Found:
    check_schema(url)
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            return read(connection)
    except SQLAlchemyError as error:
        raise StartError(f"cannot read the ledger at {engine.url!r}: {plainly(error)}; `grammage db check` says more") from error
    finally:
        engine.dispose()


def _extent(connection: Connection) -> tuple[int, int] | None:
    first, last = connection.execute(select(func.min(calls.c.started_ms), func.max(calls.c.started_ms))).one()
    return None if first is None else (first, last)


def _read(connection: Connection, asked: Asked) -> Read:
    selection = asked.selection
    return Read(
        now=_period(connection, selection, asked.cell_tags),
        before=None if asked.previous is None else _period(connection, asked.previous, ()),
        groups={name: _group(connection, each) for name, each in asked.groups.items()},
        instead=instead_of(connection, selection),
        policies=policies_of(connection, selection),
        assets=assets_of(connection, selection, asked.asset_tags),
        words=words_of(connection),
        lengths=lengths_of(connection, selection),
        imported_calls=imported_of(connection, selection).calls_counted,
        compared=() if selection.tags else coverage_of(connection, selection.since_ms, selection.until_ms),
    )


def _period(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> Period:
    whole = literal("all")
    (facts,) = facts_of(connection, selection, whole)
    return Period(whole=facts, unweighed=unweighed_of(connection, selection, whole), cells=cells_of(connection, selection, tag_names))


def _group(connection: Connection, selection: Selection) -> Group:
    """From the rollups where these hold it, which is the same and costs little."""
    rolled = read_rolled(connection, selection)
    if rolled is not None:
        return Group(whole=rolled.whole, facts=rolled.groups, unweighed=rolled.unweighed, opinions=rolled.opinions)
    key = key_of(selection)
    return Group(
        whole=None,
        facts=facts_of(connection, selection, key),
        unweighed=unweighed_of(connection, selection, key),
        opinions=[opinion_of(row) for row in opinion_rows(connection, selection, key)] if selection.by == "day" else (),
    )
