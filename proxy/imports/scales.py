"""Weighs rows of files as the proxy weighs its calls. It must never weigh by other tables, rules or places than these."""

from collections.abc import Mapping
from typing import Final

from config.deployment import Breaker, Deployment, Retry, Timeouts
from config.providers import provider_id
from config.settings import Settings
from config.tables import Tables
from estimators.estimate import Estimate
from estimators.usage import Media, Usage
from proxy.call import AttemptRecord, CallRecord, WeighingFacts
from proxy.imports.identity import call_id
from proxy.imports.match import Who
from proxy.imports.operations import OPERATIONS
from proxy.imports.row import UsageRow
from proxy.policy.candidates import ANY, Candidate, candidates_from
from proxy.policy.place_words import PlaceWords
from proxy.weigh import WEIGHING_TROUBLE, Scales, WeighingRules

FAILED: Final = "weighing_failed"
CALLER: Final = "import:"
"""What the caller's id of an imported call begins with; no key can be called so."""
_SEPARATORS: Final = "/:"


class Weigher:
    """The tables and rules of a configuration, for rows of files."""

    def __init__(self, settings: Settings, tables: Tables) -> None:
        weighing = settings.weighing
        rules = WeighingRules(operating_prior=weighing.operating_prior, profile=weighing.profile, methods=tuple(weighing.methods))
        self._tables = tables
        self._scales = Scales(tables, rules)
        self._configured = _configured(settings, tables)
        self._assumed: dict[str, Candidate] = {}
        self._names: dict[tuple[str, str], Who] = {}

    def who(self, provider: str, model: str) -> Who:
        """Provider and catalogue model: the same for every way to write them."""
        known = self._names.get((provider, model))
        if known is None:
            known = self._names[provider, model] = (provider_id(provider), self._tables.catalogue.resolve(model).card.id)
        return known

    def provider_of(self, row: UsageRow) -> str:
        """The provider that a row states, before the model's name or in a field; else the model's vendor, as far as it is known."""
        if row.provider is not None:
            return provider_id(row.provider.strip().lower())
        vendor = self._tables.catalogue.resolve(row.model).card.vendor
        return self._tables.places.provider_of_vendor(vendor)

    def record(self, row: UsageRow, *, kind: str, provider: str, call: str, row_hash: str) -> CallRecord:
        """The call that the row becomes, weighed."""
        endpoint = OPERATIONS[row.operation]
        candidate = self._candidate(provider, row.model)
        usage = usage_of(row)
        estimate = self._estimate(candidate, row, endpoint.weighed_as, usage)
        attempt = AttemptRecord(
            attempt_id=call_id(row.start_ms, row_hash, "attempt"),
            ordinal=0,
            provider=provider,
            model=candidate.model or row.model,
            served_model=row.model,
            region=candidate.place.region,
            zone=candidate.place.zone,
            place_assumed=candidate.place.assumed,
            simulated=False,
            status=200,
            outcome="ok",
            upstream_request_id=None,
            usage=usage,
            estimate=estimate,
            unweighed_reason=None if estimate is not None else FAILED,
            request_bytes=0,
            response_bytes=0,
            latency_s=row.latency_s,
            facts=_facts(candidate, endpoint.weighed_as, row.batched),
        )
        return call_record(
            kind,
            call_id=call,
            started_ms=row.start_ms,
            operation=endpoint.operation,
            path=endpoint.path,
            alias=row.model,
            tags=row.tags,
            latency_s=row.latency_s,
            attempt=attempt,
        )

    def _estimate(self, candidate: Candidate, row: UsageRow, weighed_as: str, usage: Usage) -> Estimate | None:
        try:
            known = None if row.batched else self._scales.known(candidate, row.model, weighed_as)
            return (known or self._scales.prepare(candidate, row.model, weighed_as, batched=row.batched)).estimate(usage)
        except WEIGHING_TROUBLE:
            return None

    def _candidate(self, provider: str, model: str) -> Candidate:
        """The configured deployment of this model at this provider; else the provider as far as it is known."""
        found = self._configured.get((provider, model)) or self._configured.get(self.who(provider, model))
        if found is not None:
            return found
        if provider not in self._assumed:
            self._assumed[provider] = _candidate(provider, self._tables)
        return self._assumed[provider]


