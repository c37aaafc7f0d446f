"""Sums by another yearly factor of a zone than that of the call's own estimate, as declared. It must never go unsaid in a report.

Operational grams of the zone are its facility energy times the declared factor; everything else stays. The range is that of the sum it
replaces, scaled.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from config.factor import Factor
from estimators.quantity import Quantity, around, scale
from proxy.ledger.cells import Cell
from proxy.ledger.queries import Opinions

AnyCell = TypeVar("AnyCell", bound=Cell)
YEARLY: Final = "yearly"
WH_PER_KWH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredBasis:
    """A factor that stands for the yearly one of a zone."""

    name: str
    zone: str
    factor: str


BASES: Final = {"ademe-annual": DeclaredBasis(name="ademe-annual", zone="FR", factor="report.ademe_annual_fr_gco2e_per_kwh")}


def restated(opinions: Opinions, zone: str, factor: Factor) -> Opinions:
    """The opinions by the factor, where they are of the zone."""
    lines = opinions.lines
    needed = [lines.get(name) for name in ("facility_energy_wh", "operational_gco2e", "gco2e")]
    energy, operational, total = needed
    if opinions.shared.zone != zone or energy is None or operational is None or total is None:
        return opinions
    grams = energy.mean / WH_PER_KWH * factor.value
    moved = total.mean - operational.mean + grams
    return replace(opinions, lines={**lines, "operational_gco2e": _moved(operational, grams), "gco2e": _moved(total, moved)})


def restated_cells(cells: Sequence[AnyCell], zone: str, factor: Factor) -> list[AnyCell]:
    """The cells by the factor."""
    return [replace(cell, opinions=restated(cell.opinions, zone, factor)) for cell in cells]


def restated_share(cells: Sequence[Cell], zone: str) -> float:
    """The share of the grams whose operational part the factor tells."""
    grams = [(cell.opinions.shared.zone == zone, cell.opinions.lines["gco2e"].mean) for cell in cells if "gco2e" in cell.opinions.lines]
    whole = sum(mean for _, mean in grams)
    return sum(mean for is_of_zone, mean in grams if is_of_zone) / whole if whole > 0 else 0.0


def _moved(quantity: Quantity, mean: float) -> Quantity:
    return scale(quantity, mean / quantity.mean) if quantity.mean > 0 else around(mean, quantity.variance)
