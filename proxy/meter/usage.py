"""Reads the provider's own usage object into our inclusive buckets. It must never trust a subset that exceeds its total."""

import json
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any

import msgspec

from estimators.usage import Usage


class _Details(msgspec.Struct):
    cached_tokens: Any = None
    audio_tokens: Any = None
    image_tokens: Any = None
    reasoning_tokens: Any = None


class _WireUsage(msgspec.Struct):
    prompt_tokens: Any = None
    completion_tokens: Any = None
    input_tokens: Any = None
    output_tokens: Any = None
    total_tokens: Any = None
    prompt_cache_hit_tokens: Any = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    input_token_details: _Details | None = None
    output_token_details: _Details | None = None


_DECODER = msgspec.json.Decoder(_WireUsage)
_NO_DETAILS = _Details()
_DETAILS = tuple(name for name in _WireUsage.__struct_fields__ if name.endswith("_details"))
MOST_TOKENS = 1e15
_SUMMED = tuple(field.name for field in fields(Usage) if field.name.endswith("_tokens"))


def read_usage(raw: bytes) -> Usage | None:
    """The usage in `raw` (one JSON object), or None when it is null, malformed or names no token count.

    Providers that leave hidden reasoning out of completion_tokens show it as total - prompt; the larger figure counts.
    """
    wire = _read(raw)
    if wire is None:
        return None
    prompt = _count(wire.prompt_tokens if wire.prompt_tokens is not None else wire.input_tokens)
    completion = _count(wire.completion_tokens if wire.completion_tokens is not None else wire.output_tokens)
    if prompt is None and completion is None:
        return None
    return _usage(wire, prompt or 0, completion or 0)


def with_earlier(usage: Usage, earlier: Iterable[bytes]) -> Usage:
    """`usage` and those of earlier parts of the same answer, which count apart."""
    for raw in earlier:
        if (more := read_usage(raw)) is not None:
            usage = replace(usage, **{name: getattr(usage, name) + getattr(more, name) for name in _SUMMED})
    return usage


def _read(raw: bytes) -> _WireUsage | None:
    try:
        return _DECODER.decode(raw)
    except msgspec.ValidationError:
        return _without_odd_details(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return None


def _without_odd_details(raw: bytes) -> _WireUsage | None:
    """The usage of a provider whose details are of another shape: those are left out, the totals count."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    kept = {name: found[name] for name in _WireUsage.__struct_fields__ if name in found and name not in _DETAILS}
    return _WireUsage(**kept)


def _usage(wire: _WireUsage, input_tokens: int, completion: int) -> Usage:
    inputs = wire.prompt_tokens_details or wire.input_tokens_details or wire.input_token_details or _NO_DETAILS
    outputs = wire.completion_tokens_details or wire.output_tokens_details or wire.output_token_details or _NO_DETAILS
    output_tokens = max(completion, (_count(wire.total_tokens) or 0) - input_tokens)
    cached = inputs.cached_tokens if inputs.cached_tokens is not None else wire.prompt_cache_hit_tokens
    image = min(_count(inputs.image_tokens) or 0, input_tokens)
    audio_out = min(_count(outputs.audio_tokens) or 0, output_tokens)
    image_out = 0 if outputs.image_tokens is None else min(_count(outputs.image_tokens) or 0, output_tokens - audio_out)
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=min(_count(cached) or 0, input_tokens),
        image_input_tokens=image,
        audio_input_tokens=min(_count(inputs.audio_tokens) or 0, input_tokens - image),
        output_tokens=output_tokens,
        reasoning_output_tokens=min(_count(outputs.reasoning_tokens) or 0, output_tokens - audio_out - image_out),
        audio_output_tokens=audio_out,
        image_output_tokens=image_out,
        source="provider",
    )


def _count(number: Any) -> int | None:
    """A token count >= 0, 0 for a number that cannot be one; None when it is not a number."""
    if number is None or (type(number) is int and 0 <= number < MOST_TOKENS):
        return number
    if isinstance(number, bool) or not isinstance(number, int | float):
        return None
    return int(number) if 0 <= number < MOST_TOKENS else 0
