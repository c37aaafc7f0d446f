"""Tells a finished response again as the stream of events that would have led to it. It must never change what it says.

Sequence numbers start at 0 and have no gap, so that a stream can be taken up again after any of them.
"""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from proxy.simulate import tokens
from proxy.simulate.exchange import JsonObject

_LATER = ("usage", "tool_usage")


def events_of(document: JsonObject) -> tuple[JsonObject, ...]:
    """Every event, numbered."""
    return tuple({**event, "sequence_number": number} for number, event in enumerate(_events(document)))


def unfinished(document: JsonObject, status: str) -> JsonObject:
    """The response as it stood before its end."""
    kept = {key: value for key, value in document.items() if key not in _LATER}
    return {**kept, "status": status, "completed_at": None, "incomplete_details": None, "output": [], "usage": None}


def _events(document: JsonObject) -> Iterator[JsonObject]:
    waiting = document.get("background") is True
    yield {"type": "response.created", "response": unfinished(document, "queued" if waiting else "in_progress")}
    if waiting:
        yield {"type": "response.queued", "response": unfinished(document, "queued")}
    yield {"type": "response.in_progress", "response": unfinished(document, "in_progress")}
    for index, item in enumerate(document["output"]):
        place = {"output_index": index, "item_id": item["id"]}
        yield {"type": "response.output_item.added", "output_index": index, "item": _opened(item)}
        yield from _WRITTEN.get(item["type"], _nothing)(item, place)
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{document['status']}", "response": document}


def _opened(item: JsonObject) -> JsonObject:
    """The item as it stood when it began."""
    empty: dict[str, JsonObject] = {
        "message": {"content": []},
        "function_call": {"arguments": ""},
        "image_generation_call": {"result": None},
    }
    status: JsonObject = {"status": "in_progress"} if "status" in item else {}
    return {**item, **status, **empty.get(item["type"], {})}


def _message(item: JsonObject, place: JsonObject) -> Iterator[JsonObject]:
    for index, part in enumerate(item["content"]):
        where = {**place, "content_index": index}
        yield {"type": "response.content_part.added", **where, "part": {**part, "text": ""}}
        for piece in tokens.pieces(part["text"]):
            yield {"type": "response.output_text.delta", **where, "delta": piece, "logprobs": []}
        yield {"type": "response.output_text.done", **where, "text": part["text"], "logprobs": []}
        yield {"type": "response.content_part.done", **where, "part": part}


def _call(item: JsonObject, place: JsonObject) -> Iterator[JsonObject]:
    for piece in tokens.pieces(item["arguments"]):
        yield {"type": "response.function_call_arguments.delta", **place, "delta": piece}
    yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"], "name": item["name"]}


def _picture(item: JsonObject, place: JsonObject) -> Iterator[JsonObject]:
    for step in ("in_progress", "generating", "completed"):
        yield {"type": f"response.image_generation_call.{step}", **place}


def _search(item: JsonObject, place: JsonObject) -> Iterator[JsonObject]:
    for step in ("in_progress", "searching", "completed"):
        yield {"type": f"response.web_search_call.{step}", **place}


def _nothing(item: JsonObject, place: JsonObject) -> Iterator[JsonObject]:
    yield from ()


# kind of item -> the events between its beginning and its end
_WRITTEN: Mapping[str, Callable[[JsonObject, JsonObject], Iterator[JsonObject]]] = MappingProxyType(
    {"message": _message, "function_call": _call, "image_generation_call": _picture, "web_search_call": _search}
)
