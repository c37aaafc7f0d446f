"""What the proxy itself weighed in the period of a report: a line beside the calls. It must never be added to what calls weigh."""

import math
from collections.abc import Sequence

from estimators.quantity import LogVariance, Quantity, ScopeKeys
from proxy.ledger.own_store import OwnRow
from proxy.reports.document import OwnWeight
from proxy.reports.line import Spread
from proxy.reports.sums import Keyed, spread_of, times

S_PER_HOUR = 3600.0
Shared = tuple[OwnRow, float]
"""A row, and how much of it counts."""


def own_weight(found: Sequence[OwnRow], period: tuple[int | None, int | None], calls: int) -> OwnWeight | None:
    """Each process's hours, once each, added with the doubts that they share; None where no proxy weighed itself.

    An hour that an edge of the period cuts (ms since 1970, None: no edge) counts by the share of its time that lies within.
    """
    rows = [(row, share) for row in found if (share := _share(row, *period)) > 0]
    if not rows:
        return None
    cpu_s = _sum(rows, "cpu_s")
    grams = _spread(rows, "gco2e")
    return OwnWeight(
        gco2e=grams,
        operational_gco2e=_spread(rows, "operational_gco2e"),
        embodied_gco2e=_spread(rows, "embodied_gco2e"),
        facility_energy_wh=_spread(rows, "facility_energy_wh"),
        water_ml=_spread(rows, "water_ml"),
        gco2e_per_call=times(grams, 1 / calls) if calls else None,
        cpu_s=cpu_s,
        process_hours=_sum(rows, "wall_s") / S_PER_HOUR,
        processes=len({row.process_id for row, _ in rows}),
        measured_share=min(_sum(rows, "measured_cpu_s") / cpu_s, 1.0) if cpu_s > 0 else 0.0,
        zones=tuple(sorted({row.zone for row, _ in rows})),
        methods=tuple(sorted({f"{row.method}@{row.method_version}" for row, _ in rows})),
        factor_sets=tuple(sorted({row.factor_set for row, _ in rows})),
        warnings=tuple(sorted({code for row, _ in rows for code in row.warnings})),
    )


def _share(row: OwnRow, since_ms: int | None, until_ms: int | None) -> float:
    """How much of the row's time lies in the period; a row without a time of its own is where it ends."""
    since, until = row.since_ms, max(row.until_ms, row.since_ms + 1)
    inside = (until if until_ms is None else min(until, until_ms)) - (since if since_ms is None else max(since, since_ms))
    return max(inside, 0) / (until - since)


def _sum(rows: Sequence[Shared], fact: str) -> float:
    return math.fsum(getattr(row, fact) * share for row, share in rows)


def _spread(rows: Sequence[Shared], line: str) -> Spread:
    return spread_of([_keyed(row, share, line) for row, share in rows]) or Spread(0.0, 0.0, 0.0)


def _keyed(row: OwnRow, share: float, line: str) -> Keyed:
    """The line with what its error has in common with other hours: method, provider and zone; no model is at work."""
    p50, *variance = row.lines[line]
    return Quantity(p50 * share, LogVariance(*variance)), ScopeKeys(f"{row.method}@{row.method_version}", row.provider, "", row.zone)
