"""The rows that places are made of: grid zones, regions, groups of regions, providers. It must never hold a direct-only intensity."""

from dataclasses import dataclass

from config.ranges import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Zone:
    """One grid area: yearly average intensity (lifecycle, location-based) and the mix factors, all per kWh at the facility."""

    id: str
    name: str
    gco2e_per_kwh: Range
    year: int
    basis: str
    source: str
    url: str
    licence: str
    water_offsite_l_per_kwh: Range
    primary_energy_mj_per_kwh: Range
    adpe_kgsbeq_per_kwh: Range
    mix_is_world_default: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """One cloud region; `gco2e_per_kwh` differs from its zone's only where the region itself is a wide area."""

    provider: str
    region: str
    name: str
    zone: str
    gco2e_per_kwh: Range | None
    pue: Range
    wue_onsite_l_per_kwh: Range
    market_based_gco2e_per_kwh: float | None
    source: str
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionGroup:
    """An endpoint that serves from any of `members`; `zone` is the grid area that encloses them."""

    provider: str
    group: str
    zone: str
    members: tuple[str, ...]
    source: str
    year: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderDefault:
    """What is assumed of a provider that does not say where it runs. `cloud` is whose regions its region names are.

    at_scale: it serves its own models to the mass of the public, hence in large batches.
    """

    provider: str
    aliases: tuple[str, ...]
    hosts: tuple[str, ...]
    cloud: str
    region: str
    zone: str
    gco2e_per_kwh: Range | None
    pue: Range
    wue_onsite_l_per_kwh: Range
    at_scale: bool
    confidence: str
    assumption: str
    source: str
    year: int
