"""A call as spans: one for the call, one below it for each attempt. It must never put the same figure on two spans that are summed.

What the call took stands on its own span, what an attempt took on that one, under other names: a sum over spans is true for either.
"""

from dataclasses import dataclass
from typing import Final, Literal

from estimators.estimate import Estimate
from estimators.together import together
from estimators.usage import Usage
from proxy import gen_ai_names as names
from proxy.call import AttemptRecord, CallRecord, Outcome
from proxy.tracing.context import Trace

Attribute = str | int | float | bool
Kind = Literal["server", "client"]
J_PER_WH: Final = 3600
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
FINAL: Final = "final"
NOTHING_GENERATED: Final[dict[str, Attribute]] = {
    names.GRAMMAGE_CO2E: 0.0,
    names.GRAMMAGE_CO2E_LOW: 0.0,
    names.GRAMMAGE_CO2E_HIGH: 0.0,
    names.GRAMMAGE_ENERGY: 0.0,
    names.GRAMMAGE_BASIS: FINAL,
}
"""Of a call that was answered without a provider: that is known, as its headers say it."""

OUR_FAULTS: Final[frozenset[Outcome]] = frozenset(("upstream_error", "upstream_cut", "given_up"))
"""Outcomes that are an error of the server's side: the call's own span is marked."""

FIRST_ERROR_STATUS: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span as plain values. Ids are hexadecimal digits; times in ns since 1970 UTC. error: what went wrong, None when nothing did."""

    name: str
    kind: Kind
    trace_id: str
    span_id: str
    parent_id: str | None
    flags: int
    state: str
    start_ns: int
    end_ns: int
    attributes: dict[str, Attribute]
    error: str | None = None


def spans_of(record: CallRecord, trace: Trace) -> list[Span]:
    """The call's span, then those of its attempts."""
    operation = names.WRITTEN_OPERATIONS.get(record.operation, record.operation)
    start_ns = record.started_ms * NS_PER_MS
    call = Span(
        name=f"{operation} {record.alias}",
        kind="server",
        trace_id=trace.trace_id,
        span_id=trace.span_id,
        parent_id=trace.parent_id,
        flags=trace.flags,
        state=trace.state,
        start_ns=start_ns,
        end_ns=start_ns + round(record.latency_s * NS_PER_S),
        attributes=_call_attributes(record, operation),
        error=_call_error(record),
    )
    return [call, *(_attempt_span(call, attempt, trace, record, operation) for attempt in record.attempts)]


def _attempt_span(call: Span, attempt: AttemptRecord, trace: Trace, record: CallRecord, operation: str) -> Span:
    sent = trace.legs[attempt.ordinal].sent if attempt.ordinal < len(trace.legs) else trace.entered
    start_ns = call.start_ns + max(0, round((sent - trace.entered) * NS_PER_S))
    is_bad = attempt.outcome != "ok"
    return Span(
        name=f"{operation} {attempt.model}",
        kind="client",
        trace_id=trace.trace_id,
        span_id=trace.span_id_of(attempt.ordinal),
        parent_id=trace.span_id,
        flags=trace.flags,
        state=trace.state,
        start_ns=start_ns,
        end_ns=min(call.end_ns, start_ns + round(attempt.latency_s * NS_PER_S)),
        attributes=_attempt_attributes(attempt, record, operation),
        error=_reason(attempt.status, attempt.outcome) if is_bad and attempt.outcome != "client_left" else None,
    )


