"""Weighs many recorded calls of one deployment at once. It must never give another figure than weighing them one by one."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from estimators.columns import UNKNOWN, Flags, Floats, Quantities, UsageColumns, Variances, Whole, add_columns
from estimators.energy import USAGE_SOURCES
from estimators.estimate import Estimate
from estimators.prepared import NO_BYTES, NO_TOKENS, Prepared
from estimators.quantity import Z95, LogVariance, Quantity
from estimators.reading_energy import ReadingEnergy
from estimators.token_energy import TokenEnergy
from estimators.token_energy_many import gpu_energy_of_tokens


def _of_reading(energy: ReadingEnergy, usages: UsageColumns) -> Quantities:
    return gpu_energy_of_tokens(energy.tokens, replace(usages, output_tokens=usages.calls))


IN_COLUMNS: Mapping[type, Callable[[Any, UsageColumns], Quantities]] = {
    TokenEnergy: gpu_energy_of_tokens,
    ReadingEnergy: _of_reading,
}
"""Kinds of energy that can be worked out column by column; calls of the others are weighed one by one."""

PER_BYTE = "network_gco2e_per_byte"
QUALITY_PARTS = ("hardware", "model", "zone", "usage")
"""Whose tier an estimate takes, by their share of the variance; of equal shares the first."""

CALLS_AT_ONCE = 100_000
"""Calls that fit into memory at once without notice, about 30 MB; more are better handed over in pieces of this size."""


class EstimateColumns(NamedTuple):
    """What many calls weigh: each line's quantities, None where the line is not known of any call.

    network_known: where network_gco2e stands; elsewhere that line is unknown, not nothing. no_tokens: calls that carry that warning.
    leading: index into QUALITY_PARTS.
    """

    lines: dict[str, Quantities | None]
    network_known: Flags
    no_tokens: Flags
    leading: Whole
    prepared: Prepared
    usages: UsageColumns

    def at(self, i: int) -> Estimate:
        """The estimate of call `i`, as `Prepared.estimate` gives it."""
        labels = self.prepared.labels
        found: dict[str, Any] = {name: column if column is None else column.at(i) for name, column in self.lines.items()}
        if not self.network_known[i]:
            found["network_gco2e"] = None
        parts = self.prepared.quality_parts[USAGE_SOURCES[self.usages.source[i]]]
        no_bytes = self.prepared.adds_network and not self.network_known[i]
        warnings = (*labels.warnings, *([NO_TOKENS] if self.no_tokens[i] else []), *([NO_BYTES] if no_bytes else []))
        return Estimate(
            **found,
            method=labels.method,
            method_version=labels.method_version,
            factor_set=labels.factor_set,
            profile=labels.profile,
            quality=getattr(parts, QUALITY_PARTS[self.leading[i]]),
            quality_parts=parts,
            gco2e_per_kwh=labels.gco2e_per_kwh,
            intensity_source=labels.intensity_source,
            intensity_year=labels.intensity_year,
            zone=labels.zone,
            warnings=warnings,
        )


def can_weigh_many(prepared: Prepared) -> bool:
    """Whether `estimate_many` takes calls of this deployment; a method with an arithmetic of its own is weighed call by call."""
    return type(prepared) is Prepared and type(prepared.energy) in IN_COLUMNS


def estimate_many(prepared: Prepared, usages: UsageColumns) -> EstimateColumns:
    """The footprint of each call, as `prepared.estimate` gives it one by one; metered calls must not be among them.

    Raises ValueError where `can_weigh_many` is False.
    """
    if not can_weigh_many(prepared):
        raise ValueError(f"method {prepared.labels.method!r} weighs its calls one by one; use Prepared.estimate")
    energy = _covering(prepared, IN_COLUMNS[type(prepared.energy)](prepared.energy, usages), usages)
    known = usages.network_bytes != UNKNOWN
    found = {name: _line(energy, line) for name, line in prepared.lines._asdict().items() if name != PER_BYTE}
    found["network_gco2e"] = network = _network(prepared.lines.network_gco2e_per_byte, usages, known)
    if prepared.adds_network and network is not None and found["gco2e"] is not None:
        found["gco2e"] = add_columns(found["gco2e"], network)
    return EstimateColumns(
        lines=found,
        network_known=known if network is not None else np.zeros_like(known),
        no_tokens=(usages.input_tokens == 0) & (usages.output_tokens == 0),
        leading=_leading(energy, prepared.gco2e_doubt),
        prepared=prepared,
        usages=usages,
    )


def _line(energy: Quantities, line: Quantity | None) -> Quantities | None:
    """GPU energy times one line per joule; different causes, so variances add."""
    if line is None:
        return None
    doubt, of_call = line.variance, energy.variance
    zone = np.broadcast_to(np.float64(doubt.zone), energy.p50.shape)
    parts = Variances(of_call.method + doubt.method, of_call.provider + doubt.provider, of_call.model, zone, of_call.call)
    return Quantities(energy.p50 * line.p50, parts)


def _network(per_byte: Quantity | None, usages: UsageColumns, known: Flags) -> Quantities | None:
    """The network's line, nothing where the bytes are not known; None when they are known of no call."""
    if per_byte is None or not np.any(known):
        return None
    p50 = np.where(known, usages.network_bytes, 0) * per_byte.p50
    return Quantities(p50, Variances(*(np.broadcast_to(np.float64(doubt), p50.shape) for doubt in per_byte.variance)))


def _covering(prepared: Prepared, energy: Quantities, usages: UsageColumns) -> Quantities:
    """The counted energy, widened where the provider may have gone on, as `Prepared` widens one call."""
    longer = (usages.possible_output_tokens > usages.output_tokens) & (energy.p50 > 0)
    if not np.any(longer):
        return energy
    line = prepared.line_doubt
    further = np.where(longer, usages.possible_output_tokens, usages.output_tokens)
    whole = replace(usages, output_tokens=further, partial=np.zeros_like(usages.partial))
    possible = IN_COLUMNS[type(prepared.energy)](prepared.energy, whole)
    with np.errstate(divide="ignore", invalid="ignore"):
        total, possible_total = energy.variance.total, possible.variance.total
        target = np.log(possible.p50) + Z95 * np.sqrt(possible_total + line)
        log_mean, sd = np.log(energy.p50) + (total + line) / 2, np.sqrt(total + line)
        reached = log_mean - sd * sd / 2 + Z95 * sd >= target
        peak = Z95 - np.sqrt(np.maximum(Z95 * Z95 - 2 * (target - log_mean), 0.0))
        wider = np.maximum(np.maximum(sd, peak), np.sqrt(possible_total + line))
        p50 = np.exp(np.maximum(log_mean - wider * wider / 2, target - Z95 * wider))
    widened = longer & ~reached
    call = np.where(widened, energy.variance.call + wider * wider - total - line, energy.variance.call)
    return Quantities(np.where(widened, p50, energy.p50), energy.variance._replace(call=call))


def _leading(energy: Quantities, line: LogVariance) -> Whole:
    """Which part has the largest share of the variance of gco2e; call is usage, method and provider are hardware."""
    of_call: Variances = energy.variance
    hardware: Floats = of_call.method + of_call.provider + line.method + line.provider
    zone = np.full_like(hardware, line.zone)
    found: Whole = np.argmax(np.stack([hardware, of_call.model, zone, of_call.call]), axis=0)
    return found
