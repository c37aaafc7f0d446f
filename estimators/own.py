"""Weighs the proxy itself: its processor time, the memory it holds and its share of the host's making. It must never be part of a call."""

from dataclasses import dataclass
from typing import cast

from config.factors import FactorSet
from config.place import Place
from config.ranges import Range
from estimators.estimate import Estimate, QualityParts, Tier
from estimators.local import BY_CORE, made, of_grid, servers_per_core_second
from estimators.physics_lines import GRAMS_PER_KG, KWH_PER_WH, SECONDS_PER_YEAR, WH_PER_J, average, inverse, log_sd
from estimators.quantity import NOTHING, LogVariance, Quantity, add, around, exact, multiply, scale

METHOD = "own"
VERSION = "1.0.0"
OPERATING_PRIOR = "low_traffic"
"""How busy a host is taken to be that is shared with others."""

DECLARED = "power-by-core-declared"
MEASURED = "power-measured"
_TIERS: dict[str, Tier] = {BY_CORE: "D", DECLARED: "C", MEASURED: "B"}
"""Time is measured always; power is assumed, said by the owner, or the host's own counter's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnUse:
    """What one process used in some time. memory_gb_s: gigabytes held x seconds.

    measured_*: of these, what fell into time in which the host's energy counter could be read; package_j: the process's share of it.
    """

    cpu_s: float = 0.0
    wall_s: float = 0.0
    memory_gb_s: float = 0.0
    measured_cpu_s: float = 0.0
    measured_wall_s: float = 0.0
    measured_memory_gb_s: float = 0.0
    package_j: float = 0.0

    def __add__(self, more: "OwnUse") -> "OwnUse":
        """Both together."""
        return OwnUse(
            cpu_s=self.cpu_s + more.cpu_s,
            wall_s=self.wall_s + more.wall_s,
            memory_gb_s=self.memory_gb_s + more.memory_gb_s,
            measured_cpu_s=self.measured_cpu_s + more.measured_cpu_s,
            measured_wall_s=self.measured_wall_s + more.measured_wall_s,
            measured_memory_gb_s=self.measured_memory_gb_s + more.measured_memory_gb_s,
            package_j=self.package_j + more.package_j,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnHost:
    """Where the process runs. w_per_core: of a busy core, as its owner says; None: assumed.

    reserved_cores: kept for this process alone, so that they count while they idle; None: shared with others.
    """

    place: Place
    w_per_core: float | None = None
    reserved_cores: float | None = None


def own_it_energy_wh(use: OwnUse, host: OwnHost, factors: FactorSet) -> tuple[Quantity, Quantity]:
    """IT energy of the process in Wh, before PUE: what was measured, and what is modelled for the time in which nothing could be.

    Measured: its share of the processors' energy and of what the server draws beside them. Modelled: busy cores, memory held, idle cores
    that are kept for it. Source: METHODS.md, section on the proxy itself.
    """
    measured = scale(average(factors["own.server_per_package_ratio"].range, "method"), use.package_j * WH_PER_J)
    busy_w = average(factors["frontend.w_per_core"].range, "method") if host.w_per_core is None else exact(host.w_per_core)
    modelled = scale(busy_w, _left(use.cpu_s, use.measured_cpu_s) * WH_PER_J)
    held = _left(use.memory_gb_s, use.measured_memory_gb_s) * WH_PER_J
    modelled = add(modelled, scale(average(factors["own.memory_w_per_gb"].range, "method"), held))
    idle = _idle_core_s(use, host) * WH_PER_J
    return measured, add(modelled, scale(average(factors["own.idle_w_per_core"].range, "method"), idle))


def own_estimate(use: OwnUse, host: OwnHost, factors: FactorSet, profile: str) -> Estimate:
    """The footprint of one process of the proxy; linear in what it used, so that hours add up.

    Raises ValueError for a use that is no number >= 0. Source: METHODS.md, section on the proxy itself.
    """
    if not all(0 <= used < float("inf") for used in (use.cpu_s, use.wall_s, use.memory_gb_s, use.package_j)):
        raise ValueError(f"what a process used is numbers >= 0, got {use}")
    place = host.place
    measured, modelled = own_it_energy_wh(use, host, factors)
    it_wh = add(measured, modelled)
    facility_wh = multiply(it_wh, average(place.pue, "provider"))
    operational = scale(multiply(facility_wh, average(place.gco2e_per_kwh, "zone")), KWH_PER_WH)
    server_s = _servers(use, host, factors)
    embodied = scale(made(server_s, factors, "kgco2e"), GRAMS_PER_KG)
    gco2e = add(operational, embodied)
    by = MEASURED if measured.mean > modelled.mean else BY_CORE if host.w_per_core is None else DECLARED
    parts = QualityParts(usage="A", model="A", hardware=_TIERS[by], zone=cast(Tier, place.tier))  # the places table admits A to E only
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
        warnings=tuple(dict.fromkeys((*place.warnings, by))),
    )


def _left(whole: float, part: float) -> float:
    """What is left of a whole, never below 0: both are sums of floats."""
    return max(whole - part, 0.0)


def _idle_core_s(use: OwnUse, host: OwnHost) -> float:
    """Core seconds that were kept for the process and not used, in time that was not measured: a measurement holds them."""
    if host.reserved_cores is None:
        return 0.0
    return _left(host.reserved_cores * _left(use.wall_s, use.measured_wall_s), _left(use.cpu_s, use.measured_cpu_s))


def _servers(use: OwnUse, host: OwnHost, factors: FactorSet) -> Quantity:
    """Seconds of a whole server that the process took: by its cores, and by the memory it held.

    Shared cores are taken while they run, and bear the idle time of the others; cores kept for it are taken all the time.
    """
    of_memory = factors["own.memory_embodied_ratio"]
    if host.reserved_cores is None:
        by_cores = scale(servers_per_core_second(factors), use.cpu_s)
    else:
        by_cores = scale(_share(factors, "local.cores_per_server", busy=None), max(host.reserved_cores * use.wall_s, use.cpu_s))
    busy = factors[f"utilisation.{OPERATING_PRIOR}"].range
    by_memory = scale(_share(factors, "own.memory_gb_per_server", busy=busy), use.memory_gb_s)
    return add(scale(by_cores, 1 - of_memory.value), multiply(by_memory, average(of_memory.range, "method")))


def _share(factors: FactorSet, parts: str, busy: Range | None) -> Quantity:
    """Share of a server's life that a second of one of its `parts` takes."""
    spans = [factors[parts].range, factors["embodied.lifetime_years"].range, *([] if busy is None else [busy])]
    whole = SECONDS_PER_YEAR
    for span in spans:
        whole *= span.value
    return around(1 / whole, LogVariance(provider=sum(log_sd(inverse(span)) ** 2 for span in spans)))
