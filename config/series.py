"""How many metric series a configuration leads to. It must never count what only a client's words could add: those become `other`."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import prod

from config.settings import Settings

MOST_SERIES = 5_000
"""Beyond it the metrics fold new combinations into `other` (design of the metrics room)."""

SERIES_PER_MODEL = 2
"""Cached input and reasoning tokens."""

SERIES_PER_TAGGED_MODEL = 2
"""Input and output tokens."""

SERIES_PER_TAGGED_PLACE = 7
"""Joules, and grams of two phases by expected value, low and high."""

SERIES_PER_HISTOGRAM = 16
"""13 buckets, the one without end, sum and count; one histogram for the whole call, one for its first bytes."""

OUTCOMES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesForecast:
    """Series when every declared tag value meets every alias. `models` 0: no alias is configured, and the figures are for one model."""

    tag_combinations: int
    models: int
    footprint: int
    calls: int

    @property
    def expected(self) -> int:
        """Series in all."""
        return self.footprint + self.calls

    @property
    def folds(self) -> bool:
        """True when the metrics would fold combinations into `other`."""
        return self.expected > MOST_SERIES


def expected_series(settings: Settings, zones: Iterable[tuple[str, str, str]] = ()) -> SeriesForecast:
    """The forecast for `zones`: (alias, provider, zone) of each deployment; every tag also has `unassigned` and `other`."""
    served = set(zones)
    bound = {name: {*values} for name, values in settings.tags.items()}
    for key in settings.keys:
        for name in bound.keys() & key.tags.keys():
            bound[name].add(key.tags[name])
    combinations = prod(len(values) + 2 for values in bound.values())
    models = len({alias for alias, _, _ in served}) or 1
    places = len({(alias, zone) for alias, _, zone in served}) or 1
    kinds = len({(alias, provider) for alias, provider, _ in served}) or 1
    tagged = models * SERIES_PER_TAGGED_MODEL + places * SERIES_PER_TAGGED_PLACE
    return SeriesForecast(
        tag_combinations=combinations,
        models=models if served else 0,
        footprint=combinations * tagged + models * SERIES_PER_MODEL,
        calls=kinds * OUTCOMES + models * 2 * SERIES_PER_HISTOGRAM,
    )
