"""Buckets of OpenAI's usage API (organization/usage/*, grouped by model). It must never keep who used it, nor by which key."""

from collections.abc import Iterator, Mapping
from typing import Final

from proxy.imports.context import Context
from proxy.imports.record import Record, record_of
from proxy.imports.row import Row, SkippedRow, UsageRow

PROVIDER: Final = "openai"
OPERATIONS: Final[Mapping[str, str]] = {
    "completions": "chat",
    "embeddings": "embeddings",
    "moderations": "moderation",
    "images": "images",
    "audio_speeches": "audio",
    "audio_transcriptions": "transcription",
}
"""What a result is of, by the middle of its `object`: organization.usage.<this>.result."""
COSTS: Final = "organization.costs.result"


def rows(record: Record, context: Context) -> Iterator[Row]:
    """One row for each result of the bucket."""
    start, end = record.needed_instant_ms("start_time"), record.needed_instant_ms("end_time")
    if end <= start:
        record.refuse("end_time", "is not after start_time")
    for result in record.items("results", "result"):
        if not isinstance(result, Mapping):
            record.refuse("results", "holds what is no object")
        yield _row(record_of(record.file, record.line, result, record.zone), context, start, end)


def _row(result: Record, context: Context, start_ms: int, end_ms: int) -> Row:
    kind = result.text("object") or "organization.usage.completions.result"
    if kind == COSTS:
        return SkippedRow(line=result.line, reason="costs_for_reconcile")
    operation = OPERATIONS.get(kind.removeprefix("organization.usage.").removesuffix(".result"))
    if operation is None:
        return SkippedRow(line=result.line, reason="not_generative")
    model = result.text("model")
    if model is None:
        result.refuse("model", "is null: export with group_by=model, a sum over models cannot be weighed")
    return UsageRow(
        line=result.line,
        provider=context.provider or PROVIDER,
        model=model,
        operation=operation,
        start_ms=start_ms,
        end_ms=end_ms,
        amounts=_amounts(result),
        batched=result.flag("batch"),
        tags=context.tags_of(result.named),
    )


def _amounts(result: Record) -> dict[str, float]:
    return {
        "calls": result.count("num_model_requests") or 0,
        "input_tokens": (result.count("input_tokens") or 0),
        "cached_input_tokens": result.count("input_cached_tokens") or 0,
        "output_tokens": result.count("output_tokens") or 0,
        "audio_input_tokens": result.count("input_audio_tokens") or 0,
        "audio_output_tokens": result.count("output_audio_tokens") or 0,
        "images": result.count("images") or 0,
        "audio_input_seconds": result.number("seconds") or 0,
        "characters": result.count("characters") or 0,
    }
