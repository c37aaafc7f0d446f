"""Exposes what the proxy itself weighs, beside the calls and in none of their sums. It must never look at the process: it is told."""

from collections.abc import Callable, Iterable
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class OwnFigures(Protocol):
    """What one process found of itself, as of its last look; grams as expected value, 5th and 95th percentile."""

    @property
    def cpu_s(self) -> float: ...
    @property
    def measured_j(self) -> float: ...
    @property
    def modelled_j(self) -> float: ...
    @property
    def operational_gco2e(self) -> tuple[float, float, float]: ...
    @property
    def embodied_gco2e(self) -> tuple[float, float, float]: ...


OwnSource = Callable[[], OwnFigures | None]
EMISSIONS = (
    ("own_emissions_co2e_grams", "Emissions of the proxy itself, location-based, expected value; in no other metric."),
    ("own_emissions_co2e_low_grams", "Emissions of the proxy itself, 5th percentile of each hour (sums are outer bounds)."),
    ("own_emissions_co2e_high_grams", "Emissions of the proxy itself, 95th percentile of each hour (sums are outer bounds)."),
)


class OwnCollector(Collector):
    """Reads the proxy's own weight when asked."""

    def __init__(self, own: OwnSource) -> None:
        self._own = own

    def collect(self) -> Iterable[Metric]:
        """Processor time, energy by how its power is known, grams by phase."""
        found = self._own()
        if found is None:
            return
        yield CounterMetricFamily("grammage_own_cpu_seconds", "Processor time of the proxy itself.", value=found.cpu_s)
        energy = CounterMetricFamily(
            "grammage_own_energy_joules", "Facility energy of the proxy itself, expected value.", labels=("power",)
        )
        energy.add_metric(("measured",), found.measured_j)
        energy.add_metric(("modelled",), found.modelled_j)
        yield energy
        for at, (name, meaning) in enumerate(EMISSIONS):
            grams = CounterMetricFamily(f"grammage_{name}", meaning, labels=("phase",))
            grams.add_metric(("operational",), found.operational_gco2e[at])
            grams.add_metric(("embodied",), found.embodied_gco2e[at])
            yield grams
