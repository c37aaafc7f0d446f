"""What one GPU joule of a call causes further on: host, idle, facility, carbon, water, minerals. It must never drop the embodied share."""

import math
from typing import NamedTuple

from config.factors import FactorSet
from config.places import Place
from config.ranges import Range
from estimators.hardware import UNKNOWN_HARDWARE, Hardware
from estimators.physics_mixture import embodied_scale, serving_w
from estimators.quantity import Z95, LogVariance, Quantity, add, around, exact, multiply, scale

J_PER_WH = 3600
WH_PER_J = 1 / J_PER_WH
KWH_PER_WH = 1 / 1000
SECONDS_PER_YEAR = 365.25 * 24 * 3600
GRAMS_PER_KG = 1000
ML_PER_LITRE = 1000
HIGH_SLACK = 1.15
"""How far p95 of a log-normal may pass the stated high end of a lopsided range, so as to cover more of its low side; a definition."""


class Lines(NamedTuple):
    """Each line of an estimate per GPU joule of the call, in the line's own unit, with the doubt that the line adds.

    The last two lie beyond serving (physics_beyond.py fills them in); the network's is per byte.
    """

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
    training_gco2e: Quantity | None = None
    network_gco2e_per_byte: Quantity | None = None


class Serving(NamedTuple):
    """Where and how a model is served, as far as the lines depend on it."""

    place: Place
    factors: FactorSet
    operating_prior: str
    hardware: Hardware = UNKNOWN_HARDWARE

    @property
    def utilisation(self) -> Range:
        """Share of the time that provisioned GPUs serve."""
        return self.factors[f"utilisation.{self.operating_prior}"].range


def lines_per_gpu_j(serving: Serving) -> Lines:
    """All lines of one GPU joule; gco2e is operational + embodied (profile sci-consumer)."""
    it_wh = scale(host_and_idle(serving.factors, serving.utilisation), WH_PER_J)
    return lines_through(exact(1.0), it_wh, multiply(it_wh, average(serving.place.pue, "provider")), serving)


def lines_through(gpu_j: Quantity, it_wh: Quantity, facility_wh: Quantity, serving: Serving) -> Lines:
    """All lines of an energy known at three boundaries: joules of the GPUs (time and hardware follow), Wh of servers and facility."""
    place, factors, utilisation = serving.place, serving.factors, serving.utilisation
    power_w = serving_w(factors, serving.hardware)
    gpu_seconds = multiply(gpu_j, around(1 / power_w.p50, power_w.variance))
    operational = scale(multiply(facility_wh, average(place.gco2e_per_kwh, "zone")), KWH_PER_WH)
    reference_seconds = multiply(gpu_seconds, embodied_scale(factors, serving.hardware))
    embodied = scale(multiply(reference_seconds, _embodied_per_gpu_second(factors, utilisation, "kgco2e")), GRAMS_PER_KG)
    water_ml = add(
        multiply(it_wh, average(place.wue_onsite_l_per_kwh, "provider")),
        multiply(facility_wh, average(place.water_offsite_l_per_kwh, "zone")),
    )
    return Lines(
        it_energy_wh=it_wh,
        facility_energy_wh=facility_wh,
        gpu_seconds=gpu_seconds,
        operational_gco2e=operational,
        embodied_gco2e=embodied,
        gco2e=add(operational, embodied),
        water_ml=water_ml,
        primary_energy_mj=_with_embodied(facility_wh, place.primary_energy_mj_per_kwh, reference_seconds, factors, utilisation, "mj"),
        adpe_kgsbeq=_with_embodied(facility_wh, place.adpe_kgsbeq_per_kwh, reference_seconds, factors, utilisation, "kgsbeq"),
        market_based_gco2e=_market_based(facility_wh, place),
    )


def embodied_water_ml_per_gpu_second(factors: FactorSet, operating_prior: str) -> Quantity:
    """Water of making the machines, ml per second of serving; an order of magnitude, in no other line."""
    utilisation = factors[f"utilisation.{operating_prior}"].range
    return scale(_embodied_per_gpu_second(factors, utilisation, "water_l"), ML_PER_LITRE)


