"""What a span means: one call of a model, something around calls, or neither. It must never take what it does not know for a call."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import urlsplit

from estimators.usage import Usage
from proxy.call import Outcome
from proxy.endpoints import ENDPOINTS
from proxy.endpoints.base import Endpoint
from proxy.gen_ai_names import (
    AROUND,
    CLOUD_REGION,
    ERROR_TYPE,
    GRAMMAGE_CALL_ID,
    OPERATION_NAME,
    OPERATIONS,
    PROVIDER_NAME,
    REQUEST_MODEL,
    REQUEST_STREAM,
    RESPONSE_ID,
    RESPONSE_MODEL,
    RESPONSE_TIME_TO_FIRST_CHUNK,
    SERVER_ADDRESS,
    SERVER_PORT,
    USAGE_INPUT_TOKENS,
    USAGE_OUTPUT_TOKENS,
)
from proxy.observe.span import Scalar, Span
from proxy.observe.usage import BadUsage, usage_of

Why = Literal["not_a_call", "around_calls", "came_through_us", "unknown_operation", "model_missing", "bad_usage"]
NOT_GENERATED: Final = "not_generated"
USAGE_UNKNOWN: Final = "usage_unknown"
"""Reasons of calls that have no weight: nothing came of them; or something did, and its span does not say how much."""

LONGEST_NAME: Final = 256
_CALL_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNSAID: Final = frozenset({"", "unknown", "none"})
_MAY_HAVE_GENERATED: Final = ("timeout", "cancel", "disconnect", "abort")
_SERVER_FAULT: Final = 500


def _by_operation() -> dict[str, Endpoint]:
    found: dict[str, Endpoint] = {}
    for endpoint in ENDPOINTS:
        found.setdefault(endpoint.operation, endpoint)
    return found


ENDPOINT_OF: Final[Mapping[str, Endpoint]] = _by_operation()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One call as its span tells it. alias: what was asked for; model: what answered. None: not told.

    reason: why it has no usage. first_s: seconds to the first part of the answer.
    """

    span: Span
    endpoint: Endpoint
    alias: str
    model: str
    provider: str | None
    host: str | None
    port: int | None
    region: str | None
    usage: Usage | None
    reason: str | None
    stream: bool
    first_s: float | None
    response_id: str | None
    status: int
    outcome: Outcome


def understand(span: Span) -> Told | Why:
    """The call, or why the span is none that can be counted."""
    facts = span.facts
    if is_call_id(facts.get(GRAMMAGE_CALL_ID)):
        return "came_through_us"
    operation = _operation(facts)
    if operation is None or operation in AROUND:
        return "not_a_call" if operation is None else "around_calls"
    endpoint = ENDPOINT_OF.get(OPERATIONS.get(operation, operation))
    if endpoint is None:
        return "unknown_operation"
    asked, answered = _name(facts, REQUEST_MODEL), _name(facts, RESPONSE_MODEL)
    model = answered or asked
    if model is None:
        return "model_missing"
    try:
        usage = usage_of(facts, endpoint.operation, writes=endpoint.writes)
    except BadUsage:
        return "bad_usage"
    host, port = address_of(facts)
    failed = span.is_error or ERROR_TYPE in facts
    if usage is not None and failed and not (usage.input_tokens or usage.output_tokens):
        usage = None  # what nobody generated is told as 0 by some
    return Told(
        span=span,
        endpoint=endpoint,
        alias=asked or model,
        model=model,
        provider=_name(facts, PROVIDER_NAME),
        host=host,
        port=port,
        region=_name(facts, CLOUD_REGION),
        usage=usage,
        reason=None if usage is not None else _reason(facts, failed),
        stream=facts.get(REQUEST_STREAM) is True,
        first_s=_seconds(facts.get(RESPONSE_TIME_TO_FIRST_CHUNK)),
        response_id=_name(facts, RESPONSE_ID),
        status=_status(facts, failed),
        outcome="upstream_error" if failed else "ok",
    )


def is_call_id(value: Scalar | None) -> bool:
    """Whether it is an id that this proxy, or one like it, gave a call."""
    return isinstance(value, str) and _CALL_ID.fullmatch(value) is not None


def address_of(facts: Mapping[str, Scalar]) -> tuple[str | None, int | None]:
    """Host and port that the call went to, None: not told; the address may be written as a URL."""
    told, stated = facts.get(SERVER_ADDRESS), facts.get(SERVER_PORT)
    port = stated if isinstance(stated, int) and 0 < stated < 65536 else None
    if not isinstance(told, str) or not told.isprintable():
        return None, port
    try:
        parts = urlsplit(told if "://" in told else f"//{told}")
        return (parts.hostname or "").rstrip(".") or None, parts.port or port or _usual_port(parts.scheme)
    except ValueError:
        return None, port


def _usual_port(scheme: str) -> int | None:
    return {"https": 443, "http": 80}.get(scheme)


def _operation(facts: Mapping[str, Scalar]) -> str | None:
    """The span's own word in small letters; a span that tells tokens and a model but no word is of a call of text. None: of no call."""
    word = str(facts.get(OPERATION_NAME, "")).strip().lower()
    if word not in _UNSAID:
        return word
    has_tokens = USAGE_INPUT_TOKENS in facts or USAGE_OUTPUT_TOKENS in facts
    return "chat" if has_tokens and (REQUEST_MODEL in facts or RESPONSE_MODEL in facts) else None


def _reason(facts: Mapping[str, Scalar], failed: bool) -> str:
    fault = str(facts.get(ERROR_TYPE, "")).lower()
    return NOT_GENERATED if failed and not any(word in fault for word in _MAY_HAVE_GENERATED) else USAGE_UNKNOWN


def _status(facts: Mapping[str, Scalar], failed: bool) -> int:
    """The status of the answer, where the error's type is one."""
    fault = str(facts.get(ERROR_TYPE, ""))
    if fault.isascii() and fault.isdigit() and len(fault) == 3:
        return int(fault)
    return _SERVER_FAULT if failed else 200


def _name(facts: Mapping[str, Scalar], name: str) -> str | None:
    value = facts.get(name)
    if not isinstance(value, str):
        return None
    text = value.strip()
    return text if text and len(text) <= LONGEST_NAME and text.isprintable() else None


def _seconds(value: Scalar | None) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value is not None and 0 <= float(value) < 86_400 else None
