"""Reads the provider's own usage object into our inclusive buckets. It must never trust a subset that exceeds its total."""

import msgspec

from estimators.usage import Usage


class _Details(msgspec.Struct):
    cached_tokens: float | None = None
    audio_tokens: float | None = None
    image_tokens: float | None = None
    reasoning_tokens: float | None = None


class _WireUsage(msgspec.Struct):
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    total_tokens: float | None = None
    prompt_cache_hit_tokens: float | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


_DECODER = msgspec.json.Decoder(_WireUsage)
_NO_DETAILS = _Details()


def read_usage(raw: bytes) -> Usage | None:
    """The usage in `raw` (one JSON object), or None when it is null, malformed or names no token count.

    Providers that leave hidden reasoning out of completion_tokens show it as total - prompt; the larger figure counts.
    """
    try:
        wire = _DECODER.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        return None
    prompt = wire.prompt_tokens if wire.prompt_tokens is not None else wire.input_tokens
    completion = wire.completion_tokens if wire.completion_tokens is not None else wire.output_tokens
    if prompt is None and completion is None:
        return None
    return _usage(wire, _count(prompt), _count(completion))


def _usage(wire: _WireUsage, input_tokens: int, completion: int) -> Usage:
    inputs = wire.prompt_tokens_details or wire.input_tokens_details or _NO_DETAILS
    outputs = wire.completion_tokens_details or wire.output_tokens_details or _NO_DETAILS
    output_tokens = max(completion, _count(wire.total_tokens) - input_tokens)
    cached = inputs.cached_tokens if inputs.cached_tokens is not None else wire.prompt_cache_hit_tokens
    image = min(_count(inputs.image_tokens), input_tokens)
    audio_out = min(_count(outputs.audio_tokens), output_tokens)
    return Usage(
        input_tokens=input_tokens,
        cached_input_tokens=min(_count(cached), input_tokens),
        image_input_tokens=image,
        audio_input_tokens=min(_count(inputs.audio_tokens), input_tokens - image),
        output_tokens=output_tokens,
        reasoning_output_tokens=min(_count(outputs.reasoning_tokens), output_tokens - audio_out),
        audio_output_tokens=audio_out,
        source="provider",
    )


def _count(number: float | None) -> int:
    """A token count >= 0; what is absent or negative counts nothing."""
    return 0 if number is None or not 0 < number < 1e15 else int(number)
