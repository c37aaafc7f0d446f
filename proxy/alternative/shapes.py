"""Writes an alternative's answer in the shape of the endpoint that was asked, whole or as a stream. It must never pass for a model's.

The model's name says what it is, usage is 0 tokens: no model ran.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from proxy.alternative.made import Drawn, Made, Text
from proxy.alternative.response_shape import response_events, response_of
from proxy.endpoints.base import Ask

EVENTS = b"text/event-stream; charset=utf-8"
JSON = b"application/json"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Telling:
    """What all shapes say. footprint: `"footprint": {...}`, a member of usage; empty: none."""

    call_id: str
    created_s: int
    model: str
    footprint: bytes = b""

    def usage(self, *names: str, **more: object) -> msgspec.Raw:
        """Usage of no token under each of the names."""
        raw = msgspec.json.encode({**dict.fromkeys(names, 0), **more})
        return msgspec.Raw(raw[:-1] + b"," + self.footprint + b"}" if self.footprint else raw)


def shaped(ask: Ask, made: Made, telling: Telling, *, as_url: bool = False) -> tuple[bytes, bytes]:
    """Content type and body of the answer. as_url: a picture is given as an address, which holds it."""
    operation = ask.endpoint.operation
    if isinstance(made, Drawn):
        return _pictures(ask, made, telling, as_url)
    whole, events = _TEXTS[operation]
    if ask.stream:
        return EVENTS, events(ask, made, telling)
    return JSON, msgspec.json.encode(whole(made, telling))


def named_events(events: list[Json]) -> bytes:
    """Server-sent events, each with its type on a line of its own."""
    return b"".join(b"event: %s\ndata: %s\n\n" % (event["type"].encode(), msgspec.json.encode(event)) for event in events)


def _chat_head(telling: Telling, kind: str) -> Json:
    return {"id": f"chatcmpl-{telling.call_id}", "object": kind, "created": telling.created_s, "model": telling.model}


def _tokens(telling: Telling) -> msgspec.Raw:
    return telling.usage("prompt_tokens", "completion_tokens", "total_tokens")


def _chat(made: Text, telling: Telling) -> Json:
    message: Json = {"role": "assistant", "content": made.text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {**_chat_head(telling, "chat.completion"), "choices": [choice], "usage": _tokens(telling)}


def _chat_events(ask: Ask, made: Text, telling: Telling) -> bytes:
    head = _chat_head(telling, "chat.completion.chunk")
    deltas: list[tuple[Json, str | None]] = [({"role": "assistant", "content": ""}, None), ({"content": made.text}, None), ({}, "stop")]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]} for delta, finish in deltas]
    return _chunks(ask, chunks, head, telling)


def _chunks(ask: Ask, chunks: list[Json], head: Json, telling: Telling) -> bytes:
    """Chunks, the usage where it was asked for, and the mark of the end."""
    if ask.wants_usage:
        chunks.append({**head, "choices": [], "usage": _tokens(telling)})
    return b"".join(b"data: %s\n\n" % msgspec.json.encode(chunk) for chunk in chunks) + b"data: [DONE]\n\n"


def _completion_head(telling: Telling) -> Json:
    return {"id": f"cmpl-{telling.call_id}", "object": "text_completion", "created": telling.created_s, "model": telling.model}


def _completion(made: Text, telling: Telling) -> Json:
    choice = {"text": made.text, "index": 0, "logprobs": None, "finish_reason": "stop"}
    return {**_completion_head(telling), "choices": [choice], "usage": _tokens(telling)}


def _completion_events(ask: Ask, made: Text, telling: Telling) -> bytes:
    head = _completion_head(telling)
    parts: list[tuple[str, str | None]] = [(made.text, None), ("", "stop")]
    chunks = [{**head, "choices": [{"text": text, "index": 0, "logprobs": None, "finish_reason": end}]} for text, end in parts]
    return _chunks(ask, chunks, head, telling)


def _message(made: Text, telling: Telling) -> Json:
    return {
        "id": f"msg_{telling.call_id.replace('-', '')}",
        "type": "message",
        "role": "assistant",
        "model": telling.model,
        "content": [{"type": "text", "text": made.text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": telling.usage("input_tokens", "output_tokens"),
    }


def _message_events(ask: Ask, made: Text, telling: Telling) -> bytes:
    begun = _message(made, telling) | {"content": [], "stop_reason": None, "usage": {"input_tokens": 0, "output_tokens": 0}}
    return named_events(
        [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": made.text}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": telling.usage("input_tokens", "output_tokens"),
            },
            {"type": "message_stop"},
        ]
    )


def _response(made: Text, telling: Telling) -> Json:
    details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
    usage = telling.usage("input_tokens", "output_tokens", "total_tokens", **details)
    return response_of(made.text, telling.call_id.replace("-", ""), telling.created_s, telling.model, usage)


def _response_events(ask: Ask, made: Text, telling: Telling) -> bytes:
    return named_events(response_events(_response(made, telling)))


def _pictures(ask: Ask, made: Drawn, telling: Telling, as_url: bool) -> tuple[bytes, bytes]:
    coded = base64.b64encode(made.raw).decode()
    usage = telling.usage("input_tokens", "output_tokens", "total_tokens", input_tokens_details={"image_tokens": 0, "text_tokens": 0})
    if ask.stream:
        event = {"type": "image_generation.completed", "created_at": telling.created_s, "b64_json": coded, "output_format": made.form}
        return EVENTS, named_events([{**event, "usage": usage}])
    shown = {"url": f"data:image/{made.form};base64,{coded}"} if as_url else {"b64_json": coded}
    document = {"created": telling.created_s, "data": [shown], "output_format": made.form, "usage": usage}
    return JSON, msgspec.json.encode(document)


_TEXTS: Mapping[str, tuple[Callable[[Text, Telling], Json], Callable[[Ask, Text, Telling], bytes]]] = {
    "chat": (_chat, _chat_events),
    "completions": (_completion, _completion_events),
    "messages": (_message, _message_events),
    "responses": (_response, _response_events),
}