def _call_attributes(record: CallRecord, operation: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {
        names.OPERATION_NAME: operation,
        names.REQUEST_MODEL: record.alias,
        names.URL_PATH: record.path.partition("?")[0],
        names.GRAMMAGE_CALL_ID: record.call_id,
        names.GRAMMAGE_OUTCOME: record.outcome,
        names.GRAMMAGE_POLICY: record.policy,
    }
    optional: dict[str, Attribute | None] = {
        names.HTTP_RESPONSE_STATUS_CODE: record.status or None,
        names.REQUEST_STREAM: record.stream or None,
        names.GRAMMAGE_ATTEMPTS: len(record.attempts) if len(record.attempts) > 1 else None,
        names.RESPONSE_TIME_TO_FIRST_CHUNK: record.time_to_first_token_s,
        names.GRAMMAGE_ALTERED: record.altered or None,
        names.GRAMMAGE_INSTEAD: None if record.instead is None else record.instead.kind,
        names.ERROR_TYPE: _call_error(record),
    }
    attributes.update({name: value for name, value in optional.items() if value is not None})
    attributes.update({names.GRAMMAGE_TAG + name: value for name, value in record.tags})
    if record.attempts:
        attributes[names.GRAMMAGE_GRID_ZONE] = record.attempts[-1].zone
    attributes.update(_call_figures(record))
    return attributes


def _served(attempt: AttemptRecord) -> dict[str, Attribute]:
    """Who answered, and where."""
    served: dict[str, Attribute] = {
        names.PROVIDER_NAME: names.WRITTEN_PROVIDERS.get(attempt.provider, attempt.provider),
        names.GRAMMAGE_GRID_ZONE: attempt.zone,
    }
    if attempt.place_assumed:
        served[names.GRAMMAGE_PLACE_ASSUMED] = True
    if attempt.region is not None:
        served[names.GRAMMAGE_REGION] = attempt.region
    if attempt.usage is not None:
        served[names.RESPONSE_MODEL] = attempt.served_model
    if attempt.simulated:
        served[names.GRAMMAGE_SIMULATED] = True
    return served


def _call_figures(record: CallRecord) -> dict[str, Attribute]:
    """What the whole call weighs; why it is not weighed, where it is not."""
    estimates = [attempt.estimate for attempt in record.attempts if attempt.estimate is not None]
    if not estimates and record.instead is not None:
        return dict(NOTHING_GENERATED)
    if not estimates:
        reason = record.attempts[-1].unweighed_reason if record.attempts else None
        return {} if reason is None else {names.GRAMMAGE_UNWEIGHED_REASON: reason}
    estimate = estimates[0] if len(estimates) == 1 else together(estimates)
    mean, p5, p95 = estimate.gco2e.spread()
    return {
        names.GRAMMAGE_CO2E: mean,
        names.GRAMMAGE_CO2E_LOW: p5,
        names.GRAMMAGE_CO2E_HIGH: p95,
        names.GRAMMAGE_ENERGY: estimate.facility_energy_wh.mean * J_PER_WH,
        names.GRAMMAGE_BASIS: FINAL,
        **_method(estimate),
    }


def _method(estimate: Estimate) -> dict[str, Attribute]:
    return {
        names.GRAMMAGE_METHOD: f"{estimate.method}@{estimate.method_version}",
        names.GRAMMAGE_QUALITY: estimate.quality,
    }


def _attempt_attributes(attempt: AttemptRecord, record: CallRecord, operation: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {
        names.OPERATION_NAME: operation,
        names.REQUEST_MODEL: attempt.model,
        names.GRAMMAGE_CALL_ID: record.call_id,
        names.GRAMMAGE_ATTEMPT_ORDINAL: attempt.ordinal,
        **_served(attempt),
    }
    optional: dict[str, Attribute | None] = {
        names.HTTP_RESPONSE_STATUS_CODE: attempt.status or None,
        names.REQUEST_STREAM: record.stream or None,
        names.GRAMMAGE_OUTCOME: attempt.outcome if attempt.outcome != "ok" else None,
        names.RESPONSE_ID: attempt.upstream_object_id,
        names.GRAMMAGE_UPSTREAM_REQUEST_ID: attempt.upstream_request_id,
        names.GRAMMAGE_SHORTCOMING: attempt.shortcoming,
        names.GRAMMAGE_UNWEIGHED_REASON: None if attempt.estimate is not None else attempt.unweighed_reason,
        names.ERROR_TYPE: _reason(attempt.status, attempt.outcome) if attempt.outcome != "ok" else None,
    }
    attributes.update({name: value for name, value in optional.items() if value is not None})
    if attempt.usage is not None:
        attributes.update(_usage(attempt.usage))
    if attempt.estimate is not None:
        mean, p5, p95 = attempt.estimate.gco2e.spread()
        attributes.update(
            {
                names.GRAMMAGE_ATTEMPT_CO2E: mean,
                names.GRAMMAGE_ATTEMPT_CO2E_LOW: p5,
                names.GRAMMAGE_ATTEMPT_CO2E_HIGH: p95,
                names.GRAMMAGE_ATTEMPT_ENERGY: attempt.estimate.facility_energy_wh.mean * J_PER_WH,
                names.GRAMMAGE_GRID_INTENSITY: attempt.estimate.gco2e_per_kwh,
                **_method(attempt.estimate),
            }
        )
    return attributes


def _usage(usage: Usage) -> dict[str, Attribute]:
    """The counts; of the parts of them only those that there are."""
    parts = {
        names.USAGE_CACHE_READ_INPUT_TOKENS: usage.cached_input_tokens,
        names.USAGE_REASONING_OUTPUT_TOKENS: usage.reasoning_output_tokens,
        names.USAGE_IMAGE_INPUT_TOKENS: usage.image_input_tokens,
        names.USAGE_AUDIO_INPUT_TOKENS: usage.audio_input_tokens,
        names.USAGE_IMAGE_OUTPUT_TOKENS: usage.image_output_tokens,
        names.USAGE_AUDIO_OUTPUT_TOKENS: usage.audio_output_tokens,
    }
    return {
        names.USAGE_INPUT_TOKENS: usage.input_tokens,
        names.USAGE_OUTPUT_TOKENS: usage.output_tokens,
        **{name: count for name, count in parts.items() if count},
        names.GRAMMAGE_USAGE_SOURCE: usage.source,
        **({names.GRAMMAGE_USAGE_PARTIAL: True} if usage.partial else {}),
    }


def _call_error(record: CallRecord) -> str | None:
    """What failed on our side of the call: the caller's own mistake is none, nor that it left."""
    return _reason(record.status, record.outcome) if record.outcome in OUR_FAULTS else None


def _reason(status: int, outcome: Outcome) -> str:
    return str(status) if status >= FIRST_ERROR_STATUS and outcome != "upstream_cut" else outcome
