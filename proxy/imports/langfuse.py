"""Observations of Langfuse (JSON or CSV export). It must never read an input, an output, a user or a session."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from proxy.imports.context import Context
from proxy.imports.record import Record, parsed_number
from proxy.imports.row import Row, SkippedRow, UsageRow

GENERATIONS: Final[Mapping[str, str]] = {"generation": "chat", "embedding": "embeddings"}
"""Observations that a model made, as operations; every other type is a span of somebody's program."""


def rows(record: Record, context: Context) -> Iterator[Row]:
    """The row of one observation."""
    operation = GENERATIONS.get((record.text("type") or "generation").lower())
    model = record.text("model", "providedModelName", "modelName")
    if operation is None or model is None:
        yield SkippedRow(line=record.line, reason="not_a_generation")
        return
    if (record.text("level") or "").upper() == "ERROR":
        yield SkippedRow(line=record.line, reason="failed")
        return
    start = record.needed_instant_ms("startTime", "timestamp")
    end = record.instant_ms("endTime")
    metadata = record.mapping("metadata")
    amounts = _amounts(record)
    yield UsageRow(
        line=record.line,
        own_id=record.text("id", "observationId"),
        ids=_ids(record, metadata),
        provider=_provider(metadata) or context.provider,
        model=model,
        operation=operation,
        start_ms=start,
        latency_s=max(0.0, (end - start) / 1000) if end is not None else 0.0,
        amounts=amounts,
        tags=context.tags_of(metadata, listed=[*record.items("tags"), *record.items("traceTags")]),
        source="counted",
        money=record.number("calculatedTotalCost", "totalCost"),
        currency="USD",
    )


def _amounts(record: Record) -> dict[str, float]:
    """Tokens by Langfuse's usage types, which are exclusive of one another: cached input stands beside `input`."""
    details = record.mapping("usageDetails", "usage")
    told = {str(name).lower(): number for name, value in details.items() if (number := _number(value)) is not None}
    entries = {name: number for name, number in told.items() if "token" in name or name in ("input", "output")}
    given = {name: number for name, number in entries.items() if name not in ("prompt_tokens", "completion_tokens", "total_tokens")}
    read = sum(number for name, number in given.items() if "input" in name)
    written = sum(number for name, number in given.items() if "output" in name)
    cached = sum(number for name, number in given.items() if "input" in name and "cache" in name and "creation" not in name)
    return {
        "calls": 1.0,
        "input_tokens": read or told.get("prompt_tokens") or record.count("promptTokens", "inputTokens", "inputUsage") or 0,
        "cached_input_tokens": cached,
        "output_tokens": written or told.get("completion_tokens") or record.count("completionTokens", "outputTokens", "outputUsage") or 0,
    }


def _ids(record: Record, metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids by which the proxy may know the call: its own, handed on by the caller, or the answer's."""
    named = ("x-grammage-call-id", "grammage_call_id", "response_id", "request_id")
    return tuple(value for name in named if isinstance(value := metadata.get(name), str) and value)


def _provider(metadata: Mapping[str, Any]) -> str | None:
    named = ("provider", "ls_provider", "custom_llm_provider")
    return next((value for name in named if isinstance(value := metadata.get(name), str) and value), None)


def _number(value: Any) -> float | None:
    found = None if value is None else parsed_number(value)
    return found if found is not None and found >= 0 else None