def host_and_idle(factors: FactorSet, utilisation: Range) -> Quantity:
    """IT energy over GPU energy: 1 + host + idle power * (1 - U) / U; U is the utilisation that embodied uses too."""
    idle_per_busy = Range(_idle_hours(utilisation.value), _idle_hours(utilisation.high), _idle_hours(utilisation.low))
    idle = multiply(average(factors["idle.power_ratio"].range, "method"), average(idle_per_busy, "provider"))
    return add(add(exact(1.0), average(factors["host.energy_ratio"].range, "method")), idle)


def average(span: Range, scope: str) -> Quantity:
    """The range as a log-normal whose MEAN is its central value, as published averages are; the doubt goes to `scope`.

    Means then add up line by line, and more doubt about one part never takes weight from another.
    """
    return around(span.value, LogVariance(**{scope: log_sd(span) ** 2}))


def log_sd(span: Range) -> float:
    """Standard deviation of the logarithm for a range of p5 to p95 around a MEAN.

    Half the logarithmic width, or what brings p5 down to `low` if that is more; never so much that p95 passes `high` by more
    than HIGH_SLACK. Widening either side never narrows.
    """
    if span.value <= 0:
        return 0.0
    widest = _sd_of_p95(math.log(span.high / span.value * HIGH_SLACK)) if span.high > span.low else 0.0
    if span.low <= 0:
        return widest
    below = math.log(span.value / span.low)
    return min(max(math.log(span.high / span.low) / (2 * Z95), math.sqrt(Z95 * Z95 + 2 * below) - Z95), widest)


def _sd_of_p95(above: float) -> float:
    """The sd at which p95 is exp(above) times the mean; Z95, where p95 / mean peaks, if no log-normal gets there."""
    return Z95 - math.sqrt(max(Z95 * Z95 - 2 * above, 0.0))


def inverse(span: Range) -> Range:
    """1 / span, its ends changing places."""
    return Range(1 / span.value, 1 / span.high, 1 / span.low)


def _idle_hours(utilisation_ratio: float) -> float:
    """Idle time per busy time."""
    return (1 - utilisation_ratio) / utilisation_ratio


def _embodied_per_gpu_second(factors: FactorSet, utilisation: Range, unit: str) -> Quantity:
    """Manufacturing of one H100 and its share of the server, in `unit`, per second of serving over the life of both."""
    server_share = scale(average(factors[f"embodied.server_{unit}"].range, "method"), 1 / factors["embodied.gpus_per_server"].value)
    whole = add(average(factors[f"embodied.gpu_{unit}"].range, "method"), server_share)
    lifetime_years = factors["embodied.lifetime_years"].range
    serving_s = lifetime_years.value * SECONDS_PER_YEAR * utilisation.value
    doubt = LogVariance(provider=log_sd(inverse(lifetime_years)) ** 2 + log_sd(inverse(utilisation)) ** 2)
    return multiply(whole, around(1 / serving_s, doubt))


def _with_embodied(
    facility_wh: Quantity, per_kwh: Range, reference_seconds: Quantity, factors: FactorSet, utilisation: Range, unit: str
) -> Quantity:
    """Electricity's share of a line plus that of the hardware, in `unit`; reference_seconds: of an H100 that took as much to make."""
    electricity = scale(multiply(facility_wh, average(per_kwh, "zone")), KWH_PER_WH)
    return add(electricity, multiply(reference_seconds, _embodied_per_gpu_second(factors, utilisation, unit)))


def _market_based(facility_wh: Quantity, place: Place) -> Quantity | None:
    """Operational gCO2e by the provider's published contracts, None where nothing is published."""
    if place.market_based_gco2e_per_kwh is None:
        return None
    return scale(facility_wh, place.market_based_gco2e_per_kwh * KWH_PER_WH)
