"""What one provider's server says, and what must become of it. It must never know the proxy."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.contract.scripted_upstream import Headers, Part, streamed, whole

TEXT = "Bonjour, le pull."
KEY = "secret-key-of-the-tests"
HALVES = ("Bonjour, ", "le pull.")
Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One alias of one example.

    base: the path that the example's own address has, kept behind the local server's. target: the path that is asked for, and for a stream.
    key: the header that holds the key, and its value. recorded: usage in the ledger. errors: status line to the provider's own body.
    translated: the answer is not the provider's bytes.
    """

    example: str
    alias: str
    target: str
    unary: Body
    events: tuple[bytes, ...]
    recorded: Mapping[str, int]
    stream_target: str = ""
    base: str = ""
    key: tuple[str, str] = ("authorization", f"Bearer {KEY}")
    provider: str = ""
    model: str = ""
    translated: bool = False
    headers: Headers = field(default_factory=list)
    stream_kind: bytes = b"text/event-stream"
    limited: Body = field(default_factory=lambda: openai_error("Rate limit reached.", "rate_limit_exceeded"))
    refused: Body = field(default_factory=lambda: openai_error("Incorrect API key provided.", "invalid_api_key"))
    ask: Callable[[Body], Body] = lambda asked: asked

    def answers(self) -> list[Part]:
        """The whole answer."""
        return [*whole(json.dumps(self.unary).encode(), *self.headers)]

    def streams(self, *, end: bool = True) -> list[Part]:
        """The stream; without its end it is cut after its first event that holds text."""
        return [*streamed(*self.events, kind=self.stream_kind, headers=self.headers, end=end)]

    def errs(self, status: bytes, body: Body, *headers: tuple[bytes, bytes]) -> list[Part]:
        """A refusal."""
        return [*whole(json.dumps(body).encode(), *headers, *self.headers, status=status)]


def openai_error(message: str, code: str) -> Body:
    """An error as OpenAI words it."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def data(event: Body) -> bytes:
    """One server-sent event without a name."""
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def named(event: Body) -> bytes:
    """One server-sent event that is called as its type."""
    return f"event: {event['type']}\n".encode() + data(event)


DONE = b"data: [DONE]\n\n"


def chat(usage: Body, model: str = "m", **more: Any) -> Body:
    """A whole chat answer in OpenAI's format."""
    choice = {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage, **more}


def chunk(delta: Body, *, finish: str | None = None, model: str = "m", **more: Any) -> bytes:
    """One chunk of a chat stream in OpenAI's format."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return data({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice], **more})


def usage_chunk(usage: Body, model: str = "m", **more: Any) -> bytes:
    """The chunk that OpenAI sends last when asked for usage."""
    return data(
        {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [], "usage": usage, **more}
    )


def chat_events(usage: Body, model: str = "m") -> tuple[bytes, ...]:
    """A chat stream in OpenAI's format, usage in a chunk of its own."""
    first, second = HALVES
    return (
        chunk({"role": "assistant", "content": first}, model=model),
        chunk({"content": second}, model=model),
        chunk({}, finish="stop", model=model),
        usage_chunk(usage, model),
        DONE,
    )
