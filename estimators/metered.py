"""Turns energy that somebody measured into an estimate's lines. It must never add what the meter already contains."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from estimators.energy import PerUnit
from estimators.estimate import Estimate, Tier
from estimators.physics_beyond import within
from estimators.physics_lines import J_PER_WH, WH_PER_J, Lines, Serving, average, host_and_idle, lines_per_gpu_j, lines_through
from estimators.prepared import Labels, Prepared
from estimators.profiles import PROFILES
from estimators.quantity import LogVariance, Quantity, around, exact, multiply, scale
from estimators.usage import MeterBoundary, Metered, Usage, UsageSource

METHOD = "metered"
VERSION = "1.0.0"
FAR_FROM_MODEL = "metered-far-from-model"
NO_UNITS = PerUnit()
"""A meter says what a call took, not what the next will take: routing compares by the model's coefficients."""

OWN_MODELS: Mapping[str, str] = {"greenpt": "metered.sd_runtime"}
"""Sources whose figure comes from running time and assumed power, not from a meter, and the row of their doubt."""


class MeterEnergy:
    """The figure of one kind of meter: joules at the meter's own boundary, with the doubt of the meter and of the share."""

    __slots__ = ("_doubt", "per_unit_j")

    def __init__(self, doubt: LogVariance) -> None:
        self._doubt = doubt
        self.per_unit_j = NO_UNITS

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Joules at the meter's boundary (not of the GPUs alone, where the meter sees more); raises ValueError without a figure."""
        if usage.metered is None:
            raise ValueError("this usage carries no metered energy")
        return around(usage.metered.energy_wh * J_PER_WH, self._doubt)


class MeterScales:
    """Weighs metered calls of one deployment; the lines of each boundary are worked out when the first such call comes."""

    __slots__ = ("_factors", "_labels", "_prepared", "_serving")

    def __init__(self, serving: Serving, labels: Labels) -> None:
        self._serving = serving
        self._factors = serving.factors
        self._labels = labels
        self._prepared: dict[tuple[MeterBoundary, bool, str], Prepared] = {}

    def estimate(self, usage: Usage, metered: Metered, modelled_facility_wh: Quantity, network_bytes: int | None) -> Estimate:
        """The footprint by the meter; warns where the figure lies far outside what the model holds possible."""
        key = (metered.boundary, metered.shared, metered.source if metered.source in OWN_MODELS else "")
        prepared = self._prepared.get(key)
        if prepared is None:
            prepared = self._prepared[key] = self._prepare(metered)
        estimate = prepared.estimate(usage, network_bytes=network_bytes)
        ratio = self._factors["metered.far_ratio"].value
        facility_wh = estimate.facility_energy_wh.mean
        if modelled_facility_wh.p5 / ratio <= facility_wh <= modelled_facility_wh.p95 * ratio:
            return estimate
        return estimate._replace(warnings=(*estimate.warnings, FAR_FROM_MODEL))

    def _prepare(self, metered: Metered) -> Prepared:
        own_model = OWN_MODELS.get(metered.source)
        tier: Tier = "B" if metered.shared or own_model else "A"
        said = (f"metered-{metered.boundary}", *(("meter-shared",) if metered.shared else ()))
        labels = replace(
            self._labels,
            method=METHOD,
            method_version=VERSION,
            model_tier=tier,
            hardware_tier=tier,
            warnings=(*self._labels.warnings, *said),
        )
        accuracy = self._factors[own_model or "metered.sd_meter"].value
        share = self._factors["metered.sd_share"].value if metered.shared else 0.0
        energy = MeterEnergy(LogVariance(provider=accuracy**2, call=share**2))
        tiers: dict[UsageSource, Tier] = {"provider": tier, "counted": tier, "estimated": tier}
        serving = lines_per_meter_j(metered.boundary, self._serving)
        return Prepared(energy, within(PROFILES[labels.profile], serving, self._factors), labels, usage_tiers=tiers)


def lines_per_meter_j(boundary: MeterBoundary, serving: Serving) -> Lines:
    """All lines of one joule at the meter's `boundary`: what the meter leaves out is added, what it holds is not.

    gpu: host, idle and PUE are added. it: PUE alone. facility: nothing; IT energy is the figure over PUE. GPU seconds and embodied
    follow from the GPUs' part of the energy.
    """
    return _LINES[boundary](serving)


def _of_servers(serving: Serving) -> Lines:
    it_wh = exact(WH_PER_J)
    return _through(it_wh, multiply(it_wh, average(serving.place.pue, "provider")), serving)


def _of_facility(serving: Serving) -> Lines:
    facility_wh = exact(WH_PER_J)
    return _through(multiply(facility_wh, _turned(average(serving.place.pue, "provider"))), facility_wh, serving)


def _through(it_wh: Quantity, facility_wh: Quantity, serving: Serving) -> Lines:
    """Lines of an energy that is known for the whole server: its GPUs' part by the usual ratio of host and idle."""
    around_gpus = host_and_idle(serving.factors, serving.utilisation)
    gpu_j = multiply(scale(it_wh, J_PER_WH), _turned(around_gpus))
    return lines_through(gpu_j, it_wh, facility_wh, serving)


def _turned(ratio: Quantity) -> Quantity:
    """1 over a ratio, its mean 1 over the mean."""
    return around(1 / ratio.mean, ratio.variance)


_LINES: Mapping[MeterBoundary, Callable[[Serving], Lines]] = {
    "gpu": lines_per_gpu_j,
    "it": _of_servers,
    "facility": _of_facility,
}
