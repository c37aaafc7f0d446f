"""A call as its span tells it, weighed, as the ledger keeps it. It must never hold a text, or a figure that nobody told."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import msgspec

from config.tag_rules import is_tag_value
from estimators.estimate import Estimate
from proxy.attribute import MOST_TAGS
from proxy.call import OBSERVED, AttemptRecord, Caller, CallRecord, WeighingFacts
from proxy.observe.span import Span
from proxy.observe.understand import Told
from proxy.policy.candidates import Candidate
from proxy.weigh import WEIGHING_TROUBLE, Scales

WEIGHING_FAILED: Final = "weighing_failed"
TOLD_BY_SPAN: Final = "observed"
OUTPUT_UNKNOWN: Final = "observed-output-unknown"
"""Warnings: the call never came through the proxy; its answer's length is not told, and the range reaches up to a usual one."""

LONGEST_ID: Final = 128
_VERSION_8: Final = 0x8


def call_id_of(span: Span, part: str = "") -> str:
    """A UUIDv8 that follows from trace and span alone; it begins with the time, so that it sorts with the calls of its time."""
    digest = hashlib.sha256(f"{span.trace_id}:{span.span_id}:{part}".encode()).digest()
    tail = int.from_bytes(digest[:10], "big")
    start = span.start_ms & 0xFFFF_FFFF_FFFF
    bits = start << 80 | _VERSION_8 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def record_of(told: Told, caller: Caller, candidate: Candidate, scales: Scales, usual_output_tokens: int) -> CallRecord:
    """The call, weighed. Blocks for milliseconds where its model is new. usual_output_tokens: of answers of its alias."""
    span = told.span
    estimate = _weigh(told, candidate, scales, usual_output_tokens)
    reason = told.reason if told.usage is None else None if estimate is not None else WEIGHING_FAILED
    attempt = AttemptRecord(
        attempt_id=call_id_of(span, "attempt"),
        ordinal=0,
        provider=candidate.provider,
        model=candidate.model or told.model,
        served_model=told.model,
        region=candidate.place.region,
        zone=candidate.place.zone,
        place_assumed=candidate.place.assumed,
        simulated=candidate.is_simulated,
        status=told.status,
        outcome=told.outcome,
        upstream_request_id=None if told.response_id is None else told.response_id[:LONGEST_ID],
        usage=told.usage,
        estimate=estimate,
        unweighed_reason=reason,
        request_bytes=0,
        response_bytes=0,
        latency_s=span.duration_s,
        facts=_facts(told, candidate, usual_output_tokens),
    )
    return CallRecord(
        call_id=call_id_of(span),
        started_ms=span.start_ms,
        operation=told.endpoint.operation,
        path=told.endpoint.path,
        alias=told.alias,
        caller_id=f"{OBSERVED}{caller.id}",
        tags=tags_of(span.tags, caller),
        user_hash=None,
        user_hash_key_id=None,
        status=told.status,
        outcome=told.outcome,
        stream=told.stream,
        stream_complete=told.outcome == "ok",
        latency_s=span.duration_s,
        time_to_first_token_s=told.first_s,
        overhead_s=0.0,
        policy="none",
        altered="",
        retry_count=0,
        idempotency_key_hash=None,
        attempts=(attempt,),
    )


def tags_of(told: Mapping[str, str], caller: Caller) -> tuple[tuple[str, str], ...]:
    """The span's tags, and those bound to the key, which go before; values that are none fall away."""
    tags = {name: value for name, value in sorted(told.items()) if is_tag_value(value)}
    kept = dict(list(tags.items())[: max(0, MOST_TAGS - len(caller.tags))])
    kept.update(caller.tags)
    return tuple(sorted(kept.items()))


def _weigh(told: Told, candidate: Candidate, scales: Scales, usual_output_tokens: int) -> Estimate | None:
    usage = told.usage
    if usage is None:
        return None
    weighed_as = told.endpoint.weighed_as
    try:
        prepared = scales.known(candidate, told.model, weighed_as) or scales.prepare(candidate, told.model, weighed_as)
        estimate = prepared.estimate(usage, possible_output_tokens=usual_output_tokens if usage.partial else None)
    except WEIGHING_TROUBLE:
        return None
    warnings = (TOLD_BY_SPAN, OUTPUT_UNKNOWN) if usage.partial else (TOLD_BY_SPAN,)
    return estimate._replace(warnings=(*estimate.warnings, *warnings))


def _facts(told: Told, candidate: Candidate, usual_output_tokens: int) -> WeighingFacts | None:
    """What it is weighed by. weighed_as stands there so that a restatement knows its bytes to be unknown, and not 0."""
    if told.usage is None:
        return None
    possible = usual_output_tokens if told.usage.partial else None
    known = candidate.facts or WeighingFacts()
    return msgspec.structs.replace(known, weighed_as=told.endpoint.weighed_as, possible_output_tokens=possible)


def served_by(told: Told, candidate: Candidate) -> Told:
    """The call under the name that the deployment's provider knows, where only the alias is told."""
    return told if candidate.model is None or told.model != told.alias else replace(told, model=candidate.model)
