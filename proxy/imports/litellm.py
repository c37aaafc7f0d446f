"""Rows of LiteLLM's spend logs (table LiteLLM_SpendLogs, as CSV or JSON). It must never read a message, an answer or an end user."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from proxy.imports.context import Context
from proxy.imports.operations import is_known_not_generative, operation_of
from proxy.imports.record import Record, parsed_number
from proxy.imports.row import Row, SkippedRow, UsageRow

INNER: Final = ("requester_metadata", "spend_logs_metadata", "user_api_key_metadata")
"""Objects in a row's metadata that callers and key owners fill."""


def rows(record: Record, context: Context) -> Iterator[Row]:
    """The row of one request."""
    skipped = _why_not(record)
    if skipped is not None:
        yield SkippedRow(line=record.line, reason=skipped)
        return
    word = record.text("call_type") or "completion"
    operation = operation_of(word) or record.refuse("call_type", f"{word[:40]!r} is no kind of call that is known")
    metadata = record.mapping("metadata")
    start = record.needed_instant_ms("startTime", "start_time")
    end = record.instant_ms("endTime", "end_time")
    usage = _nested(metadata, "usage_object")
    ids = (record.text("request_id"), _text(metadata, "x-grammage-call-id"), _text(metadata, "litellm_call_id"))
    yield UsageRow(
        line=record.line,
        own_id=record.text("request_id"),
        ids=tuple(each for each in ids if each),
        provider=record.text("custom_llm_provider") or context.provider,
        model=record.needed("model", "model_group"),
        operation=operation,
        start_ms=start,
        latency_s=max(0.0, (end - start) / 1000) if end is not None else 0.0,
        amounts={
            "calls": 1.0,
            "input_tokens": record.count("prompt_tokens") or 0,
            "output_tokens": record.count("completion_tokens") or 0,
            "cached_input_tokens": _cached(metadata, usage),
            "images": _images(record, usage, operation),
            "audio_input_seconds": _number(usage, "duration") or _number(usage, "seconds") or 0.0,
            "characters": _number(usage, "characters") or 0.0,
        },
        tags=context.tags_of(metadata, *(_nested(metadata, name) for name in INNER), listed=record.items("request_tags")),
        money=record.number("spend"),
        currency="USD",
    )


def _why_not(record: Record) -> str | None:
    """Why nothing is to be weighed, None: it is."""
    if record.flag("cache_hit"):
        return "answered_from_cache"
    if (record.text("status") or "success").lower() not in ("success", "200"):
        return "failed"
    return "not_generative" if is_known_not_generative(record.text("call_type") or "") else None


def _cached(metadata: Mapping[str, Any], usage: Mapping[str, Any]) -> float:
    """Cached input tokens, wherever this version of LiteLLM wrote them."""
    extra = _nested(metadata, "additional_usage_values")
    places = (_nested(usage, "prompt_tokens_details"), _nested(extra, "prompt_tokens_details"))
    found = [_number(place, "cached_tokens") for place in places]
    found += [_number(place, "cache_read_input_tokens") for place in (extra, usage)]
    return next((number for number in found if number), 0.0)


def _images(record: Record, usage: Mapping[str, Any], operation: str) -> float:
    """Pictures made: as told, else one of a call for pictures."""
    told = _number(usage, "images") or record.number("images", "n")
    return (told or 1.0) if operation == "images" else 0.0


def _nested(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def _number(fields: Mapping[str, Any], name: str) -> float | None:
    value = fields.get(name)
    number = None if value is None else parsed_number(value)
    return number if number is not None and number >= 0 else None


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None
