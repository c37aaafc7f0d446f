"""The total in two parts: seen live, and imported from files. It must never add an imported gram to a total that holds it."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from estimators.quantity import LogVariance, Quantity, ScopeKeys
from proxy.ledger.import_queries import Imported, ImportedGrams
from proxy.ledger.queries import Opinions
from proxy.reports.document import ImportedKind, ImportedShare
from proxy.reports.sums import Keyed, keyed, spread_of

ROUNDING: Final = 1e-9
"""A share of the grams of a group that is left by rounding alone."""

Moments = list[float]
"""Of a sum: its mean, mean times standard deviation by shared scope, and the moment of its calls' own errors."""


def imported_lines(found: Imported, opinions: Sequence[Opinions]) -> ImportedShare | None:
    """Both parts of what the opinions sum up to; None where nothing was imported."""
    if not found.records:
        return None
    parts = [(each.gco2e, each.shared) for each in found.weighed]
    return ImportedShare(
        live_gco2e=spread_of(_left(keyed(opinions, "gco2e"), parts)),
        gco2e=spread_of(parts),
        kinds=tuple(_kind(kind, found) for kind in found.records),
    )


def _kind(kind: str, found: Imported) -> ImportedKind:
    own: list[ImportedGrams] = [each for each in found.weighed if each.source_kind == kind]
    tiers: dict[str, float] = defaultdict(float)
    for each in own:
        tiers[each.quality] += each.gco2e.mean
    return ImportedKind(
        source=kind,
        records=found.records[kind],
        calls=found.calls_counted[kind],
        gco2e=spread_of([(each.gco2e, each.shared) for each in own]),
        gco2e_by_tier=dict(sorted(tiers.items())),
    )


def _left(whole: Sequence[Keyed], part: Iterable[Keyed]) -> list[Keyed]:
    """What the whole holds besides the part: sums of moments of calls that share their errors are those of both."""
    sums: dict[ScopeKeys, Moments] = {}
    for sign, quantities in ((1, whole), (-1, part)):
        for quantity, shared in quantities:
            kept = sums.setdefault(shared, [0.0] * 6)
            for place, moment in enumerate(_moments(quantity)):
                kept[place] += sign * moment
    totals: dict[ScopeKeys, float] = defaultdict(float)
    for quantity, shared in whole:
        totals[shared] += quantity.mean
    return [(_quantity(found), shared) for shared, found in sums.items() if found[0] > ROUNDING * totals[shared]]


def _moments(quantity: Quantity) -> Moments:
    mean, variance = quantity.mean, quantity.variance
    return [mean, *(mean * math.sqrt(part) for part in variance[:4]), math.expm1(variance.call) * mean * mean]


def _quantity(moments: Moments) -> Quantity:
    mean = moments[0]
    shared = [(max(moment, 0.0) / mean) ** 2 for moment in moments[1:5]]
    variance = LogVariance._make([*shared, math.log1p(max(moments[5], 0.0) / mean**2)])
    return Quantity(mean * math.exp(-variance.total / 2), variance)
