"""What of a file the ledger holds already. It must never let the same call, or the same token, into the ledger twice.

Calls one by one: the same id (request, answer, our own call id); else, at the same provider, the same model with the very same counts
within TOLERANCE_MS, each call of the ledger used once. Sums: what the ledger holds of the same provider and model in the same time, live
or imported, is taken from what the file counts, and only the rest is added.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.imports.row import UsageRow
from proxy.ledger.import_ledger import COUNTS, SeenCall, SeenSum

TOLERANCE_MS: Final = 300_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
MINUTE_MS: Final = 60_000
MAIN: Final = COUNTS
"""Amounts of which at least one is above 0 in a row that is to be weighed."""

SAME_ID: Final = "same_id"
SAME_COUNTS: Final = "same_counts"
IN_A_SUM: Final = "in_an_imported_sum"
SEEN_LIVE: Final = "seen_live"

Who = tuple[str, str]
"""Provider and catalogue model."""
Name = Callable[[str, str], Who]
Counts = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A row with the provider that it is weighed at, its id in the ledger, and whether that holds it."""

    row: UsageRow
    who: Who
    call_id: str
    row_hash: str
    is_known: bool


def match_calls(candidates: Sequence[Candidate], seen: Iterable[SeenCall], name: Name) -> dict[str, str]:
    """Why rows of one call are not to be added, by their call id."""
    own = {each.call_id for each in candidates if each.is_known}
    open_rows = [each for each in candidates if not each.is_known]
    by_id = {known: each for each in open_rows for known in each.row.ids}
    by_counts: dict[tuple[Who, Counts], list[Candidate]] = defaultdict(list)
    for each in open_rows:
        if (counts := _counts(each.row)) is not None:
            by_counts[each.who, counts].append(each)
    found: dict[str, str] = {}
    alike: dict[tuple[Who, Counts], list[int]] = defaultdict(list)
    for call in seen:
        if call.call_id in own:
            continue
        hit = next((by_id[known] for known in call.ids if known in by_id), None)
        if hit is not None:
            found[hit.call_id] = SAME_ID
            continue
        key = (name(call.provider, call.served_model), call.counts)
        if key in by_counts:
            alike[key].append(call.started_ms)
    for key, starts in alike.items():
        rows = [each for each in by_counts[key] if each.call_id not in found]
        found.update(dict.fromkeys(_paired(rows, starts), SAME_COUNTS))
    return found


def _counts(row: UsageRow) -> Counts | None:
    """What the call is known by; None where nothing was counted."""
    counts = tuple(round(row.amounts.get(name, 0)) for name in COUNTS)
    return counts if any(counts) else None


def _paired(rows: Sequence[Candidate], starts: Sequence[int]) -> list[str]:
    """Rows that have a call of the ledger near in time, each call used once: both in order of time."""
    left, found, at = sorted(starts), [], 0
    for each in sorted(rows, key=lambda each: each.row.start_ms):
        while at < len(left) and left[at] < each.row.start_ms - TOLERANCE_MS:
            at += 1
        if at < len(left) and left[at] <= each.row.start_ms + TOLERANCE_MS:
            found.append(each.call_id)
            at += 1
    return found


def in_imported_sums(candidates: Sequence[Candidate], sums: Iterable[SeenSum], name: Name) -> set[str]:
    """Rows of one call on a day of which a sum over the same provider and model was imported: they are in it already."""
    days = {(name(each.provider, each.served_model), each.start_ms // DAY_MS) for each in sums if each.is_imported and each.is_sum}
    return {each.call_id for each in candidates if not each.is_known and (each.who, each.row.start_ms // DAY_MS) in days}


def grain_of(candidates: Iterable[Candidate]) -> int:
    """The coarsest grain of time that fits the rows' times, in ms."""
    ends = [end for each in candidates for end in (each.row.start_ms, each.row.end_ms or 0)]
    return next((grain for grain in (DAY_MS, HOUR_MS) if all(end % grain == 0 for end in ends)), MINUTE_MS)


def rest_of_sums(candidates: Sequence[Candidate], sums: Sequence[SeenSum], name: Name) -> tuple[dict[str, UsageRow | None], Counter[str]]:
    """What is left of each row that the ledger does not hold, by its call id (None: nothing), and what was taken away."""
    groups: dict[tuple[Who, int, int], list[Candidate]] = defaultdict(list)
    for each in candidates:
        groups[each.who, each.row.start_ms, each.row.end_ms or each.row.start_ms].append(each)
    by_who: dict[Who, list[SeenSum]] = defaultdict(list)
    for seen in sums:
        by_who[name(seen.provider, seen.served_model)].append(seen)
    left: dict[str, UsageRow | None] = {}
    taken: Counter[str] = Counter()
    for (who, start, end), rows in groups.items():
        within = [seen.amounts for seen in by_who.get(who, ()) if start <= seen.start_ms < end]
        fresh = [each for each in rows if not each.is_known]
        if fresh:
            _share_out(rows, fresh, within, left, taken)
    return left, taken


def _share_out(
    rows: Sequence[Candidate],
    fresh: Sequence[Candidate],
    within: Sequence[Mapping[str, float]],
    left: dict[str, UsageRow | None],
    taken: Counter[str],
) -> None:
    """Gives what the file counts beyond the ledger to the rows that the ledger does not hold, in proportion to what they say."""
    amounts: dict[str, dict[str, float]] = {each.call_id: {} for each in fresh}
    for name in {name for each in rows for name in each.row.amounts}:
        told = sum(each.row.amounts.get(name, 0.0) for each in rows)
        open_amount = sum(each.row.amounts.get(name, 0.0) for each in fresh)
        held = sum(amount.get(name, 0.0) for amount in within)
        rest = min(open_amount, max(0.0, told - held))
        taken[name] += round(open_amount - rest)
        given = said = 0.0
        for each in fresh:
            said += each.row.amounts.get(name, 0.0)
            whole = rest * said / open_amount if open_amount else 0.0
            upto = whole if name == "audio_input_seconds" else float(round(whole))
            amounts[each.call_id][name] = upto - given
            given = upto
    for each in fresh:
        rest_of = amounts[each.call_id]
        left[each.call_id] = replace(each.row, amounts=rest_of) if any(rest_of.get(name, 0.0) > 0 for name in MAIN) else None
