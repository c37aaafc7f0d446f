"""One group of a report, and the sums in it. It must never hold a figure without its range."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A sum: its expected value and the 5th and 95th percentile of what is plausible."""

    mean: float
    p5: float
    p95: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One group of a report. A line without any estimate has None for its figures, never 0.

    weighed_attempts have an estimate; unweighed ones do not although something was generated; not_generated ones need none.
    gco2e_share_by_tier and the other shares are ratios 0..1, None without a base.
    """

    key: str
    calls: int
    attempts: int
    usage: Mapping[str, int]
    weighed_attempts: int
    unweighed: Mapping[str, int]
    not_generated: int
    facility_energy_wh: Spread | None
    gco2e: Spread | None
    operational_gco2e: Spread | None
    embodied_gco2e: Spread | None
    water_ml: Spread | None
    gco2e_share_by_tier: Mapping[str, float]
    simulated_share: float | None
    counted_usage_share: float | None
    estimated_usage_share: float | None
