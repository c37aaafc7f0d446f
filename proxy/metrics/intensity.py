"""Exposes the intensity of grids: the yearly figures in force, and what live sources tell. It must never mix kinds or bases."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class LiveFigure(Protocol):
    """What a live source tells of a zone."""

    @property
    def source(self) -> str: ...
    @property
    def zone(self) -> str: ...
    @property
    def gco2e_per_kwh(self) -> float: ...
    @property
    def age_s(self) -> float: ...
    @property
    def kind(self) -> str: ...
    @property
    def basis(self) -> str: ...


class Intensities(Protocol):
    """What the live sources of grid intensity tell; read when /metrics is rendered."""

    def now(self) -> Iterable[LiveFigure]: ...
    def failures(self) -> Mapping[tuple[str, str], int]: ...
    def refused(self) -> Mapping[tuple[str, str], int]: ...


LIFECYCLE = ("average", "lifecycle")
FAMILIES = {
    LIFECYCLE: ("carbon", "Carbon intensity, lifecycle: what calls are weighed with, and what live sources tell beside it."),
    ("average", "direct"): ("direct", "Carbon intensity of combustion alone, as live sources tell it; lower than lifecycle figures."),
    ("marginal", "direct"): ("marginal", "Carbon intensity of one more kWh, as live sources tell it; never to be summed with averages."),
}
"""Kind and basis of figures: the word in the name of their family, and its meaning."""


class IntensityCollector(Collector):
    """Holds the yearly figures that calls are weighed with, and reads the live sources when asked; each kind and basis has its family.

    yearly: by zone and source. live: gives the live sources in force, or None.
    """

    def __init__(self) -> None:
        self.yearly: dict[tuple[str, str], float] = {}
        self.live: Callable[[], Intensities | None] = lambda: None

    def collect(self) -> Iterable[Metric]:
        """The families with their values of now."""
        sources = self.live()
        figures = list(sources.now()) if sources is not None else []
        for key, (word, meaning) in FAMILIES.items():
            told = [((figure.zone, figure.source), figure.gco2e_per_kwh) for figure in figures if (figure.kind, figure.basis) == key]
            yearly = list(self.yearly.items()) if key == LIFECYCLE else []
            if yearly or told:
                yield _intensity(word, meaning, [*yearly, *told])
        if sources is not None:
            yield from _told(sources, figures)


def _told(sources: Intensities, figures: Iterable[LiveFigure]) -> Iterable[Metric]:
    """How old the live figures are, and what came to nothing."""
    ages = GaugeMetricFamily("grammage_grid_carbon_intensity_age_seconds", "Age of a live source's figure.", labels=("zone", "source"))
    for figure in figures:
        ages.add_metric((figure.zone, figure.source), figure.age_s)
    failures = CounterMetricFamily(
        "grammage_grid_intensity_failures", "Questions to a live source that came to nothing.", labels=("source", "zone")
    )
    refused = CounterMetricFamily(
        "grammage_grid_intensity_refused_readings", "Readings of a live source that cannot be true.", labels=("source", "reason")
    )
    for labels, count in sources.failures().items():
        failures.add_metric(labels, count)
    for labels, count in sources.refused().items():
        refused.add_metric(labels, count)
    yield from (ages, failures, refused)


def _intensity(word: str, meaning: str, figures: Iterable[tuple[tuple[str, str], float]]) -> Metric:
    family = GaugeMetricFamily(f"grammage_grid_{word}_intensity_grams_per_kilowatt_hour", meaning, labels=("zone", "source"))
    for labels, figure in figures:
        family.add_metric(labels, figure)
    return family
