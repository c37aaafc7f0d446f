"""Keeps the label children of each combination at hand, and their number bounded. It must never grow with what clients send."""

from typing import NamedTuple

from config.series import MOST_SERIES
from proxy.metrics.families import CALL_BUCKETS, Families
from proxy.metrics.labels import OTHER
from proxy.metrics.tally import Buckets, CounterFamily, Tally

MOST_CODES = 64
HISTOGRAM_SERIES = len(CALL_BUCKETS) + 3
PHASES = ("operational", "embodied")


class CallSeries(NamedTuple):
    """Children that one call touches."""

    requests: Tally
    duration: Buckets
    first_token: Buckets


class FootprintSeries:
    """Children that an attempt touches: tokens in, out, cached, reasoning; joules; operational and embodied mean, low, high; or media."""

    __slots__ = ("_children",)

    def __init__(self, children: tuple[Tally, ...]) -> None:
        self._children = children

    def add(self, amounts: tuple[float, ...]) -> None:
        """Adds to the children, in their order."""
        for child, amount in zip(self._children, amounts, strict=True):
            child.total += amount


class Codes:
    """Children of a family whose values are codes of ours, such as reasons; beyond `most` a new one is `other`."""

    __slots__ = ("_children", "_family", "_most", "_overflow")

    def __init__(self, family: CounterFamily, overflow: CounterFamily, *, most: int = MOST_CODES) -> None:
        self._most = most
        self._family = family
        self._overflow = overflow
        self._children: dict[tuple[str, ...], Tally] = {}

    def __call__(self, *values: str) -> Tally:
        """The child of these label values."""
        found = self._children.get(values)
        if found is None:
            if not self._family.has_room(values, self._most):
                self._overflow.inc()
                return self._family.labels(*(OTHER,) * len(values))
            found = self._children[values] = self._family.labels(*values)
        return found


class Series:
    """The children by combination. Beyond `MOST_SERIES` a new combination is counted as all-`other`, and that it was, is counted too."""

    __slots__ = ("_calls", "_families", "_footprints", "_known", "_media", "count")

    def __init__(self, families: Families) -> None:
        self.count = 0
        self._families = families
        self._known: set[tuple[str, ...]] = set()
        self._calls: dict[tuple[str, str, str, str], CallSeries] = {}
        self._footprints: dict[tuple[str, str, tuple[str, ...]], FootprintSeries] = {}
        self._media: dict[tuple[str, tuple[str, ...]], FootprintSeries] = {}

    def of_call(self, operation: str, provider: str, model: str, outcome: str) -> CallSeries:
        """Children for a call."""
        key = (operation, provider, model, outcome)
        found = self._calls.get(key)
        if found is not None:
            return found
        other = (operation, OTHER, OTHER, outcome)
        parts = {("requests", *key): 1, ("duration", operation, model): HISTOGRAM_SERIES, ("first_token", model): HISTOGRAM_SERIES}
        if not self._admit(parts, always=key == other):
            return self.of_call(*other)
        names = self._families
        made = CallSeries(names.requests.labels(*key), names.duration.labels(operation, model), names.first_token.labels(model))
        self._calls[key] = made
        return made

    def of_footprint(self, model: str, zone: str, tags: tuple[str, ...]) -> FootprintSeries:
        """Children for an attempt."""
        key = (model, zone, tags)
        found = self._footprints.get(key)
        if found is not None:
            return found
        other = (OTHER, OTHER, (OTHER,) * len(tags))
        parts = {("model", model): 2, ("tokens", model, *tags): 2, ("footprint", model, zone, *tags): 7}
        if not self._admit(parts, always=key == other):
            return self.of_footprint(*other)
        names = self._families
        mean, low, high = names.emissions
        made = FootprintSeries(
            (
                names.input.labels(*tags, model),
                names.output.labels(*tags, model),
                names.cached.labels(model),
                names.reasoning.labels(model),
                names.energy.labels(*tags, model, zone),
                *(family.labels(*tags, model, zone, phase) for phase in PHASES for family in (mean, low, high)),
            )
        )
        self._footprints[key] = made
        return made

    def of_media(self, model: str, tags: tuple[str, ...]) -> FootprintSeries:
        """Children for what an attempt made or heard: pictures, seconds of audio, seconds of video."""
        key = (model, tags)
        found = self._media.get(key)
        if found is not None:
            return found
        other = (OTHER, (OTHER,) * len(tags))
        families = self._families.media
        if not self._admit({("media", model, *tags): len(families)}, always=key == other):
            return self.of_media(*other)
        made = self._media[key] = FootprintSeries(tuple(family.labels(*tags, model) for family in families))
        return made

    def _admit(self, parts: dict[tuple[str, ...], int], *, always: bool) -> bool:
        fresh = {part: size for part, size in parts.items() if part not in self._known}
        size = sum(fresh.values())
        if self.count + size > MOST_SERIES and not always:
            self._families.overflow.inc()
            return False
        self._known.update(fresh)
        self.count += size
        return True
