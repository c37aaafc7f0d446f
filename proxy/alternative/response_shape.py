"""A text as an answer of the Responses API, whole and as the events that lead to it. It must never say that it is kept."""

from collections.abc import Iterator
from typing import Any

import msgspec

Json = dict[str, Any]


def response_of(text: str, made_id: str, created_s: int, model: str, usage: msgspec.Raw) -> Json:
    """The finished response."""
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    item = {"id": f"msg_{made_id}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    return {
        "id": f"resp_{made_id}",
        "object": "response",
        "created_at": created_s,
        "completed_at": created_s,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "model": model,
        "output": [item],
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None},
        "store": False,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "truncation": "disabled",
        "usage": usage,
        "metadata": {},
    }


def response_events(document: Json) -> list[Json]:
    """Every event, numbered from 0."""
    return [{**event, "sequence_number": number} for number, event in enumerate(_events(document))]


def _events(document: Json) -> Iterator[Json]:
    begun = {**document, "status": "in_progress", "completed_at": None, "output": [], "usage": None}
    (item,) = document["output"]
    (part,) = item["content"]
    place = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    yield {"type": "response.output_item.added", "output_index": 0, "item": {**item, "status": "in_progress", "content": []}}
    yield {"type": "response.content_part.added", **place, "part": {**part, "text": ""}}
    yield {"type": "response.output_text.delta", **place, "delta": part["text"], "logprobs": []}
    yield {"type": "response.output_text.done", **place, "text": part["text"], "logprobs": []}
    yield {"type": "response.content_part.done", **place, "part": part}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    yield {"type": "response.completed", "response": document}
