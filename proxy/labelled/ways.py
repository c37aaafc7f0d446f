"""Sums up ways of serving labelled calls: grams with their range against mean quality. It must never score what was not answered."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from estimators.quantity import Z95, Quantity, ScopeKeys, Total


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One attempt at a call: its grams, the causes that they share with other calls, and its water."""

    gco2e: Quantity
    keys: ScopeKeys
    water_ml: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How one call was served: every attempt, and the score of the answer. No attempts: it was refused, and has no score."""

    alias: str
    parts: tuple[Part, ...]
    score: float
    is_moved: bool = False

    @property
    def gco2e(self) -> float:
        """Expected grams of all attempts."""
        return math.fsum(part.gco2e.mean for part in self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """What a way of serving all calls comes to; grams with p5 and p95.

    quality: mean score of what was answered. change: its mean difference to another way, call by call, with p5 and p95 of the doubt
    that so many calls leave; 0 where there is none.
    """

    name: str
    gco2e: float
    gco2e_low: float
    gco2e_high: float
    water_ml: float
    quality: float
    change: float
    change_low: float
    change_high: float
    moved: int
    escalated: int
    refused: int


def way_of(name: str, served: Sequence[Served], beside: Sequence[Served]) -> Way:
    """The sums of a way; beside: the same calls served in the way that quality is compared with."""
    total = Total()
    for call in served:
        for part in call.parts:
            total.add(part.gco2e, part.keys)
    answered = [(one, other) for one, other in zip(served, beside, strict=True) if one.parts and other.parts]
    change, sd = _mean_and_sd([one.score - other.score for one, other in answered])
    return Way(
        name=name,
        gco2e=total.mean,
        gco2e_low=total.p5 if total.calls else 0.0,
        gco2e_high=total.p95 if total.calls else 0.0,
        water_ml=math.fsum(part.water_ml for call in served for part in call.parts),
        quality=_mean_and_sd([call.score for call in served if call.parts])[0],
        change=change,
        change_low=change - Z95 * sd,
        change_high=change + Z95 * sd,
        moved=sum(call.is_moved for call in served),
        escalated=sum(len(call.parts) > 1 for call in served),
        refused=sum(not call.parts for call in served),
    )


def mixed(small: Way, large: Way, quality: float) -> tuple[float, float]:
    """The share of calls that go to the large one, and the grams, where chance decides and mean quality is that; within 0..1."""
    span = large.quality - small.quality
    share = min(max((quality - small.quality) / span, 0.0), 1.0) if span > 0 else 0.0
    return share, share * large.gco2e + (1 - share) * small.gco2e


def oracle(tried: Sequence[Mapping[str, Served]], best: str, tolerance: float) -> list[Served]:
    """For each call the fewest grams among those whose score is at least that of `best`, less the tolerance."""
    return [min((each for each in row.values() if each.score >= row[best].score - tolerance), key=lambda each: each.gco2e) for row in tried]


def _mean_and_sd(values: Sequence[float]) -> tuple[float, float]:
    """Their mean, and the standard error of it."""
    if not values:
        return 0.0, 0.0
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))
