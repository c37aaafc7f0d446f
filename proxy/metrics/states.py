"""Writes down what a worker tells of its state, and merges what all of them wrote. It must never show the state of a worker that is gone.

State is what collectors read when they are asked, such as queue lengths, and counters kept elsewhere. Counters are summed over the living
and the dead; other figures are merged over the living, each by its own rule.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TypeVar

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from proxy.metrics.pace import AT_ONCE, gently
from proxy.metrics.sheet import Place
from proxy.metrics.sheets import STATE, Key, SheetFull, Sheets, sum_of

Merge = Callable[[Sequence[float]], float]
C = TypeVar("C", bound=Collector)

MERGES: Final[Mapping[str, Merge]] = {
    "grammage_ledger_queue_calls": sum,
    "grammage_ledger_oldest_call_seconds": max,
    "grammage_ledger_commit_seconds": max,
    "grammage_reuse_store_bytes": sum,
    "grammage_deployment_passed_over": max,
    "grammage_budget_limit_grams": max,
    "grammage_budget_used_grams": max,
    "grammage_budget_reserved_grams": max,
    "grammage_budget_period_end_timestamp_seconds": max,
    "grammage_grid_carbon_intensity_age_seconds": min,
    "grammage_config_reload_success": min,
}
"""How the figures of several workers become one. Others are the same in all of them, such as `build_info`: the newest stands."""

COUNTER: Final = "counter"


class States(CollectorRegistry):
    """A registry whose collectors tell of this worker only, and are merged with the others'; `whole` ones tell of all by themselves."""

    def __init__(self, sheets: Sheets) -> None:
        super().__init__(auto_describe=False)
        self._sheets = sheets
        self._told: list[Collector] = []
        self._counted: dict[Key, float] = {}
        self._writing = threading.Lock()

    def register(self, collector: Collector) -> None:
        """Takes a collector of this worker's state."""
        self._told.append(collector)

    def whole(self, collector: C) -> C:
        """Takes a collector that sums over the workers itself."""
        super().register(collector)
        return collector

    def write_down(self) -> None:
        """Writes what the collectors tell now on this worker's sheet; on any thread, and not twice at once."""
        if not self._writing.acquire(blocking=False):
            return
        try:
            tick = self._sheets.own.tick + 1
            for collector in list(self._told):
                for metric in collector.collect():
                    self._write(metric, tick)
            self._sheets.own.tick = tick
        except SheetFull:
            return  # said where counts are made: the sheet is the same
        finally:
            self._writing.release()

    def collect(self) -> Iterable[Metric]:
        """All families: those that are counted together, then the state of all workers."""
        self.write_down()
        for _ in gently(iter(lambda: self._sheets.catch_up(AT_ONCE), False), 1):
            continue
        yield from super().collect()
        for described in self._sheets.names(STATE):
            yield self._merged(described)

    def _write(self, metric: Metric, tick: float) -> None:
        described = msgspec.json.encode((metric.name, metric.type, metric.documentation)).decode()
        if not metric.samples:
            self._sheets.place((STATE, described), 0)
        for sample in metric.samples:
            key = (STATE, described, sample.name, *(part for pair in sample.labels.items() for part in pair))
            if metric.type == COUNTER:
                self._count(key, sample.value)
                continue
            value, since = _two(self._sheets.place(key, 2))
            value.numbers[value.first] = sample.value
            since.numbers[since.first] = tick

    def _count(self, key: Key, told: float) -> None:
        """Adds what was counted since the last time; a counter that begins anew does so from 0."""
        place, before = self._sheets.place(key, 1), self._counted.get(key, 0.0)
        place.numbers[place.first] += told - before if told >= before else told
        self._counted[key] = told

    def _merged(self, described: str) -> Metric:
        name, kind, meaning = msgspec.json.decode(described, type=tuple[str, str, str])
        metric = Metric(name, meaning, kind)
        for key, places in self._sheets.of(STATE, described).items():
            if not key:
                continue
            labels = dict(zip(key[1::2], key[2::2], strict=True))
            value = sum_of(places) if kind == COUNTER else self._alive(name, places)
            if value is not None:
                metric.add_sample(key[0], labels, value)
        return metric

    def _alive(self, name: str, places: Sequence[tuple[int, Place]]) -> float | None:
        """The merged figure of those who still tell one; None when nobody does."""
        told = [
            place.numbers[place.first]
            for number, place in places
            if self._sheets.is_alive(number) and place.numbers[place.first + 1] >= self._sheets.all[number].tick
        ]
        if not told:
            return None
        merge = MERGES.get(name)
        return told[-1] if merge is None else float(merge(told))


def _two(place: Place) -> tuple[Place, Place]:
    """The value's place, and that of the round it was told in."""
    return place, place._replace(first=place.first + 1)
