"""Decides which rows of a file are added, and how much of each. It must never write."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from config.providers import provider_id
from proxy.imports.identity import call_id, row_hash
from proxy.imports.match import (
    DAY_MS,
    IN_A_SUM,
    MAIN,
    SEEN_LIVE,
    TOLERANCE_MS,
    Candidate,
    grain_of,
    in_imported_sums,
    match_calls,
    rest_of_sums,
)
from proxy.imports.row import Row, SkippedRow, SpendRow, UsageRow
from proxy.imports.scales import Weigher
from proxy.imports.spends import months_later
from proxy.imports.told import Told
from proxy.ledger.import_ledger import ImportLedger

IMPORTED: Final = "imported_before"
TWICE: Final = "twice_in_file"
OTHER_FILE: Final = "same_tool_and_month_of_another_kind"
METERED: Final = "calls_of_this_provider_are_counted"
EMPTY: Final = "empty"
PRUNED: Final = "calls_of_its_time_were_pruned"
"""What the ledger held of that time is not known any more: the row may be in its sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A row to add: its id, its hash, the provider it is weighed at."""

    row: UsageRow | SpendRow
    call_id: str
    row_hash: str
    provider: str


class Planner:
    """Plans one file of one kind against one ledger."""

    def __init__(self, kind: str, ledger: ImportLedger, weigher: Weigher) -> None:
        self._kind = kind
        self._ledger = ledger
        self._weigher = weigher

    def plan(self, rows: Sequence[Row], told: Told) -> list[Planned]:
        """What is to be added; the rest is counted in `told`."""
        told.rows += len(rows)
        told.skipped.update(row.reason for row in rows if isinstance(row, SkippedRow))
        named = list(self._named(rows, told))
        known = self._ledger.known([each.call_id for each in named])
        told.matched[IMPORTED] += sum(each.call_id in known for each in named)
        return [*self._usages(named, known, told), *self._spends(named, known, told)]

    def _named(self, rows: Sequence[Row], told: Told) -> Iterator[Planned]:
        """Every row that says something, with its id, once."""
        copies: Counter[str] = Counter()
        ids: set[str] = set()
        pruned_ms = self._ledger.pruned_before_ms()
        for row in rows:
            if isinstance(row, SkippedRow):
                continue
            why = _nothing_to_add(row, pruned_ms)
            if why is not None:
                told.skipped[why] += 1
                continue
            first = row_hash(self._kind, row, 0)
            hashed = row_hash(self._kind, row, copies[first]) if copies[first] else first
            copies[first] += 1
            found = call_id(row.start_ms, hashed)
            if found in ids:
                told.skipped[TWICE] += 1
                continue
            ids.add(found)
            provider = self._weigher.provider_of(row) if isinstance(row, UsageRow) else provider_id(row.provider.strip().lower())
            yield Planned(row=row, call_id=found, row_hash=hashed, provider=provider)

    def _usages(self, named: Sequence[Planned], known: set[str], told: Told) -> Iterator[Planned]:
        by_id = {each.call_id: each for each in named if isinstance(each.row, UsageRow)}
        candidates = [
            Candidate(
                row=each.row,
                who=self._weigher.who(each.provider, each.row.model),
                call_id=each.call_id,
                row_hash=each.row_hash,
                is_known=each.call_id in known,
            )
            for each in by_id.values()
            if isinstance(each.row, UsageRow)
        ]
        for call, row in [*self._single(candidates, told), *self._sums(candidates, told)]:
            each = by_id[call]
            yield Planned(row=row, call_id=call, row_hash=each.row_hash, provider=each.provider)

    def _single(self, candidates: Sequence[Candidate], told: Told) -> Iterator[tuple[str, UsageRow]]:
        """Rows of one call that the ledger does not hold."""
        single = [each for each in candidates if not each.row.is_sum]
        fresh = [each for each in single if not each.is_known]
        if not fresh:
            return
        since, until = min(each.row.start_ms for each in fresh), max(each.row.start_ms for each in fresh) + 1
        seen = self._ledger.seen_calls(since - TOLERANCE_MS, until + TOLERANCE_MS)
        why = match_calls(single, seen, self._weigher.who)
        sums = self._ledger.seen_sums(since - since % DAY_MS, until - until % DAY_MS + DAY_MS, DAY_MS)
        why = dict.fromkeys(in_imported_sums(fresh, sums, self._weigher.who), IN_A_SUM) | why
        told.matched.update(why.values())
        yield from ((each.call_id, each.row) for each in fresh if each.call_id not in why)

    def _sums(self, candidates: Sequence[Candidate], told: Told) -> Iterator[tuple[str, UsageRow]]:
        """Rows of many calls, less what the ledger holds of them."""
        sums = [each for each in candidates if each.row.is_sum]
        if all(each.is_known for each in sums):
            return
        since, until = min(each.row.start_ms for each in sums), max(each.row.end_ms or 0 for each in sums)
        seen = self._ledger.seen_sums(since, until, grain_of(sums))
        left, taken = rest_of_sums(sums, seen, self._weigher.who)
        told.taken.update(taken)
        for call, row in left.items():
            if row is None:
                told.matched[SEEN_LIVE] += 1
            else:
                yield call, row

    def _spends(self, named: Sequence[Planned], known: set[str], told: Told) -> Iterator[Planned]:
        """Money of tools and months that the ledger holds in no other way."""
        fresh = [(each, each.row) for each in named if isinstance(each.row, SpendRow) and each.call_id not in known]
        if not fresh:
            return
        since, until = min(row.start_ms for _, row in fresh), months_later(max(row.start_ms for _, row in fresh), 1)
        before = {
            (each.provider, each.model.lower(), each.started_ms)
            for each in self._ledger.seen_spends(since, until)
            if each.source_kind != self._kind
        }
        metered = {(provider_id(each.provider), months_later(each.start_ms, 0)) for each in self._ledger.seen_sums(since, until, DAY_MS)}
        for each, row in fresh:
            if (each.provider, row.model.lower(), row.start_ms) in before:
                told.matched[OTHER_FILE] += 1
            elif not row.is_tool and (each.provider, row.start_ms) in metered:
                told.matched[METERED] += 1
            else:
                yield each


def _nothing_to_add(row: UsageRow | SpendRow, pruned_ms: int) -> str | None:
    """Why a row cannot add anything, None: it can."""
    if isinstance(row, UsageRow) and not any(row.amounts.get(name, 0.0) > 0 for name in MAIN):
        return EMPTY
    return PRUNED if row.start_ms < pruned_ms else None
