"""Counts what the provider did not: tokens of the prompt and of the answer, offline. It must never claim to be the provider's count."""

from collections.abc import Sequence

from estimators.usage import Usage, UsageSource
from proxy.endpoints.base import Ask, Endpoint
from proxy.meter.count import count_tokens
from proxy.meter.sse import DATA_LINE

BYTES_PER_TOKEN = 4
"""Rule of thumb for text that is not read; the `estimated` source carries its doubt."""

LONGEST_COUNTED_CHARS = 2_000_000


def guess_input_tokens(ask: Ask) -> int:
    """Input tokens by the length of the prompt alone, for forecasts."""
    return max(1, ask.content_bytes // BYTES_PER_TOKEN) if ask.content_bytes else 0


def count_prompt(ask: Ask) -> tuple[int, int]:
    """Tokens and pictures of the request; runs the tokenizer, so call it in a thread."""
    prompt = ask.endpoint.prompt(ask.asked)
    return _tokens(prompt.texts, ask.alias) + prompt.overhead_tokens, prompt.images


def count_whole(ask: Ask, body: bytes) -> Usage:
    """Usage of a whole answer without one. Runs the tokenizer, so call it in a thread."""
    return _usage(ask, ask.endpoint.reply_text(body), hidden_bytes=0, partial=False)


def count_stream(ask: Ask, kept: Sequence[bytes], seen_bytes: int, *, partial: bool) -> Usage:
    """Usage of a stream of which `kept` bytes were kept out of `seen_bytes`. Runs the tokenizer, so call it in a thread."""
    data = b"".join(kept)
    text = stream_text(ask.endpoint, data)
    return _usage(ask, (text,), hidden_bytes=max(0, seen_bytes - len(data)), partial=partial, kept_bytes=len(data))


def stream_text(endpoint: Endpoint, data: bytes) -> str:
    """All text that the events in `data` carry; a torn last event says nothing."""
    return "".join(endpoint.event_text(payload) for payload in DATA_LINE.findall(data) if payload[:1] == b"{")


def _usage(ask: Ask, texts: tuple[str, ...], *, hidden_bytes: int, partial: bool, kept_bytes: int = 0) -> Usage:
    input_tokens, images = count_prompt(ask)
    output_tokens = _tokens(texts, ask.alias)
    source: UsageSource = "counted"
    if hidden_bytes and kept_bytes:
        output_tokens = round(output_tokens * (kept_bytes + hidden_bytes) / kept_bytes)
        source = "estimated"
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, input_images=images, source=source, partial=partial)


def _tokens(texts: tuple[str, ...], model: str) -> int:
    size = sum(len(text) for text in texts)
    if size > LONGEST_COUNTED_CHARS:
        return size // BYTES_PER_TOKEN
    return sum(count_tokens(text, model) for text in texts)
