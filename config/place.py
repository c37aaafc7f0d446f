"""The facts of one place where calls run. It must never mix lifecycle with direct intensities."""

from dataclasses import dataclass

from config.ranges import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One data-centre location as far as it is known.

    gco2e_per_kwh: yearly average, lifecycle, location-based; its span covers the regions that could have served.
    pue: facility energy / IT energy, >= 1. wue_onsite_l_per_kwh: litres per IT kWh; water_offsite_l_per_kwh: litres per facility kWh.
    serves_at_scale: the provider serves its own models to the mass of the public, hence in large batches.
    assumed: neither the configuration nor the provider states the region.
    market_based_gco2e_per_kwh: only where a factor is published, else None.
    """

    provider: str
    region: str | None
    zone: str
    assumed: bool
    gco2e_per_kwh: Range
    intensity_year: int
    intensity_source: str
    intensity_licence: str
    market_based_gco2e_per_kwh: float | None
    pue: Range
    wue_onsite_l_per_kwh: Range
    water_offsite_l_per_kwh: Range
    primary_energy_mj_per_kwh: Range
    adpe_kgsbeq_per_kwh: Range
    tier: str
    serves_at_scale: bool = False
    warnings: tuple[str, ...] = ()
