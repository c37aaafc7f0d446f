"""Weighs what the proxy's own machine makes without a model, by its processor time. It must never weigh nothing."""

from typing import cast

from config.factors import FactorSet
from config.place import Place
from estimators.estimate import Estimate, QualityParts, Tier
from estimators.physics_lines import GRAMS_PER_KG, KWH_PER_WH, SECONDS_PER_YEAR, WH_PER_J, average, inverse, log_sd
from estimators.quantity import NOTHING, LogVariance, Quantity, add, around, exact, multiply, scale

METHOD = "local"
VERSION = "1.0.0"
OPERATING_PRIOR = "low_traffic"
"""How busy a machine of one's own is taken to be."""

BY_CORE = "power-by-core-assumed"
POWER_TIER: Tier = "D"
"""The time is measured; what a core draws is assumed."""


def local_estimate(cpu_s: float, place: Place, factors: FactorSet, profile: str) -> Estimate:
    """The footprint of `cpu_s` seconds of one core at `place`, and of the handling that every call takes beside them.

    Raises ValueError for a time that is no number >= 0. Source: METHODS.md, section on what the proxy makes itself.
    """
    if not 0 <= cpu_s < float("inf"):
        raise ValueError(f"processor time is a number of seconds >= 0, got {cpu_s}")
    core_s = add(exact(cpu_s), average(factors["frontend.cpu_s_per_call"].range, "method"))
    it_wh = scale(multiply(core_s, average(factors["frontend.w_per_core"].range, "method")), WH_PER_J)
    facility_wh = multiply(it_wh, average(place.pue, "provider"))
    operational = scale(multiply(facility_wh, average(place.gco2e_per_kwh, "zone")), KWH_PER_WH)
    server_s = multiply(core_s, servers_per_core_second(factors))
    embodied = scale(made(server_s, factors, "kgco2e"), GRAMS_PER_KG)
    gco2e = add(operational, embodied)
    parts = QualityParts(usage="A", model="A", hardware=POWER_TIER, zone=cast(Tier, place.tier))  # the places table admits A to E only
    return Estimate(
        method=METHOD,
        method_version=VERSION,
        factor_set=factors.stamp,
        profile=profile,
        it_energy_wh=it_wh,
        facility_energy_wh=facility_wh,
        gpu_seconds=NOTHING,
        operational_gco2e=operational,
        embodied_gco2e=embodied,
        gco2e=gco2e,
        water_ml=add(
            multiply(it_wh, average(place.wue_onsite_l_per_kwh, "provider")),
            multiply(facility_wh, average(place.water_offsite_l_per_kwh, "zone")),
        ),
        primary_energy_mj=add(of_grid(facility_wh, place, "primary_energy_mj"), made(server_s, factors, "mj")),
        adpe_kgsbeq=add(of_grid(facility_wh, place, "adpe_kgsbeq"), made(server_s, factors, "kgsbeq")),
        market_based_gco2e=None,
        training_gco2e=None,
        network_gco2e=None,
        quality=parts.zone if gco2e.variance.zone > gco2e.variance.method + gco2e.variance.provider else parts.hardware,
        quality_parts=parts,
        gco2e_per_kwh=place.gco2e_per_kwh.value,
        intensity_source=place.intensity_source,
        intensity_year=place.intensity_year,
        zone=place.zone,
        warnings=tuple(dict.fromkeys((*place.warnings, BY_CORE))),
    )


def servers_per_core_second(factors: FactorSet) -> Quantity:
    """Share of a server's life that one second of one of its cores takes; idle time is borne by what runs."""
    cores, years = factors["local.cores_per_server"].range, factors["embodied.lifetime_years"].range
    busy = factors[f"utilisation.{OPERATING_PRIOR}"].range
    share = 1 / (cores.value * years.value * SECONDS_PER_YEAR * busy.value)
    return around(share, LogVariance(provider=sum(log_sd(inverse(span)) ** 2 for span in (cores, years, busy))))


def made(servers: Quantity, factors: FactorSet, unit: str) -> Quantity:
    """What making so much of a server takes, in `unit`."""
    return multiply(servers, average(factors[f"embodied.server_{unit}"].range, "method"))


def of_grid(facility_wh: Quantity, place: Place, line: str) -> Quantity:
    """A line of the electricity."""
    return scale(multiply(facility_wh, average(getattr(place, f"{line}_per_kwh"), "zone")), KWH_PER_WH)
