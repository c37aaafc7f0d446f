"""Counts where other workers read them, and exposes the sums over all workers. It must never count what is not in the ledger yet.

The numbers of a worker stay when it ends, and the worker that takes its sheet goes on from them. Exemplars need a single worker: the sums
of several have none.
"""

import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from config.settings import Settings
from config.tables import Tables
from proxy.call import CallRecord
from proxy.metrics import Metrics
from proxy.metrics.families import Families
from proxy.metrics.pace import gently
from proxy.metrics.series import Series
from proxy.metrics.sheet import Place
from proxy.metrics.sheets import COUNT, PART, Key, SheetFull, Sheets, sum_of
from proxy.metrics.states import States
from proxy.metrics.tally import CHILDREN_AT_ONCE, Buckets, CounterFamily, HistogramFamily, Tally

_log = logging.getLogger("grammage.metrics")


class SharedTally(Tally):
    """One child of a counter, on this worker's sheet."""

    __slots__ = ("_at", "_numbers")

    def __init__(self, place: Place) -> None:
        self._numbers, self._at, _ = place
        self.exemplar = None

    @property
    def total(self) -> float:
        """What this worker, and those before it on the sheet, counted."""
        return float(self._numbers[self._at])

    @total.setter
    def total(self, total: float) -> None:
        self._numbers[self._at] = total


class SharedCounterFamily(CounterFamily):
    """The children of one counter over all workers."""

    def __init__(self, sheets: Sheets, name: str, meaning: str, labels: tuple[str, ...]) -> None:
        super().__init__(name, meaning, labels)
        self._sheets = sheets
        self._children: dict[tuple[str, ...], Tally] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> Tally:
        """The child of these label values, made at its first use. Raises ValueError for a wrong number of them."""
        found = self._children.get(values)
        if found is None:
            if len(values) != len(self._labels):
                raise ValueError(f"{self._name} has the labels {self._labels}, got {values}")
            place = _place(self._sheets, (COUNT, self._name, *values), 1)
            found = self._children[values] = Tally() if place is None else SharedTally(place)
        return found

    def has_room(self, values: tuple[str, ...], most: int) -> bool:
        """Whether a new child may be made, so that all workers together have no more than `most`."""
        with self._sheets.alone():
            known = self._sheets.of(COUNT, self._name)
            if values in known or len(known) < most:
                self.labels(*values)
                return True
        return False

    def collect(self) -> Iterable[Metric]:
        """The family as it stands now, summed over the workers."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, places in gently(self._sheets.of(COUNT, self._name).items()):
            family.add_metric(values, sum_of(places))
        yield family


class SharedBuckets(Buckets):
    """One child of a histogram, on this worker's sheet: its sum, then its counts."""

    __slots__ = ("_first", "_numbers")

    def __init__(self, bounds: tuple[float, ...], place: Place) -> None:
        super().__init__(bounds)
        self._numbers, self._first, _ = place

    def observe(self, value: float, call_id: str) -> None:
        """Counts one observation."""
        numbers = self._numbers
        numbers[self._first + 1 + bisect_left(self._bounds, value)] += 1
        numbers[self._first] += value


class SharedHistogramFamily(HistogramFamily):
    """The children of one histogram over all workers."""

    def __init__(self, sheets: Sheets, name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> None:
        super().__init__(name, meaning, labels, bounds)
        self._sheets = sheets
        self._children: dict[tuple[str, ...], Buckets] = {}
        if not labels:
            self.labels()

    def labels(self, *values: str) -> Buckets:
        """The child of these label values, made at its first use."""
        found = self._children.get(values)
        if found is None:
            place = _place(self._sheets, (COUNT, self._name, *values), len(self._bounds) + 2)
            found = self._children[values] = Buckets(self._bounds) if place is None else SharedBuckets(self._bounds, place)
        return found

    def collect(self) -> Iterable[Metric]:
        """The family as it stands now, summed over the workers."""
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, places in gently(self._sheets.of(COUNT, self._name).items(), CHILDREN_AT_ONCE):
            count, buckets = 0.0, []
            for number, edge in enumerate(self._edges, 1):
                count += sum(place.numbers[place.first + number] for _, place in places)
                buckets.append((edge, count))
            family.add_metric(values, buckets, sum_value=sum_of(places))
        yield family


class SharedSeries(Series):
    """Keeps the bound over all workers: what one of them admitted is known to all, and counts once."""

    def __init__(self, families: Families, sheets: Sheets) -> None:
        super().__init__(families)
        self._sheets = sheets
        self._learned: Counter[str] = Counter()

    def _admit(self, parts: dict[tuple[str, ...], int], *, always: bool) -> bool:
        if all(part in self._known for part in parts):
            return True
        with self._sheets.alone():
            for name in self._sheets.names(PART):
                self._learn(name)
            fresh = {part: size for part, size in parts.items() if part not in self._known}
            if not super()._admit(parts, always=always):
                return False
            for part, size in fresh.items():
                _place(self._sheets, (PART, str(size), *part), 0)
        return True

    def _learn(self, name: str) -> None:
        """Takes in what was admitted since it last looked; name: how many series each of these parts has."""
        fresh = self._sheets.keys_since(PART, name, self._learned[name])
        self._learned[name] += len(fresh)
        for part in fresh:
            if part not in self._known:
                self._known.add(part)
                self.count += int(name)


class SharedKit:
    """What metrics are made of where several workers count together."""

    def __init__(self, sheets: Sheets) -> None:
        self._sheets = sheets
        self.registry = States(sheets)

    def counter(self, name: str, meaning: str, labels: tuple[str, ...]) -> CounterFamily:
        """A counter over all workers."""
        return self.registry.whole(SharedCounterFamily(self._sheets, name, meaning, labels))

    def histogram(self, name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> HistogramFamily:
        """A histogram over all workers."""
        return self.registry.whole(SharedHistogramFamily(self._sheets, name, meaning, labels, bounds))


class SharedMetrics(Metrics):
    """What all workers have counted. A call is counted once the ledger has it: a worker that is killed in between leaves no count behind.

    `observe` and `kept` belong to the event loop. write_down: for the state that others read, such as queue lengths; now and then.
    """

    def __init__(self, settings: Settings, tables: Tables, sheets: Sheets, *, version: str, built_in_aliases: Iterable[str]) -> None:
        self._sheets = sheets
        self._kit = SharedKit(sheets)
        self._waiting: dict[int, CallRecord] = {}
        super().__init__(settings, tables, version=version, built_in_aliases=built_in_aliases, kit=self._kit)

    def observe(self, record: CallRecord) -> None:
        """Keeps the call in mind until `kept` is told of it."""
        self._waiting[id(record)] = record

    def kept(self, record: CallRecord) -> None:
        """Counts a call that the ledger has dealt with; what was given to the ledger for another reason is no call."""
        if self._waiting.pop(id(record), None) is not None:
            super().observe(record)

    def _bounded(self, families: Families) -> Series:
        return SharedSeries(families, self._sheets)

    def write_down(self) -> None:
        """Lets other workers know this one's state."""
        self._kit.registry.write_down()


_told_full: set[int] = set()


def _place(sheets: Sheets, key: Key, width: int) -> Place | None:
    """The place of the key; None, said once, when the sheet is full: the child then counts for nobody."""
    try:
        return sheets.place(key, width)
    except SheetFull as error:
        if id(sheets) not in _told_full:
            _told_full.add(id(sheets))
            _log.error("the memory for counts is full (%s): new series are not exposed until a restart", error)
        return None
