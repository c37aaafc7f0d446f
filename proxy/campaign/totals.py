"""Sums the calls of a campaign by what they have in common. It must never invent a figure for a call that was not weighed."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from estimators.quantity import Total
from proxy.campaign.run import WeighedCall

if TYPE_CHECKING:
    from proxy.ledger.queries import Selection


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """One line of a closing table. low and high: p5 and p95 of the sum when the ledger told them, else outer bounds."""

    name: str
    calls: int
    unweighed: int
    input_tokens: int
    output_tokens: int
    energy_wh: float
    gco2e: float
    gco2e_low: float
    gco2e_high: float


def sums_of_ledger(url: str, selection: "Selection") -> list[Totals]:
    """Totals as the ledger tells them, heaviest first: doubt that calls share adds in full, the rest evens out. Raises StartError."""
    from proxy.ledger.read_sums import read_sums  # SQLAlchemy is slow to import

    sums = read_sums(url, selection)
    totals = []
    for facts in sums.groups:
        grams, energy = Total(), Total()
        for opinion in sums.opinions:
            if opinion.key == facts.key:
                grams.add(opinion.lines["gco2e"], opinion.shared)
                energy.add(opinion.lines["facility_energy_wh"], opinion.shared)
        totals.append(
            Totals(
                name=facts.key,
                calls=facts.calls,
                unweighed=sum(lost.attempts for lost in sums.unweighed if lost.key == facts.key),
                input_tokens=facts.usage["input_tokens"],
                output_tokens=facts.usage["output_tokens"],
                energy_wh=energy.mean,
                gco2e=grams.mean,
                gco2e_low=grams.p5,
                gco2e_high=grams.p95,
            )
        )
    return sorted(totals, key=lambda total: -total.gco2e)


def sum_outer(calls: Sequence[WeighedCall], name_of: Callable[[WeighedCall], str]) -> list[Totals]:
    """Totals by name, heaviest first, with the plain sums of lows and highs: outer bounds of the true range."""
    groups: dict[str, list[WeighedCall]] = {}
    for call in calls:
        groups.setdefault(name_of(call), []).append(call)
    totals = [_sum(name, group) for name, group in groups.items()]
    return sorted(totals, key=lambda total: -total.gco2e)


def _sum(name: str, calls: Sequence[WeighedCall]) -> Totals:
    return Totals(
        name=name,
        calls=len(calls),
        unweighed=sum(call.gco2e is None for call in calls),
        input_tokens=sum(call.input_tokens or 0 for call in calls),
        output_tokens=sum(call.output_tokens or 0 for call in calls),
        energy_wh=math.fsum(call.energy_wh or 0.0 for call in calls),
        gco2e=math.fsum(call.gco2e or 0.0 for call in calls),
        gco2e_low=math.fsum(call.gco2e_low or 0.0 for call in calls),
        gco2e_high=math.fsum(call.gco2e_high or 0.0 for call in calls),
    )
