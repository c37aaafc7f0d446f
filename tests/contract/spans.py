"""Spans for tests, as exporters send them: OTLP in JSON, made by hand. It must never depend on the code that reads them."""

import json
import time
from collections.abc import Sequence
from typing import Any

Attributes = dict[str, Any]
CHAT: Attributes = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.response.model": "gpt-4o-mini-2024-07-18",
    "gen_ai.response.id": "chatcmpl-1",
    "gen_ai.usage.input_tokens": 120,
    "gen_ai.usage.output_tokens": 40,
    "server.address": "api.openai.com",
    "server.port": 443,
}
NS = 1_000_000_000


def now_ns(ago_s: float = 0.0) -> int:
    """The time so many seconds ago, in ns."""
    return time.time_ns() - int(ago_s * NS)


def value(found: Any) -> dict[str, Any]:
    """A value as OTLP writes it in JSON."""
    if isinstance(found, bool):
        return {"boolValue": found}
    if isinstance(found, int):
        return {"intValue": str(found)}
    if isinstance(found, float):
        return {"doubleValue": found}
    if isinstance(found, list):
        return {"arrayValue": {"values": [value(each) for each in found]}}
    return {"stringValue": found}


def pairs(attributes: Attributes) -> list[dict[str, Any]]:
    """Attributes as OTLP writes them."""
    return [{"key": key, "value": value(found)} for key, found in attributes.items()]


def span(
    attributes: Attributes | None = None,
    *,
    trace: int = 1,
    own: int = 1,
    parent: int | None = None,
    start_ns: int | None = None,
    seconds: float = 1.0,
    error: bool = False,
    **changes: Any,
) -> dict[str, Any]:
    """A span of a chat call that ended now. changes: attributes with `.` as `__`; None takes one away."""
    start = now_ns(seconds) if start_ns is None else start_ns
    found = dict(CHAT if attributes is None else attributes)
    found.update({name.replace("__", "."): each for name, each in changes.items()})
    made: dict[str, Any] = {
        "traceId": f"{trace:032x}",
        "spanId": f"{own:016x}",
        "name": "chat gpt-4o-mini",
        "kind": 3,
        "startTimeUnixNano": str(start),
        "endTimeUnixNano": str(start + int(seconds * NS)),
        "attributes": pairs({name: each for name, each in found.items() if each is not None}),
        "events": [{"name": "gen_ai.choice", "attributes": pairs({"content": "a secret answer"})}],
    }
    if parent is not None:
        made["parentSpanId"] = f"{parent:016x}"
    if error:
        made["status"] = {"code": 2, "message": "boom"}
    return made


def export(*spans: dict[str, Any], resource: Attributes | None = None) -> dict[str, Any]:
    """A request that holds the spans."""
    return {
        "resourceSpans": [
            {"resource": {"attributes": pairs(resource or {})}, "scopeSpans": [{"scope": {"name": "a test"}, "spans": list(spans)}]}
        ]
    }


def body(*spans: dict[str, Any], resource: Attributes | None = None) -> bytes:
    """The same as bytes."""
    return json.dumps(export(*spans, resource=resource)).encode()


def many(count: int, **changes: Any) -> Sequence[dict[str, Any]]:
    """So many spans of different calls."""
    return [span(own=number + 1, **changes) for number in range(count)]
