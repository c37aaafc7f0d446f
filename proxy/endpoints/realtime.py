"""What is said of calls that are answers on a WebSocket: voice sessions and what is written down in them. It must never see a frame."""

from estimators.usage import Usage
from proxy.endpoints.base import Ask, Endpoint, Head, Prompt
from proxy.endpoints.reading import no_event_text, no_text

UNNAMED = "unnamed"
"""Alias of a session whose model is named at the provider only."""

PATH = "/v1/realtime"


def _no_prompt(body: bytes) -> Prompt:
    return Prompt(texts=())


def _as_told(ask: Ask, answer: bytes, usage: Usage) -> Usage:
    return usage


def _spoken(path: str, operation: str, weighed_as: str, *, writes: bool) -> Endpoint:
    return Endpoint(
        path=path,
        operation=operation,
        weighed_as=weighed_as,
        content="input",
        writes=writes,
        prompt=_no_prompt,
        reply_text=no_text,
        event_text=no_event_text,
        usage_of=_as_told,
    )


REALTIME = _spoken(PATH, "realtime", "chat", writes=True)
HEARD = _spoken(PATH, "transcription", "transcription", writes=False)
"""What a realtime session writes down of what it hears, by a model of its own."""

LIVE = _spoken("/v1/live/sessions", "live", "audio", writes=False)


def ask_of(endpoint: Endpoint, alias: str) -> Ask:
    """A call of which nothing is known but its model."""
    return Ask(endpoint=endpoint, body=b"{}", alias=alias, stream=True, wants_usage=False, head=Head(), content_bytes=0)