def usage_of(row: UsageRow) -> Usage:
    """The row's amounts as a usage; a cached part that exceeds its whole is cut to it."""
    amounts = {name: max(0, round(amount)) for name, amount in row.amounts.items() if name != "audio_input_seconds"}
    read, written = amounts.get("input_tokens", 0), amounts.get("output_tokens", 0)
    heard = min(amounts.get("audio_input_tokens", 0), read)
    return Usage(
        input_tokens=read,
        cached_input_tokens=min(amounts.get("cached_input_tokens", 0), read),
        audio_input_tokens=heard,
        output_tokens=written,
        audio_output_tokens=min(amounts.get("audio_output_tokens", 0), written),
        source=row.source,
        media=_media(row, amounts),
        calls=max(1, amounts.get("calls", 1)),
    )


def _media(row: UsageRow, amounts: Mapping[str, int]) -> Media | None:
    seconds = row.amounts.get("audio_input_seconds", 0.0)
    if not (amounts.get("images") or amounts.get("characters") or seconds):
        return None
    return Media(
        images=amounts.get("images", 0),
        width=row.shape.width,
        height=row.shape.height,
        quality=row.shape.quality,
        audio_input_seconds=seconds or None,
        characters=amounts.get("characters") or None,
    )


def call_record(
    kind: str,
    *,
    call_id: str,
    started_ms: int,
    operation: str,
    path: str,
    alias: str,
    tags: tuple[tuple[str, str], ...],
    latency_s: float,
    attempt: AttemptRecord,
) -> CallRecord:
    """A call of a file as the ledger keeps it: nobody's user, no policy."""
    return CallRecord(
        call_id=call_id,
        started_ms=started_ms,
        operation=operation,
        path=path,
        alias=alias,
        caller_id=f"{CALLER}{kind}",
        tags=tags,
        user_hash=None,
        user_hash_key_id=None,
        status=200,
        outcome="ok",
        stream=False,
        stream_complete=True,
        latency_s=latency_s,
        time_to_first_token_s=None,
        overhead_s=0.0,
        policy="none",
        altered="",
        retry_count=0,
        idempotency_key_hash=None,
        attempts=(attempt,),
    )


def _configured(settings: Settings, tables: Tables) -> dict[tuple[str, str], Candidate]:
    """Configured deployments by provider and model, by its own name and by its catalogue name; the first of several counts."""
    candidates = candidates_from(settings, tables.places)
    found: dict[tuple[str, str], Candidate] = {}
    for candidate in (each for row in candidates.exact.values() for each in row):
        model = candidate.model or candidate.pattern
        found.setdefault((candidate.provider, model), candidate)
        found.setdefault((candidate.provider, tables.catalogue.resolve(model).card.id), candidate)
    return found


def _candidate(provider: str, tables: Tables) -> Candidate:
    """A provider of which nothing is configured."""
    return Candidate(
        pattern=ANY,
        deployment=Deployment(provider=provider),
        provider=provider,
        model=None,
        base_url="",
        api_key=None,
        weigh_as=None,
        place=PlaceWords(provider=provider).place(tables.places),
        bases={},
        retry=Retry(),
        breaker=Breaker(),
        timeouts=Timeouts(),
    )


def _facts(candidate: Candidate, weighed_as: str, batched: bool) -> WeighingFacts:
    """What the call was weighed by. weighed_as stands there so that a restatement knows the bytes to be unknown, and not 0."""
    told = candidate.facts or WeighingFacts()
    return WeighingFacts(
        catalogue_model=told.catalogue_model,
        hardware=told.hardware,
        operating_prior=told.operating_prior,
        weighed_as=weighed_as,
        batched=batched,
        place=told.place,
    )
