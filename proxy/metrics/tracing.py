"""Exposes what became of the spans that were made. It must never count a call: one that is not told of was made too."""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class SpanCounts(Protocol):
    """How many spans went out, were refused or not taken, and were dropped because too many waited."""

    exported_total: int
    failed_total: int
    dropped_total: int


class TracingCollector(Collector):
    """Reads the tracer when asked."""

    def __init__(self, spans: SpanCounts) -> None:
        self._spans = spans

    def collect(self) -> Iterable[Metric]:
        """The counts by outcome."""
        family = CounterMetricFamily("grammage_trace_spans", "Spans of calls, by what became of them.", labels=["outcome"])
        family.add_metric(["exported"], self._spans.exported_total)
        family.add_metric(["failed"], self._spans.failed_total)
        family.add_metric(["dropped"], self._spans.dropped_total)
        yield family
