"""Weighs the calls of one deployment with coefficients computed once. It must never do more per call than a few multiplications."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from estimators.energy import Energy, PerUnit
from estimators.estimate import Estimate, QualityParts, Tier
from estimators.physics_lines import Lines
from estimators.profiles import PROFILES
from estimators.quantity import Z95, LogVariance, Quantity, scale
from estimators.usage import Metered, Usage, UsageSource

USAGE_TIERS: dict[UsageSource, Tier] = {"provider": "A", "counted": "C", "estimated": "E"}
NO_TOKENS = "no-tokens"
NO_BYTES = "network-bytes-unknown"
BEYOND_SERVING = 2
"""The last lines of `Lines`, which lie beyond serving."""

_new = tuple.__new__
"""Builds a named tuple without the cost of its argument parsing: ten lines per call, two tuples each."""


class Coefficients(NamedTuple):
    """Medians per unit, at short context: facility Wh, and gCO2e of the profile."""

    facility_wh: PerUnit
    gco2e: PerUnit


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """The fields of an estimate that are the same for every call of the deployment."""

    method: str
    method_version: str
    factor_set: str
    profile: str
    model_tier: Tier
    hardware_tier: Tier
    zone_tier: Tier
    gco2e_per_kwh: float
    intensity_source: str
    intensity_year: int
    zone: str
    warnings: tuple[str, ...]


class Meters(Protocol):
    """Weighs calls whose energy somebody measured (metered.py)."""

    def estimate(self, usage: Usage, metered: Metered, modelled_facility_wh: Quantity, network_bytes: int | None) -> Estimate:
        """The footprint by the meter's figure; `modelled_facility_wh` is what to hold it against."""


class Prepared:
    """A method's coefficients for one model at one place; `estimate` is the hot path."""

    __slots__ = (
        "_meters",
        "adds_network",
        "coefficients",
        "energy",
        "gco2e_doubt",
        "gpu_energy_j",
        "labels",
        "line_doubt",
        "lines",
        "quality_parts",
    )

    def __init__(
        self,
        energy: Energy,
        lines: Lines,
        labels: Labels,
        *,
        meters: Meters | None = None,
        usage_tiers: Mapping[UsageSource, Tier] = USAGE_TIERS,
    ) -> None:
        """meters: what weighs a call that carries metered energy; None weighs it like any other."""
        self.lines = lines
        self._meters = meters
        self.gpu_energy_j = energy.gpu_energy_j
        self.energy = energy
        self.labels = labels
        self.quality_parts = {
            source: QualityParts(usage=tier, model=labels.model_tier, hardware=labels.hardware_tier, zone=labels.zone_tier)
            for source, tier in usage_tiers.items()
        }
        self.line_doubt = max(line.variance.total for line in lines[:-BEYOND_SERVING] if line is not None)
        self.adds_network = PROFILES[labels.profile].has_network
        self.gco2e_doubt = lines.gco2e.variance
        self.coefficients = Coefficients(
            PerUnit(*(gpu_j * lines.facility_energy_wh.p50 for gpu_j in energy.per_unit_j)),
            PerUnit(*(gpu_j * lines.gco2e.p50 for gpu_j in energy.per_unit_j)),
        )

    def estimate(self, usage: Usage, possible_output_tokens: int | None = None, network_bytes: int | None = None) -> Estimate:
        """The footprint of one attempt; with `possible_output_tokens` its high end covers the provider having gone on to that length.

        network_bytes: of request and answer together; None: unknown, and so is the network's line.
        """
        p50, variance = self.gpu_energy_j(usage)
        if usage.metered is not None and self._meters is not None:
            modelled = _line(p50, variance, self.lines.facility_energy_wh)
            return self._meters.estimate(usage, usage.metered, modelled, network_bytes)
        if possible_output_tokens is not None and possible_output_tokens > usage.output_tokens and p50 > 0:
            p50, variance = self._covering(p50, variance, usage, possible_output_tokens)
        return self._estimate(p50, variance, usage, network_bytes)

    def _covering(self, p50: float, variance: LogVariance, usage: Usage, possible_output_tokens: int) -> Quantity:
        """The counted energy, widened in `call` until p95 of every line reaches that of the possible length.

        A log-normal of given mean reaches at most mean * exp(Z95**2 / 2) at p95; where that falls short the mean rises by as
        little as it must.
        """
        possible = self.gpu_energy_j(_longer(usage, possible_output_tokens))
        line = self.line_doubt
        target = math.log(possible.p50) + Z95 * math.sqrt(possible.variance.total + line)
        log_mean = math.log(p50) + (variance.total + line) / 2
        sd = math.sqrt(variance.total + line)
        if log_mean - sd * sd / 2 + Z95 * sd >= target:
            return Quantity(p50, variance)
        need = target - log_mean
        sd = max(sd, Z95 - math.sqrt(max(Z95 * Z95 - 2 * need, 0.0)), math.sqrt(possible.variance.total + line))
        log_p50 = max(log_mean - sd * sd / 2, target - Z95 * sd)
        return Quantity(math.exp(log_p50), variance._replace(call=variance.call + sd * sd - variance.total - line))

    def _estimate(self, p50: float, variance: LogVariance, usage: Usage, network_bytes: int | None) -> Estimate:
        labels, lines = self.labels, self.lines
        parts = self.quality_parts[usage.source]
        warnings = labels.warnings
        if not (usage.input_tokens or usage.output_tokens or usage.media is not None):
            warnings = (*warnings, NO_TOKENS)
        gco2e, network = _line(p50, variance, lines.gco2e), None
        if network_bytes is not None and lines.network_gco2e_per_byte is not None:
            network = scale(lines.network_gco2e_per_byte, network_bytes)
        if self.adds_network:
            gco2e, warnings = (gco2e, (*warnings, NO_BYTES)) if network is None else (_with_network(gco2e, network), warnings)
        return Estimate(
            method=labels.method,
            method_version=labels.method_version,
            factor_set=labels.factor_set,
            profile=labels.profile,
            it_energy_wh=_line(p50, variance, lines.it_energy_wh),
            facility_energy_wh=_line(p50, variance, lines.facility_energy_wh),
            gpu_seconds=_line(p50, variance, lines.gpu_seconds),
            operational_gco2e=_line(p50, variance, lines.operational_gco2e),
            embodied_gco2e=_line(p50, variance, lines.embodied_gco2e),
            gco2e=gco2e,
            water_ml=_line(p50, variance, lines.water_ml),
            primary_energy_mj=_line(p50, variance, lines.primary_energy_mj),
            adpe_kgsbeq=_line(p50, variance, lines.adpe_kgsbeq),
            market_based_gco2e=None if lines.market_based_gco2e is None else _line(p50, variance, lines.market_based_gco2e),
            training_gco2e=None if lines.training_gco2e is None else _line(p50, variance, lines.training_gco2e),
            network_gco2e=network,
            quality=_overall(variance, self.gco2e_doubt, parts),
            quality_parts=parts,
            gco2e_per_kwh=labels.gco2e_per_kwh,
            intensity_source=labels.intensity_source,
            intensity_year=labels.intensity_year,
            zone=labels.zone,
            warnings=warnings,
        )


