"""What families are made of: plain numbers of one process, or others with the same methods. It must never cost a call anything."""

from typing import Protocol

from prometheus_client import CollectorRegistry

from proxy.metrics.tally import CounterFamily, HistogramFamily


class Kit(Protocol):
    """Makes families and registers them."""

    @property
    def registry(self) -> CollectorRegistry:
        """All collectors."""

    def counter(self, name: str, meaning: str, labels: tuple[str, ...]) -> CounterFamily:
        """A counter that is exposed."""

    def histogram(self, name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> HistogramFamily:
        """A histogram that is exposed."""


class LoneKit:
    """For a process that counts alone."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)

    def counter(self, name: str, meaning: str, labels: tuple[str, ...]) -> CounterFamily:
        """A counter of this process."""
        family = CounterFamily(name, meaning, labels)
        self.registry.register(family)
        return family

    def histogram(self, name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> HistogramFamily:
        """A histogram of this process."""
        family = HistogramFamily(name, meaning, labels, bounds)
        self.registry.register(family)
        return family
