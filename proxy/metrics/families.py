"""Names every metric family with its meaning and its labels. It must never decide a label value."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from prometheus_client import Gauge
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.metrics.intensity import IntensityCollector
from proxy.metrics.kit import Kit, LoneKit
from proxy.metrics.tally import CounterFamily, HistogramFamily

CALL_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600)
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
OUTER = "Sums over calls are outer bounds."
MODELLED = "modelled for each call's own usage, expected value; `shadow:` where it only watched, and both are what would have been."


class LedgerGauges(Protocol):
    """What the ledger's writer tells about itself; read when /metrics is rendered."""

    @property
    def queued(self) -> int: ...
    @property
    def spooled_total(self) -> int: ...
    @property
    def failures_total(self) -> int: ...
    @property
    def last_commit_s(self) -> float | None: ...
    def oldest_age_s(self) -> float: ...


class DropCount(Protocol):
    """What the log's writer tells about itself."""

    @property
    def dropped_total(self) -> int: ...


class Passings(Protocol):
    """Which deployments that share an alias are passed over now."""

    def __call__(self) -> Iterable[tuple[tuple[str, str, str, str], bool]]:
        """Alias, provider, model and region of each that has been tried, and whether it is passed over."""


class FailureCounts(Protocol):
    """What the shadows' room tells about itself."""

    @property
    def failures(self) -> Mapping[str, int]: ...


