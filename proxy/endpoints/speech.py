"""The speech endpoint: a text is spoken, weighed by its characters unless the answer tells tokens. It must never see a provider."""

from dataclasses import replace
from typing import Any

from estimators.usage import Media, Usage
from proxy.endpoints.base import Ask, Endpoint, Prompt
from proxy.endpoints.reading import decoded, no_event_text, no_text


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    given: list[Any] = [request.get("input"), request.get("instructions")] if isinstance(request, dict) else []
    return Prompt(texts=tuple(text for text in given if isinstance(text, str)))


def _usage_of(ask: Ask, answer: bytes, usage: Usage) -> Usage:
    """The usage with the characters to be spoken; what such a model writes is audio."""
    text = decoded(bytes(ask.head.input))
    spoken = usage.output_tokens - usage.reasoning_output_tokens - usage.image_output_tokens
    return replace(usage, media=Media(characters=len(text) if isinstance(text, str) else None), audio_output_tokens=spoken)


SPEECH = Endpoint(
    path="/v1/audio/speech",
    operation="audio",
    weighed_as="speech",
    content="input",
    writes=False,
    prompt=_prompt,
    reply_text=no_text,
    event_text=no_event_text,
    usage_of=_usage_of,
    terminal_events=("speech.audio.done",),
    binary=True,
)
