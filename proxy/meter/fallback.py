"""Counts what the provider did not: tokens of the prompt and of the answer, offline. It must never claim to be the provider's count."""

from collections.abc import Sequence
from dataclasses import replace

from estimators.usage import Usage, UsageSource
from proxy.endpoints.base import Ask, Endpoint, Prompt
from proxy.endpoints.chat_parts import NO_CALL, as_json
from proxy.meter.count import count_tokens
from proxy.meter.events import DATA_LINE
from proxy.meter.families import family_of
from proxy.meter.picture_tokens import bills_more_than_computed, picture_tokens
from proxy.meter.sound_tokens import sound_tokens
from proxy.meter.tool_text import FORCED_CALL_TOKENS, FRAME_TOKENS, NO_CALL_TOKENS, SHARED_FRAME_TOKENS, as_typescript
from proxy.probe.picture_size import HEADER_BYTES
from proxy.splice import with_heads_of_payloads

BYTES_PER_TOKEN = 4
"""Rule of thumb for text that is not read; the `estimated` source carries its doubt."""

LONGEST_COUNTED_CHARS = 2_000_000
PICTURE = b"image"
"""Stands in every request that shows a picture, whatever the dialect: in its type, or in that of its file."""


SHORT_HEAD_CHARS = 1024
LONG_HEADED = (b";base64,/9j/", b"ZnR5c")
"""How JPEG, AVIF and HEIC begin in base64: their size may stand far behind the beginning, that of others never does."""


def guess_input_tokens(ask: Ask) -> int:
    """Input tokens by the length of the prompt alone, for forecasts."""
    return max(1, ask.content_bytes // BYTES_PER_TOKEN) if ask.content_bytes else 0


def count_prompt(ask: Ask, model: str | None = None) -> Usage:
    """What the request alone takes; runs the tokenizer, so call it in a thread. model: who reads it, the alias where that is not known."""
    prompt, name = ask.endpoint.prompt(ask.asked), model or ask.alias
    shown_tokens = sum(picture_tokens(name, *picture) for picture in prompt.pictures)
    heard_tokens = sound_tokens(name, prompt.sound_seconds)
    read_tokens = _tokens(prompt.texts, name) + prompt.overhead_tokens + _tool_tokens(prompt, name)
    return Usage(
        input_tokens=read_tokens + shown_tokens + heard_tokens,
        image_input_tokens=shown_tokens,
        audio_input_tokens=heard_tokens,
        input_images=max(prompt.images, len(prompt.pictures)),
        source="counted",
    )


def may_hold_untold_pictures(ask: Ask, usage: Usage, model: str) -> bool:
    """Whether the provider's count may hold tokens of pictures without saying how many, where those have to be told from the others."""
    untold = usage.source == "provider" and usage.input_tokens > 0 and not usage.image_input_tokens
    return untold and bills_more_than_computed(model) and PICTURE in ask.asked


def with_shown_pictures(ask: Ask, usage: Usage, model: str) -> Usage:
    """The provider's count with the part of it that is pictures, by their sizes. Reads the heads of inlined pictures, not the pictures."""
    asked = with_heads_of_payloads(ask.asked, SHORT_HEAD_CHARS)
    pictures = ask.endpoint.prompt(asked).pictures
    if any(width is None for width, *_ in pictures) and any(mark in asked for mark in LONG_HEADED):
        pictures = ask.endpoint.prompt(with_heads_of_payloads(ask.asked, HEADER_BYTES)).pictures
    shown_tokens = sum(picture_tokens(model, *picture) for picture in pictures)
    return replace(usage, image_input_tokens=min(shown_tokens, usage.input_tokens - usage.audio_input_tokens))


def count_whole(ask: Ask, body: bytes, model: str | None = None) -> Usage:
    """Usage of a whole answer without one. Runs the tokenizer, so call it in a thread."""
    return _usage(ask, ask.endpoint.reply_text(body), model, hidden_bytes=0, partial=False)


def count_stream(ask: Ask, kept: Sequence[bytes], seen_bytes: int, *, partial: bool, model: str | None = None) -> Usage:
    """Usage of a stream of which `kept` bytes were kept out of `seen_bytes`. Runs the tokenizer, so call it in a thread."""
    data = b"".join(kept)
    text = stream_text(ask.endpoint, data)
    return _usage(ask, (text,), model, hidden_bytes=max(0, seen_bytes - len(data)), partial=partial, kept_bytes=len(data))


def stream_text(endpoint: Endpoint, data: bytes) -> str:
    """All text that the events in `data` carry; a torn last event says nothing."""
    if endpoint.stream_text is not None:
        return endpoint.stream_text(data)
    return "".join(endpoint.event_text(payload) for payload in DATA_LINE.findall(data) if payload[:1] == b"{")


def _usage(ask: Ask, texts: tuple[str, ...], model: str | None, *, hidden_bytes: int, partial: bool, kept_bytes: int = 0) -> Usage:
    output_tokens = _tokens(texts, model or ask.alias)
    source: UsageSource = "counted"
    if hidden_bytes and kept_bytes:
        output_tokens = round(output_tokens * (kept_bytes + hidden_bytes) / kept_bytes)
        source = "estimated"
    return replace(count_prompt(ask, model), output_tokens=output_tokens, source=source, partial=partial)


def _tool_tokens(prompt: Prompt, model: str) -> int:
    """Tokens of what may be called, as the family of `model` writes it into the prompt."""
    if not (prompt.functions or prompt.tool_texts):
        return 0
    family = family_of(model)
    tokens = _tokens(prompt.tool_texts, model) + family.tool_tokens
    if family.tools == "json":
        return tokens + _tokens(tuple(as_json(function) for function in prompt.functions), model)
    if not prompt.functions:
        return tokens
    tokens += _tokens((as_typescript(prompt.functions),), model) + FRAME_TOKENS + (SHARED_FRAME_TOKENS if prompt.shares_frame else 0)
    if prompt.forced_call == NO_CALL:
        return tokens + NO_CALL_TOKENS
    return tokens + FORCED_CALL_TOKENS + _tokens((prompt.forced_call,), model) if prompt.forced_call else tokens


def _tokens(texts: tuple[str, ...], model: str) -> int:
    size = sum(len(text) for text in texts)
    if size > LONGEST_COUNTED_CHARS:
        return size // BYTES_PER_TOKEN
    return sum(count_tokens(text, model) for text in texts)
