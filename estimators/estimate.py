"""The weighed opinion on one attempt. It must never stand without its range, its method and its tier."""

from typing import Literal, NamedTuple

from estimators.quantity import Quantity

Tier = Literal["A", "B", "C", "D", "E"]


class QualityParts(NamedTuple):
    """Tier of each part: the usage counts, the model facts, the hardware and operation assumed, the zone."""

    usage: Tier
    model: Tier
    hardware: Tier
    zone: Tier


class Estimate(NamedTuple):
    """Footprint of one attempt, by named lines; `gco2e` is the sum of the lines of `profile`.

    it_energy_wh is before PUE, facility_energy_wh after. operational_gco2e is location-based, yearly average, lifecycle;
    market_based_gco2e stands beside it only where a factor is published. training_gco2e and network_gco2e are separate lines,
    outside the default profile; network_gco2e is None where the bytes are not known. primary_energy_mj and adpe_kgsbeq rest on weak
    factors. quality is the tier of the part with the largest share of the variance.
    """

    method: str
    method_version: str
    factor_set: str
    profile: str
    it_energy_wh: Quantity
    facility_energy_wh: Quantity
    gpu_seconds: Quantity
    operational_gco2e: Quantity
    embodied_gco2e: Quantity
    gco2e: Quantity
    water_ml: Quantity
    primary_energy_mj: Quantity
    adpe_kgsbeq: Quantity
    market_based_gco2e: Quantity | None
    training_gco2e: Quantity | None
    network_gco2e: Quantity | None
    quality: Tier
    quality_parts: QualityParts
    gco2e_per_kwh: float
    intensity_source: str
    intensity_year: int
    zone: str
    warnings: tuple[str, ...] = ()
