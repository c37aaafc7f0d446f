"""Exposes counted calls, joules and grams to Prometheus. It must never be the source of a report: the ledger is."""

import platform
from collections.abc import Callable, Iterable, Iterator
from itertools import product

from prometheus_client.exposition import choose_encoder

from config.policies import Policy
from config.providers import provider_id
from config.settings import Settings
from config.tables import Tables
from estimators.estimate import Estimate
from estimators.usage import Media
from proxy.call import OBSERVED, AttemptRecord, CallRecord, DecisionRecord
from proxy.metrics.budgets import BudgetCollector, BudgetSource
from proxy.metrics.families import (
    DropCount,
    FailureCounts,
    Families,
    KeptBytes,
    LedgerCollector,
    LedgerGauges,
    LogCollector,
    PassingCollector,
    Passings,
    ReuseCollector,
    ShadowCollector,
)
from proxy.metrics.intensity import Intensities
from proxy.metrics.kit import Kit
from proxy.metrics.labels import OTHER, UNSERVED, Labels, path_kind
from proxy.metrics.own import OwnCollector, OwnSource
from proxy.metrics.pace import Gently
from proxy.metrics.series import Codes, Series
from proxy.metrics.tracing import SpanCounts, TracingCollector

__all__ = ["DropCount", "LedgerGauges", "Metrics"]

JOULES_PER_WH = 3600.0
PREPARED_SERIES = 1_000
OUTCOMES = ("ok", "client_error", "upstream_error", "client_left", "upstream_cut", "given_up")
NOT_GENERATED = "not_generated"
_POLICY = {"none": ("none", "none"), "off": ("off", "off")}
MOST_INTENSITIES = 500
MOST_DECISIONS = 1_000
"""Names of policies are the owner's: they are bounded, but may be many."""

COMPARED = ("routed", "kept")
"""What a policy may have made of a call whose two sides are told apart in grams."""

NO_COUNTS = (0, 0, 0, 0)
NO_WEIGHTS = (0.0,) * 7


