"""What the ledger sums up to, by group and as a whole, with range and basis. It must never shrink a shared doubt by counting calls."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from estimators.quantity import Total
from proxy.ledger.columns import SCOPED_QUANTITIES
from proxy.ledger.queries import DAY_MS, NOT_GENERATED, Facts, Opinions, Selection, Unweighed
from proxy.ledger.read_sums import read_sums
from proxy.reports.line import Line, Spread

WHOLE: Final = "total"
Group = TypeVar("Group", Opinions, Unweighed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A report: its lines, largest first (days in order), the whole, and what the figures rest on.

    first_ms and last_ms: start of the first and the last call in it, None when there is none. instead: calls that something else than a
    provider answered, by what did.
    """

    selection: Selection
    lines: tuple[Line, ...]
    whole: Line
    methods: tuple[str, ...]
    factor_sets: tuple[str, ...]
    profiles: tuple[str, ...]
    first_ms: int | None
    last_ms: int | None
    instead: Mapping[str, int]


def summarise(url: str, selection: Selection, *, exact: bool = False) -> Summary:
    """The summary of a ledger. Raises StartError when it cannot be read."""
    sums = read_sums(url, selection, exact=exact)
    opinions, unweighed = _by_key(sums.opinions), _by_key(sums.unweighed)
    lines = [
        line_of(_name(facts.key, selection), facts, opinions.get(facts.key, []), unweighed.get(facts.key, [])) for facts in sums.groups
    ]
    return Summary(
        selection=selection,
        lines=tuple(sorted(lines, key=_date if selection.by == "day" else _weight)),
        whole=line_of(WHOLE, sums.whole, sums.opinions, sums.unweighed),
        methods=tuple(sorted({each.shared.method for each in sums.opinions})),
        factor_sets=tuple(sorted({each.factor_set for each in sums.opinions})),
        profiles=tuple(sorted({each.profile for each in sums.opinions})),
        first_ms=sums.whole.first_ms,
        last_ms=sums.whole.last_ms,
        instead=sums.instead,
    )


def _by_key(groups: Iterable[Group]) -> dict[str, list[Group]]:
    found: dict[str, list[Group]] = {}
    for group in groups:
        found.setdefault(group.key, []).append(group)
    return found


def _name(key: str, selection: Selection) -> str:
    if selection.by != "day":
        return key
    return datetime.fromtimestamp(int(key) * DAY_MS / 1000, UTC).date().isoformat()


def _date(line: Line) -> str:
    return line.key


def _weight(line: Line) -> tuple[float, str]:
    return (-line.gco2e.mean if line.gco2e else 0.0, line.key)


def line_of(name: str, facts: Facts, opinions: Sequence[Opinions], unweighed: Sequence[Unweighed]) -> Line:
    """One line: the group's counts, and its opinions as sums with their ranges."""
    reasons: Counter[str] = Counter()
    for each in unweighed:
        reasons[each.reason] += each.attempts
    spreads = {line: _spread(opinions, line) for line in SCOPED_QUANTITIES}
    return Line(
        key=name,
        calls=facts.calls,
        attempts=facts.attempts,
        usage=facts.usage,
        weighed_attempts=sum(each.attempts for each in opinions),
        not_generated=reasons.pop(NOT_GENERATED, 0),
        unweighed=dict(sorted(reasons.items())),
        gco2e_share_by_tier=_shares(opinions),
        simulated_share=_ratio(facts.simulated_attempts, facts.attempts),
        counted_usage_share=_ratio(facts.counted_usage, facts.metered_attempts),
        estimated_usage_share=_ratio(facts.estimated_usage, facts.metered_attempts),
        **spreads,
    )


def _spread(opinions: Sequence[Opinions], line: str) -> Spread | None:
    total = Total()
    for each in opinions:
        if line in each.lines:
            total.add(each.lines[line], each.shared)
    return Spread(total.mean, total.p5, total.p95) if total.calls else None


def _shares(opinions: Sequence[Opinions]) -> dict[str, float]:
    grams: Counter[str] = Counter()
    for each in opinions:
        if "gco2e" in each.lines:
            grams[each.quality] += each.lines["gco2e"].mean  # type: ignore[assignment]  # a Counter of grams
    whole = sum(grams.values())
    return {tier: grams[tier] / whole for tier in sorted(grams)} if whole > 0 else {}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