def _line(p50: float, variance: LogVariance, line: Quantity) -> Quantity:
    """GPU energy times one line per joule; different causes, so variances add."""
    method, provider, model, _, call = variance
    per_j, (line_method, line_provider, _, line_zone, _) = line
    sums = (method + line_method, provider + line_provider, model, line_zone, call)
    return _new(Quantity, (p50 * per_j, _new(LogVariance, sums)))


def _with_network(total: Quantity, network: Quantity) -> Quantity:
    """total + network as `quantity.add` has it, for a network whose doubt is all in scope `method`: the hot path has no time for more."""
    variance, doubt = total.variance, network.variance.method
    whole = variance.total
    mean_total, mean_network = total.p50 * math.exp(whole / 2), network.p50 * math.exp(doubt / 2)
    if mean_network <= 0 or mean_total <= 0:
        return total if mean_network <= 0 else network
    mean = mean_total + mean_network
    a, b = mean_total / mean, mean_network / mean
    sd, sd_network = math.sqrt(variance.method), math.sqrt(doubt)
    moment = a * a * math.expm1(whole) + b * b * math.expm1(doubt) + 2 * a * b * math.expm1(sd * sd_network)
    found = math.log1p(moment)
    method = (a * sd + b * sd_network) ** 2
    others = a * a
    weights = method + others * (whole - variance.method)
    share = found / weights if weights > 0 else 0.0
    of_others = others * share
    parts = (
        method * share,
        variance.provider * of_others,
        variance.model * of_others,
        variance.zone * of_others,
        variance.call * of_others,
    )
    return _new(Quantity, (mean * math.exp(-found / 2), _new(LogVariance, parts)))


def _overall(variance: LogVariance, line: LogVariance, parts: QualityParts) -> Tier:
    """Tier of the part with the largest share of the variance of gco2e: call is usage, method and provider are hardware.

    A method that states no doubt about model and hardware does not know them any better: then the worse of the two.
    """
    hardware = variance.method + variance.provider + line.method + line.provider
    if hardware <= 0 and variance.model <= 0:
        return max(parts.hardware, parts.model)
    largest = max(hardware, variance.model, line.zone, variance.call)
    if largest == hardware:
        return parts.hardware
    if largest == variance.model:
        return parts.model
    return parts.zone if largest == line.zone else parts.usage


def _longer(usage: Usage, output_tokens: int) -> Usage:
    """The same usage as if it had been counted to the end at `output_tokens`."""
    return replace(usage, output_tokens=output_tokens, partial=False)
