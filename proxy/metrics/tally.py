"""Counters and histograms that cost a call next to nothing: plain numbers, turned into families when asked. It must never lose a count.

One thread counts, any thread reads: a reader sees each number as it was a moment ago, never half of one.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

from proxy.metrics.pace import gently

CHILDREN_AT_ONCE = 4
"""Children of a histogram between two pauses: each has as many samples as buckets."""


class Tally:
    """One child of a counter. `exemplar`: labels that point at the latest count."""

    __slots__ = ("exemplar", "total")

    def __init__(self) -> None:
        self.total = 0.0
        self.exemplar: Mapping[str, str] | None = None

    def inc(self, amount: float = 1.0) -> None:
        """Adds `amount`, >= 0."""
        self.total += amount


class CounterFamily(Collector):
    """The children of one counter by label values; one without labels starts at 0."""

    def __init__(self, name: str, meaning: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._children: dict[tuple[str, ...], Tally] = {} if labels else {(): Tally()}

    def labels(self, *values: str) -> Tally:
        """The child of these label values, made at its first use. Raises ValueError for a wrong number of them."""
        found = self._children.get(values)
        if found is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {self._labels}, got {values}")
            found = self._children[values] = Tally()
        return found

    def has_room(self, values: tuple[str, ...], most: int) -> bool:
        """Whether a child of these label values may be made, so that there are no more than `most`."""
        return len(self._children) < most or values in self._children

    def inc(self) -> None:
        """Adds one to the child without labels."""
        self._children[()].inc()

    def collect(self) -> Iterable[Metric]:
        """The family as it stands now."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, child in gently(list(self._children.items())):
            pointer = None if child.exemplar is None else Exemplar(dict(child.exemplar), 1.0)
            family.add_metric(values, child.total, exemplar=pointer)
        yield family


class Buckets:
    """One child: how many observations fell up to each bound, their sum, and the latest call of each. `observe` belongs to one thread."""

    __slots__ = ("_bounds", "counts", "latest", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.latest: list[tuple[str, float] | None] = [None] * len(self.counts)
        self.total = 0.0

    def observe(self, value: float, call_id: str) -> None:
        """Counts one observation, made on this call."""
        place = bisect_left(self._bounds, value)
        self.counts[place] += 1
        self.latest[place] = (call_id, value)
        self.total += value


class HistogramFamily(Collector):
    """The children of one histogram by label values; one without labels starts at 0."""

    def __init__(self, name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._bounds = bounds
        self._edges = (*(str(floatToGoString(bound)) for bound in bounds), "+Inf")  # type: ignore[no-untyped-call]  # the library has not typed it
        self._children: dict[tuple[str, ...], Buckets] = {} if labels else {(): Buckets(bounds)}

    def labels(self, *values: str) -> Buckets:
        """The child of these label values, made at its first use."""
        found = self._children.get(values)
        if found is None:
            found = self._children[values] = Buckets(self._bounds)
        return found

    def collect(self) -> Iterable[Metric]:
        """The family as it stands now."""
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, child in gently(list(self._children.items()), CHILDREN_AT_ONCE):
            counts, latest, total = list(child.counts), list(child.latest), child.total
            cumulative = [sum(counts[: number + 1]) for number in range(len(counts))]
            buckets = [_bucket(*bucket) for bucket in zip(self._edges, cumulative, latest, strict=True)]
            family.add_metric(values, buckets, sum_value=total)
        yield family


def _bucket(edge: str, count: int, call: tuple[str, float] | None) -> tuple[str, float] | tuple[str, float, Exemplar]:
    """A bucket with what points at its latest call, if there was one."""
    return (edge, count) if call is None else (edge, count, Exemplar({"call_id": call[0]}, call[1]))