class Families:
    """All families in one own registry, prefix `grammage_`. `tags` are the label names of the declared tags; kit: what they are made of."""

    def __init__(self, tags: tuple[str, ...], kit: Kit | None = None) -> None:
        self._kit: Kit = kit or LoneKit()
        self.registry = self._kit.registry
        self._name_calls()
        self._name_footprint(tags)
        self._name_state()

    def _name_calls(self) -> None:
        self.requests = self._counter("requests_total", "Finished calls.", ("operation", "provider", "model", "outcome"))
        self.duration = self._histogram("request_duration_seconds", "Time of a whole call.", ("operation", "model"), CALL_BUCKETS)
        self.first_token = self._histogram("time_to_first_token_seconds", "Time to the first answer bytes.", ("model",), CALL_BUCKETS)
        self.overhead = self._histogram("proxy_overhead_seconds", "Time of a call spent in the proxy itself.", (), OVERHEAD_BUCKETS)
        self.policies = self._counter("policy_decisions_total", "Calls by their policy, and what it made of them.", ("policy", "action"))
        self.unweighed = self._counter("unweighed_calls_total", "Attempts that generated but could not be weighed.", ("reason",))
        self.usage_source = self._counter("usage_source_total", "Attempts by who counted their usage.", ("source",))
        self.baseline = self._counter(
            "baseline_emissions_co2e_grams_total", f"What the alias's first deployment would have come to, {MODELLED}", ("policy",)
        )
        self.routed = self._counter("routed_emissions_co2e_grams_total", f"What the policy's choice comes to, {MODELLED}", ("policy",))
        self.iterations = self._counter(
            "iterations_exceeded_total", "Calls beyond `iterations.at_most` of a policy; `shadow:` where it only watches.", ("policy",)
        )
        self.quality = self._counter("quality_total", "Weighed attempts by quality tier.", ("tier",))
        self.retried = self._counter(
            "failed_attempts_total", "Attempts that another one of the same call followed.", ("provider", "status")
        )
        self.reuse = self._counter(
            "reuse_total",
            "Calls under a policy that reuses answers: hit, joined (an identical one under way), miss, not_reusable; stored: answers kept.",
            ("policy", "result"),
        )
        self.escalations = self._counter(
            "escalations_total",
            "Answers that fell short, so that a larger model was asked; `shadow:` where it would have been.",
            ("policy", "reason"),
        )
        self.observed = self._counter("observed_spans_total", "Spans handed in by telemetry, by what became of them.", ("result",))
        self.passthrough = self._counter("passthrough_requests_total", "Calls passed on unweighed.", ("kind", "status"))

    def _name_footprint(self, tags: tuple[str, ...]) -> None:
        counted, weighed = (*tags, "model"), (*tags, "model", "zone", "phase")
        self.input = self._counter("input_tokens_total", "Input tokens, cached ones included.", counted)
        self.output = self._counter("output_tokens_total", "Output tokens, reasoning included.", counted)
        self.cached = self._counter("cached_input_tokens_total", "Cached input tokens, a part of input_tokens_total.", ("model",))
        self.reasoning = self._counter("reasoning_output_tokens_total", "Reasoning tokens, a part of output_tokens_total.", ("model",))
        self.media = (
            self._counter("images_total", "Pictures made.", counted),
            self._counter("audio_seconds_total", "Audio heard and spoken, as far as its length is known.", counted),
            self._counter("video_seconds_total", "Video made, as far as its length is known.", counted),
        )
        self.energy = self._counter("energy_joules_total", "Facility energy, expected value.", (*tags, "model", "zone"))
        self.emissions = (
            self._counter("emissions_co2e_grams_total", "Emissions, location-based, expected value.", weighed),
            self._counter("emissions_co2e_low_grams_total", f"Emissions, 5th percentile of each call. {OUTER}", weighed),
            self._counter("emissions_co2e_high_grams_total", f"Emissions, 95th percentile of each call. {OUTER}", weighed),
        )

    def _name_state(self) -> None:
        self.intensity = IntensityCollector()
        self.registry.register(self.intensity)
        self.build = self._gauge("build_info", "Version that runs.", ("version", "python"))
        self.factors = self._gauge("factors_info", "Factor set in force.", ("version", "sha256"))
        self.config = self._gauge("config_info", "Mark of the settings in force; replicas with the same ones have the same.", ("sha256",))
        self.overflow = self._counter("label_overflow_total", "Counts whose labels were folded into `other`, too many series.")
        self.reload = self._gauge("config_reload_success", "1 when the last load of the configuration was taken over, else 0.")

    def _counter(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> CounterFamily:
        return self._kit.counter(f"grammage_{name}", meaning, labels)

    def _gauge(self, name: str, meaning: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"grammage_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, labels: tuple[str, ...], bounds: tuple[float, ...]) -> HistogramFamily:
        return self._kit.histogram(f"grammage_{name}", meaning, labels, bounds)


class LedgerCollector(Collector):
    """Reads the ledger's writer when asked, so that the writer knows no metrics."""

    def __init__(self, ledger: LedgerGauges) -> None:
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        """The ledger's families with their values of now."""
        ledger = self._ledger
        yield GaugeMetricFamily("grammage_ledger_queue_calls", "Calls that wait for their commit.", value=ledger.queued)
        yield GaugeMetricFamily("grammage_ledger_oldest_call_seconds", "Age of the oldest call that waits.", value=ledger.oldest_age_s())
        if ledger.last_commit_s is not None:
            yield GaugeMetricFamily("grammage_ledger_commit_seconds", "Time of the last group commit.", value=ledger.last_commit_s)
        yield CounterMetricFamily("grammage_ledger_spooled", "Calls written to the spool.", value=ledger.spooled_total)
        yield CounterMetricFamily(
            "grammage_ledger_failures", "Calls that could not be kept anywhere: lost to the ledger.", value=ledger.failures_total
        )


class ShadowCollector(Collector):
    """Reads the shadows' room when asked."""

    def __init__(self, shadows: FailureCounts) -> None:
        self._shadows = shadows

    def collect(self) -> Iterable[Metric]:
        """The failures of each method so far."""
        family = CounterMetricFamily("grammage_shadow_failures", "Calls that a shadow method could not weigh.", labels=("method",))
        for method, failures in dict(self._shadows.failures).items():
            family.add_metric((method,), failures)
        yield family


class KeptBytes(Protocol):
    """How much is kept of answers in this process's memory."""

    def __call__(self) -> int | None:
        """Bytes; None where nothing is kept here."""


class ReuseCollector(Collector):
    """Reads the store of answers when asked."""

    def __init__(self, kept_bytes: KeptBytes) -> None:
        self._kept_bytes = kept_bytes

    def collect(self) -> Iterable[Metric]:
        """The bytes kept now, where there is such a store."""
        size = self._kept_bytes()
        if size is not None:
            yield GaugeMetricFamily("grammage_reuse_store_bytes", "Answers kept in memory for reuse, in bytes.", value=size)


class PassingCollector(Collector):
    """Reads the breakers when asked."""

    def __init__(self, passings: Passings) -> None:
        self._passings = passings

    def collect(self) -> Iterable[Metric]:
        """1 for each deployment that is passed over."""
        family = GaugeMetricFamily(
            "grammage_deployment_passed_over",
            "1 while a deployment that fails or asked for a rest is passed over, else 0.",
            labels=("alias", "provider", "model", "region"),
        )
        states: dict[tuple[str, ...], bool] = {}
        for labels, passed_over in self._passings():
            states[labels] = passed_over or states.get(labels, False)
        for known, passed_over in states.items():
            family.add_metric(known, float(passed_over))
        yield family


class LogCollector(Collector):
    """Reads the log's writer when asked."""

    def __init__(self, log: DropCount) -> None:
        self._log = log

    def collect(self) -> Iterable[Metric]:
        """The count of dropped lines."""
        yield CounterMetricFamily(
            "grammage_log_dropped_lines", "Log lines dropped while standard error was stuck.", value=self._log.dropped_total
        )
