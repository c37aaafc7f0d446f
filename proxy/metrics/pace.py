"""Lets others run while the exposition is made: the interpreter works for one thread at a time. It must never change what is exposed."""

import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

T = TypeVar("T")
AT_ONCE: Final = 40
"""Samples between two pauses: a quarter of a millisecond of work."""
PAUSE_S: Final = 0.00005
"""A thread that really sleeps hands the interpreter over; one that only offers it takes it back before the other has woken up."""


def gently(many: Iterable[T], at_once: int = AT_ONCE) -> Iterator[T]:
    """The same, with a pause after so many."""
    for number, each in enumerate(many, 1):
        yield each
        if not number % at_once:
            rest()


def rest() -> None:
    """Lets others run."""
    time.sleep(PAUSE_S)


class _Gently(list[T]):
    """A list that pauses while it is walked through."""

    def __iter__(self) -> Iterator[T]:
        return gently(super().__iter__())


class Gently(Collector):
    """What another collector tells, in small portions."""

    def __init__(self, inner: Collector) -> None:
        self._inner = inner

    def collect(self) -> Iterable[Metric]:
        """The families; walking through their samples pauses now and then."""
        for metric in self._inner.collect():
            metric.samples = _Gently(metric.samples)
            yield metric
