"""Which part of a period is read from rollups and which from calls. It must never take an hour from a rollup that is behind it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sqlalchemy import Connection, select

from proxy.ledger.prune import SEALED_MS, pruned_before_ms
from proxy.ledger.queries import Selection
from proxy.ledger.roll import touched_in
from proxy.ledger.rollup_columns import DAY_MS, HOUR_MS, LIVE, ROLLED_TAGS
from proxy.ledger.tables import rollups_day, rollups_hour

MOST_PARTS: Final = 60
"""Pieces of a period that are read from calls one by one; from more of them on, the whole of it is."""
FIRST_MS: Final = -(10**9) * HOUR_MS
END_MS: Final = 10**9 * HOUR_MS

BY_ATTEMPT: Final = {"model": "calls_by_model", "provider": "calls_by_provider", "zone": "calls_by_zone"}
_BY_CALL: Final = frozenset({"operation", "policy"})

Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each part of a period is read: whole days and hours from rollups, the rest from calls; in ms, ends excluded."""

    days: tuple[Range, ...]
    hours: tuple[Range, ...]
    calls: tuple[Range, ...]


def can_roll(selection: Selection) -> bool:
    """Whether rollups hold what the selection asks for."""
    tags = [name for name, _ in selection.tags] + ([selection.tag_name] if selection.by == "tag" else [])
    known = selection.by in ("tag", "day") or selection.by in BY_ATTEMPT or selection.by in _BY_CALL
    whole_hours = all(offset_ms % HOUR_MS == 0 and since_ms % HOUR_MS == 0 for since_ms, offset_ms in selection.offsets)
    return selection.method is None and known and whole_hours and all(name in ROLLED_TAGS for name in tags)


def planned(snapshot: Connection, selection: Selection) -> Plan | None:
    """Where the selection is read; None: from the calls alone."""
    if not can_roll(selection):
        return None
    since = FIRST_MS if selection.since_ms is None else selection.since_ms
    until = END_MS if selection.until_ms is None else selection.until_ms
    first, end = -(-since // HOUR_MS) * HOUR_MS, until // HOUR_MS * HOUR_MS
    pruned = pruned_before_ms(snapshot)
    if first >= end or any(edge % HOUR_MS and edge < pruned for edge in (since, until)):
        return None
    unset = _not_in_set(snapshot, selection.estimate_set)
    if any(first <= hour < min(end, pruned) for hour in unset):
        return None
    fresh = {hour * HOUR_MS for hour in touched_in(snapshot)} | unset
    rolled = _without([(first, end)], ((hour, hour + HOUR_MS) for hour in fresh))
    days = (
        [] if selection.offsets else [day for day in _days(snapshot, selection) if any(a <= day and day + DAY_MS <= b for a, b in rolled)]
    )
    whole_days = _joined((day, day + DAY_MS) for day in days)
    sealed = ((hour + SEALED_MS, hour + SEALED_MS + 1) for hour in fresh if first <= hour < min(end, pruned))
    hours = [*_without(rolled, whole_days), *sealed]
    parts = _without([(since, until)], rolled)
    return Plan(tuple(whole_days), tuple(hours), tuple(parts)) if max(len(parts), len(hours), len(whole_days)) <= MOST_PARTS else None


def _days(snapshot: Connection, selection: Selection) -> list[int]:
    found = select(rollups_day.c.bucket_ms).where(rollups_day.c.estimate_set == (selection.estimate_set or LIVE)).distinct()
    return sorted(snapshot.execute(found).scalars())


def _not_in_set(snapshot: Connection, estimate_set: str | None) -> set[int]:
    """Hours in which the named set holds nothing: what is not in it is read from the calls."""
    if estimate_set is None:
        return set()
    hour = rollups_hour.c.bucket_ms // HOUR_MS * HOUR_MS
    holding = select(hour).where(rollups_hour.c.estimate_set == estimate_set)
    return set(snapshot.execute(select(hour).where(hour.not_in(holding)).distinct()).scalars())


def _joined(ranges: Iterable[Range]) -> list[Range]:
    """Sorted ranges, those that touch made one."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and found[-1][1] == start:
            found[-1] = (found[-1][0], end)
        else:
            found.append((start, end))
    return found


def _without(whole: Sequence[Range], holes: Iterable[Range]) -> list[Range]:
    """What the holes leave of sorted ranges."""
    left: list[Range] = []
    cut = _joined(holes)
    for start, end in whole:
        inner = [(max(a, start), min(b, end)) for a, b in cut if a < end and b > start]
        edges = [start, *(edge for hole in inner for edge in hole), end]
        left += [(a, b) for a, b in list(pairwise(edges))[::2] if a < b]
    return left
