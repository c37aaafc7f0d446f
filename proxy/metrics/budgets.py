"""Exposes what budgets allow and what is used of them. It must never be the source of a report: the ledger is."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


class BudgetFigures(Protocol):
    """The budgets in force; read when /metrics is rendered, on any thread."""

    def figures(self) -> Iterable[tuple[str, float, float | None, float | None]]:
        """Name, limit, used and reserved in gCO2e of each; None where it is not known here yet."""

    def period_ends(self) -> Iterable[tuple[str, float]]:
        """Name, and end of the period of now in seconds since 1970 UTC, of each."""

    def counts(self) -> Mapping[tuple[str, str], int]:
        """Calls by budget and by what it made of them."""


class BudgetSource(Protocol):
    """Gives the budgets in force, or None."""

    def __call__(self) -> BudgetFigures | None: ...


class BudgetCollector(Collector):
    """Reads the budgets' room when asked."""

    def __init__(self, source: BudgetSource) -> None:
        self._source = source

    def collect(self) -> Iterable[Metric]:
        """The families with their values of now; none without budgets."""
        budgets = self._source()
        if budgets is None:
            return
        limit = GaugeMetricFamily("grammage_budget_limit_grams", "gCO2e that a budget allows in its period.", labels=("budget",))
        used = GaugeMetricFamily("grammage_budget_used_grams", "gCO2e of ended calls in the budget's period.", labels=("budget",))
        reserved = GaugeMetricFamily("grammage_budget_reserved_grams", "gCO2e that calls under way are forecast at.", labels=("budget",))
        for name, limit_g, used_g, reserved_g in budgets.figures():
            limit.add_metric((name,), limit_g)
            if used_g is not None and reserved_g is not None:
                used.add_metric((name,), used_g)
                reserved.add_metric((name,), reserved_g)
        ends = GaugeMetricFamily(
            "grammage_budget_period_end_timestamp_seconds",
            "When the budget's period ends, since 1970 UTC; +Inf: never.",
            labels=("budget",),
        )
        for name, end_s in budgets.period_ends():
            ends.add_metric((name,), end_s)
        calls = CounterMetricFamily(
            "grammage_budget_exceeded_calls",
            "Calls that a budget had no room for (warn, route_smallest, refuse), or that came while it could not be counted.",
            labels=("budget", "action"),
        )
        for labels, count in sorted(budgets.counts().items()):
            calls.add_metric(labels, count)
        yield from (limit, used, reserved, ends, calls)