class Metrics:
    """What one process has counted. `observe` belongs to the event loop, `render` to any thread.

    built_in_aliases: names that are served without configuration, such as `sim-*`; they become model labels.
    """

    def __init__(
        self, settings: Settings, tables: Tables, *, version: str = "", built_in_aliases: Iterable[str] = (), kit: Kit | None = None
    ) -> None:
        """kit: what the families are made of, where it is not one process that counts."""
        self._labels = Labels(settings, tables.catalogue, built_in_aliases)
        self._families = Families(self._labels.names, kit)
        self._series = self._bounded(self._families)
        overflow = self._families.overflow
        self._policies = Codes(self._families.policies, overflow, most=MOST_DECISIONS)
        self._unweighed = Codes(self._families.unweighed, overflow)
        self._usage_source = Codes(self._families.usage_source, overflow)
        self._baseline = Codes(self._families.baseline, overflow, most=MOST_DECISIONS)
        self._routed = Codes(self._families.routed, overflow, most=MOST_DECISIONS)
        self._quality = Codes(self._families.quality, overflow)
        self._iterations = Codes(self._families.iterations, overflow, most=MOST_DECISIONS)
        self._retried = Codes(self._families.retried, overflow)
        self._reuse = Codes(self._families.reuse, overflow, most=MOST_DECISIONS)
        self._observed = Codes(self._families.observed, overflow)
        self._passthrough = Codes(self._families.passthrough, overflow)
        self._escalations = Codes(self._families.escalations, overflow, most=MOST_DECISIONS)
        self._families.build.labels(version, platform.python_version()).set(1)
        self.describe_factors(tables)
        self.config_reloaded(ok=True)
        self._start_at_zero(settings, tables)

    def observe(self, record: CallRecord) -> None:
        """Counts one finished call and its attempts."""
        attempts = record.attempts
        model = self._labels.model(record.alias)
        if record.origin_call_id is not None or record.caller_id.startswith(OBSERVED):
            self._observe_attempts(model, record)  # nothing else: the call was counted when it began this work, or never came here
            return
        series = self._series.of_call(record.operation, attempts[-1].provider if attempts else UNSERVED, model, record.outcome)
        series.requests.total += 1
        series.requests.exemplar = {"call_id": record.call_id}
        series.duration.observe(record.latency_s, record.call_id)
        if record.time_to_first_token_s is not None:
            series.first_token.observe(record.time_to_first_token_s, record.call_id)
        self._families.overhead.labels().observe(record.overhead_s, record.call_id)
        if record.decision is None:
            self._policies(*_POLICY.get(record.policy) or (OTHER, OTHER)).total += 1
        else:
            self._observe_decision(record.decision)
            self._observe_escalation(record.decision, attempts)
        for failed in attempts[:-1]:
            if failed.shortcoming is None:
                self._retried(failed.provider, str(failed.status)).inc()
        self._observe_attempts(model, record)

    def observe_refusal(self, policy: str, action: str = "refused") -> None:
        """Counts a call that a policy let nobody serve, or answered with an offer; it is no call of the ledger."""
        self._policies(policy, action).total += 1

    def observe_iterations(self, policy: str) -> None:
        """Counts a call for something that was made more often than its policy has it."""
        self._iterations(policy).total += 1

    def observe_spans(self, result: str, spans: int) -> None:
        """Counts spans of telemetry by what became of them."""
        self._observed(result).inc(spans)

    def observe_reuse(self, policy: str, result: str) -> None:
        """Counts what came of a call under a policy that reuses answers."""
        self._reuse(policy, result).total += 1

    def _observe_decision(self, decision: DecisionRecord) -> None:
        """Counts what a policy made of a call, and the grams of both sides where it chose."""
        shadow = "shadow_" if decision.mode == "shadow" else ""
        self._policies(decision.policy, f"{shadow}{decision.action}").total += 1
        baseline, choice = decision.baseline_gco2e, decision.choice_gco2e
        if baseline is None or choice is None or decision.action not in COMPARED:
            return
        name = _named(decision)
        self._baseline(name).inc(baseline.mean)
        self._routed(name).inc(choice.mean)

    def _observe_escalation(self, decision: DecisionRecord, attempts: tuple[AttemptRecord, ...]) -> None:
        for attempt in attempts:
            if attempt.shortcoming is not None:
                self._escalations(_named(decision), attempt.shortcoming).inc()

    def observe_passthrough(self, path: str, status: int) -> None:
        """Counts a call that is passed on without being weighed, such as files and polling, by the first word of its path under /v1."""
        self._passthrough(path_kind(path), f"{status // 100}xx").inc()

    def config_reloaded(self, *, ok: bool) -> None:
        """Notes whether the last load of the configuration was taken over."""
        self.reload_ok = ok
        self._families.reload.set(1 if ok else 0)

    def describe_factors(self, tables: Tables) -> None:
        """Names the factor set in force."""
        self._families.factors.clear()
        self._families.factors.labels(tables.factors.version, tables.factors.fingerprint).set(1)

    def describe_config(self, mark: str) -> None:
        """Names the settings in force."""
        self._families.config.clear()
        self._families.config.labels(mark).set(1)

    def watch_ledger(self, ledger: LedgerGauges) -> None:
        """Exposes the state of the ledger's writer."""
        self._families.registry.register(LedgerCollector(ledger))

    def watch_shadows(self, shadows: FailureCounts) -> None:
        """Exposes how many calls the shadow methods could not weigh."""
        self._families.registry.register(ShadowCollector(shadows))

    def watch_breakers(self, passings: Passings) -> None:
        """Exposes which deployments are passed over."""
        self._families.registry.register(PassingCollector(passings))

    def watch_reuse(self, kept_bytes: KeptBytes) -> None:
        """Exposes how much is kept for reuse in memory."""
        self._families.registry.register(ReuseCollector(kept_bytes))

    def watch_budgets(self, budgets: BudgetSource) -> None:
        """Exposes what the budgets in force allow, and what is used of them."""
        self._families.registry.register(BudgetCollector(budgets))

    def watch_intensity(self, live: Callable[[], Intensities | None]) -> None:
        """Exposes what the live sources in force tell of the grids."""
        self._families.intensity.live = live

    def watch_own(self, own: OwnSource) -> None:
        """Exposes what the proxy itself weighs."""
        self._families.registry.register(OwnCollector(own))

    def watch_log(self, log: DropCount) -> None:
        """Exposes how many log lines were dropped."""
        self._families.registry.register(LogCollector(log))

    def watch_tracing(self, spans: SpanCounts) -> None:
        """Exposes what became of the spans that were made."""
        self._families.registry.register(TracingCollector(spans))

    def render(self, accept: str) -> tuple[bytes, str]:
        """The exposition and its content type, as `Accept` asks; an Accept that cannot be read gets the plain text."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # the library compares what it could not parse
            encode, content_type = choose_encoder("")
        return encode(Gently(self._families.registry)), content_type

    def _bounded(self, families: Families) -> Series:
        return Series(families)

    def _observe_attempts(self, model: str, record: CallRecord) -> None:
        """What the attempts used and weigh."""
        tags = self._labels.tags(record.tags)
        for attempt in record.attempts:
            self._observe_attempt(model, tags, attempt)

    def _observe_attempt(self, model: str, tags: tuple[str, ...], attempt: AttemptRecord) -> None:
        estimate, usage = attempt.estimate, attempt.usage
        if estimate is None and attempt.unweighed_reason not in (None, NOT_GENERATED):
            self._unweighed(str(attempt.unweighed_reason)).inc()
        if usage is None and estimate is None:
            return
        counts: tuple[int, ...] = NO_COUNTS
        weights: tuple[float, ...] = NO_WEIGHTS
        if usage is not None:
            self._usage_source(usage.source).total += 1
            counts = (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.reasoning_output_tokens)
            if usage.media is not None:
                self._series.of_media(model, tags).add(_amounts(usage.media))
        if estimate is not None:
            self._note_opinion(attempt.zone, estimate)
            joules = estimate.facility_energy_wh.mean * JOULES_PER_WH
            weights = (joules, *estimate.operational_gco2e.spread(), *estimate.embodied_gco2e.spread())
        self._series.of_footprint(model, attempt.zone, tags).add((*counts, *weights))

    def _note_opinion(self, zone: str, estimate: Estimate) -> None:
        self._quality(estimate.quality).total += 1
        key = (zone, estimate.intensity_source)
        yearly = self._families.intensity.yearly
        if key in yearly or len(yearly) < MOST_INTENSITIES:
            yearly[key] = estimate.gco2e_per_kwh

    def _start_at_zero(self, settings: Settings, tables: Tables) -> None:
        for source in ("provider", "counted", "estimated"):
            self._usage_source(source)
        for tier in "ABCDE":
            self._quality(tier)
        for reason in ("weighing_failed", "internal_error"):
            self._unweighed(reason)
        self._policies(*_POLICY["none"])
        for policy in settings.policies:
            self._prepare_policy(policy)
        for model, provider, zone in _configured(settings, tables):
            if self._series.count < PREPARED_SERIES:
                for outcome in OUTCOMES:
                    self._series.of_call("chat", provider, model, outcome)
            for tags in product(*self._labels.declared()):
                if self._series.count >= PREPARED_SERIES:
                    return
                self._series.of_footprint(model, zone, tags)

    def _prepare_policy(self, policy: Policy) -> None:
        """What is counted of a policy begins at nothing."""
        if policy.mode == "off":
            return
        for action in ("routed", "kept", "passthrough", "refused", *(("holdback",) if policy.holdback else ())):
            self._policies(policy.name, action if policy.mode == "enforce" else f"shadow_{action}")
        if policy.apply.reuse is not None and policy.mode == "enforce":
            for result in ("hit", "joined", "miss", "stored", "not_reusable"):
                self._reuse(policy.name, result)
        name = policy.name if policy.mode == "enforce" else f"shadow:{policy.name}"
        if policy.alternative is not None:
            for action in ("alternative", "offered") if policy.mode == "enforce" else ("shadow_alternative",):
                self._policies(policy.name, action)
        if policy.iterations is not None:
            self._iterations(name)
        self._baseline(name)
        self._routed(name)
        if policy.escalate is not None:
            for reason in (*policy.escalate.when, *(("must_match",) if policy.escalate.must_match else ())):
                self._escalations(name, reason)


def _named(decision: DecisionRecord) -> str:
    return f"shadow:{decision.policy}" if decision.mode == "shadow" else decision.policy


def _configured(settings: Settings, tables: Tables) -> Iterator[tuple[str, str, str]]:
    for alias, entry in settings.models.items():
        if "*" not in alias:
            for deployment in entry.deployments:
                place = tables.places.resolve(deployment.provider, region=deployment.region, zone=deployment.zone)
                yield alias, provider_id(deployment.provider), place.zone


def _amounts(media: Media) -> tuple[float, ...]:
    """Pictures made, seconds of audio, seconds of video; a length that is not known adds nothing."""
    audio_s = (media.audio_input_seconds or 0.0) + (media.audio_output_seconds or 0.0)
    return media.images, audio_s, media.video_seconds or 0.0
