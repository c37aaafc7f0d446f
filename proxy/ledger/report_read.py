"""Reads everything that a report is made of, of one instant. It must never write to a ledger."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, func, literal, select
from sqlalchemy.exc import SQLAlchemyError

from proxy.errors import CallsGone, StartError
from proxy.ledger.cells import Cell, cells_of, media_of, with_media
from proxy.ledger.deliveries import NO_ASSETS, Assets, Word, assets_of, words_of
from proxy.ledger.details import NO_DETAILS, Details, details_of
from proxy.ledger.import_queries import NOT_IMPORTED, Covered, Imported, coverage_of, imported_of
from proxy.ledger.months import NO_MONTHS, Months, months_of
from proxy.ledger.observed_queries import observed_of
from proxy.ledger.own_past import own_rows
from proxy.ledger.own_store import OwnRow
from proxy.ledger.policy_sums import PolicyCell, policies_of
from proxy.ledger.prune import pruned_before_ms, refuse_pruned
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
from proxy.ledger.rolled_cells import rolled_cells
from proxy.ledger.rollup_columns import HOUR_MS
from proxy.ledger.server import plainly
from proxy.ledger.tables import calls, rollups_hour

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Calls grouped in one way."""

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
    """What to read. cell_tags: tags that cells are told apart by; detail_tags: those that details and assets are; groups: ways to group.

    own: from when on and until when what the proxy itself weighed is read, None: as far as is known.
    """

    selection: Selection
    previous: Selection | None
    cell_tags: tuple[str, ...]
    detail_tags: tuple[str, ...]
    groups: Mapping[str, Selection]
    own: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Everything that a report is made of. compared, months: nothing where the report is of some tags alone: providers do not know them.

    pruned_before_ms: until when single calls of the period may be missing, None: none is. Where some are, there are no details, assets,
    policies and imports, and no groups by a tag that no sums are kept by.
    own: what the proxy itself weighed; nothing where the report is of some tags alone: it works for all of them.
    """

    now: Period
    before: Period | None
    groups: Mapping[str, Group]
    instead: Mapping[str, int]
    policies: Sequence[PolicyCell]
    assets: Assets
    words: Sequence[Word]
    details: Details
    imported: Imported
    observed_calls: int
    compared: Sequence[Covered]
    months: Months
    own: Sequence[OwnRow]
    pruned_before_ms: int | None = None
    is_before_gone: bool = False


def read_extent(url: str) -> tuple[int, int] | None:
    """When the first and the last call of the ledger began, None for an empty one. Raises StartError."""
    return _reading(url, _extent)


def read_report(url: str, asked: Asked) -> Read:
    """The sums. Raises StartError when there is no ledger at the URL, or it cannot be read."""
    return _reading(url, lambda connection: _read(connection, asked))


def _reading(url: str, read: Callable[[Connection], Found]) -> Found:
    check_schema(url)
    engine = open_engine(url, is_mapped=True)
    try:
        with engine.begin() as connection:
            return read(connection)
    except SQLAlchemyError as error:
        raise StartError(f"cannot read the ledger at {engine.url!r}: {plainly(error)}; `grammage db check` says more") from error
    finally:
        engine.dispose()


def _extent(connection: Connection) -> tuple[int, int] | None:
    """With the hours of calls that are kept in sums alone."""
    first, last = connection.execute(select(func.min(calls.c.started_ms), func.max(calls.c.started_ms))).one()
    summed, ended = connection.execute(select(func.min(rollups_hour.c.bucket_ms), func.max(rollups_hour.c.last_ms))).one()
    hour = None if summed is None else summed // HOUR_MS * HOUR_MS
    if first is None or (hour is not None and hour < first // HOUR_MS * HOUR_MS):
        return None if hour is None else (hour, max(last or ended, ended))
    return (first, last)


def _read(connection: Connection, asked: Asked) -> Read:
    selection = asked.selection
    pruned = pruned_before_ms(connection)
    is_cut = bool(pruned) and (selection.since_ms is None or selection.since_ms < pruned)
    details = NO_DETAILS if is_cut else details_of(connection, selection, asked.detail_tags)
    before = None if asked.previous is None else _before(connection, asked.previous)
    groups = {name: _group(connection, each, is_cut) for name, each in asked.groups.items()}
    return Read(
        now=_period(connection, selection, asked.cell_tags),
        before=before,
        is_before_gone=before is None and asked.previous is not None,
        groups={name: group for name, group in groups.items() if group is not None},
        instead=_instead(connection, selection),
        policies=() if is_cut else policies_of(connection, selection),
        assets=NO_ASSETS if is_cut else assets_of(connection, selection, asked.detail_tags),
        words=words_of(connection),
        details=details,
        imported=NOT_IMPORTED if is_cut else imported_of(connection, selection),
        observed_calls=0 if is_cut else observed_of(connection, selection),
        compared=() if selection.tags else coverage_of(connection, selection.since_ms, selection.until_ms),
        months=NO_MONTHS if selection.tags else months_of(connection, selection, is_cut=is_cut),
        own=() if selection.tags else own_rows(connection, *asked.own),
        pruned_before_ms=pruned if is_cut else None,
    )


def _before(connection: Connection, selection: Selection) -> Period | None:
    """The period before; None where calls that are gone are needed: that leaves the rest of the report as it is."""
    try:
        return _period(connection, selection, ())
    except CallsGone:
        return None


def _period(connection: Connection, selection: Selection, tag_names: Sequence[str]) -> Period:
    """From the rollups where these hold it, which is the same and costs little. Raises StartError where calls that are gone are needed."""
    sums, cells = read_rolled(connection, selection), rolled_cells(connection, selection, tag_names)
    media = media_of(connection, selection)
    if sums is not None and cells is not None:
        return Period(whole=sums.whole, unweighed=sums.unweighed, cells=with_media(cells, media))
    refuse_pruned(connection, selection.since_ms)
    whole = literal("all")
    (facts,) = facts_of(connection, selection, whole)
    scanned = cells_of(connection, selection, tag_names)
    return Period(whole=facts, unweighed=unweighed_of(connection, selection, whole), cells=with_media(scanned, media))


def _group(connection: Connection, selection: Selection, is_cut: bool) -> Group | None:
    """As above; None where calls that are gone are needed."""
    rolled = read_rolled(connection, selection)
    if rolled is not None:
        return Group(facts=rolled.groups, unweighed=rolled.unweighed, opinions=rolled.opinions)
    if is_cut:
        return None
    key = key_of(selection)
    return Group(
        facts=facts_of(connection, selection, key),
        unweighed=unweighed_of(connection, selection, key),
        opinions=[opinion_of(row) for row in opinion_rows(connection, selection, key)],
    )


def _instead(connection: Connection, selection: Selection) -> Mapping[str, int]:
    rolled = read_rolled(connection, selection)
    return instead_of(connection, selection) if rolled is None else rolled.instead
