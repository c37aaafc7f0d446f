"""Rows of a plain CSV (or JSON) of usage, of tools without a kind of their own. It must never read a column that is not documented."""

from collections.abc import Iterator
from typing import Final

from proxy.imports.context import Context
from proxy.imports.operations import operation_of
from proxy.imports.record import Record
from proxy.imports.row import Row, Shape, SkippedRow, UsageRow

COLUMNS: Final = {
    "time": ("timestamp", "started", "start", "start_time", "date"),
    "end": ("end_time", "until"),
    "model": ("model_name", "model_id"),
    "provider": ("vendor", "service"),
    "operation": ("call_type", "endpoint_kind"),
    "calls": ("requests", "num_requests", "count"),
    "input_tokens": ("prompt_tokens", "tokens_in"),
    "cached_input_tokens": ("cached_tokens",),
    "output_tokens": ("completion_tokens", "tokens_out"),
    "images": ("pictures", "n_images"),
    "width": (),
    "height": (),
    "quality": (),
    "audio_input_seconds": ("seconds", "audio_seconds"),
    "characters": (),
    "request_id": ("id",),
    "call_id": ("grammage_call_id",),
    "latency_s": ("latency",),
    "cost": ("spend", "price"),
    "currency": (),
}
"""Columns that are read, with other headers that mean the same; beside these `tag_<name>` and the declared tags by their name."""
_AMOUNTS: Final = ("input_tokens", "cached_input_tokens", "output_tokens", "images", "characters")


def rows(record: Record, context: Context) -> Iterator[Row]:
    """The row of one call, or of many where it states `calls` above 1 or an `end`."""
    word = record.text(*_named("operation")) or "chat"
    operation = operation_of(word) or record.refuse("operation", f"{word[:40]!r} is no kind of call that is known")
    start, end = record.needed_instant_ms(*_named("time")), record.instant_ms(*_named("end"))
    if end is not None and end <= start:
        record.refuse("end", "is not after the time")
    calls = record.count(*_named("calls"))
    if calls == 0:
        yield SkippedRow(line=record.line, reason="empty")
        return
    many = (calls or 1) > 1
    if many and end is None:
        record.refuse("end", "is not stated: a sum of calls needs the end of its time, to be matched with what was seen live")
    amounts: dict[str, float] = {name: record.count(*_named(name)) or 0 for name in _AMOUNTS}
    seconds = record.number(*_named("audio_input_seconds")) or 0.0
    yield UsageRow(
        line=record.line,
        own_id=record.text(*_named("request_id")),
        ids=tuple(each for name in ("request_id", "call_id") if (each := record.text(*_named(name)))),
        provider=record.text(*_named("provider")) or context.provider,
        model=record.needed(*_named("model")),
        operation=operation,
        start_ms=start,
        end_ms=end if many or (calls is not None and end is not None) else None,
        latency_s=record.number(*_named("latency_s")) or 0.0,
        amounts=amounts | {"calls": float(calls or 1), "audio_input_seconds": seconds},
        tags=context.tags_of(record.named),
        source="counted",
        shape=Shape(width=record.count("width"), height=record.count("height"), quality=record.text("quality")),
        money=record.number(*_named("cost")),
        currency=record.text("currency") or context.currency,
    )


def _named(column: str) -> tuple[str, ...]:
    return (column, *COLUMNS[column])
