"""The Responses endpoint: items in, items out; the event that ends a stream carries its usage. It must never see a provider."""

import json
import re
from dataclasses import replace
from typing import Any

import msgspec

from estimators.usage import Media, Usage
from proxy.endpoints.base import Ask, Endpoint, Prompt
from proxy.endpoints.chat import TOKENS_PER_MESSAGE, TOKENS_TO_PRIME, schema_texts
from proxy.endpoints.chat_parts import (
    as_json,
    call_text,
    forced_call_in,
    functions_in,
    other_tools_in,
    pictures_in,
    schema_in,
    seconds_in,
)
from proxy.endpoints.reading import DEEPEST_CONTENT, decoded, fields_of, joined

UNNAMED = "unnamed"
"""Alias of a call whose model stands in a prompt stored at the provider."""

USER = "user"
"""Role of an input that is a bare text."""

UNFINISHED = ("queued", "in_progress")
DELTAS = frozenset(
    f"response.{name}.delta"
    for name in (
        "output_text",
        "refusal",
        "function_call_arguments",
        "custom_tool_call_input",
        "mcp_call_arguments",
        "code_interpreter_call_code",
        "reasoning_text",
        "reasoning_summary_text",
    )
)
"""Events that bring new text; all others repeat it or say where it stands."""

ITEM_BEGINS = "response.output_item.added"
"""Names a function that is being called."""

TEXTS = ("arguments", "output", "name", "instructions", "summary", "input", "code")
"""Members of an item, beside its content, that are read or written as text."""

MOST_TOKENS = 1e15
_TOOL_USAGE = re.compile(rb'"tool_usage"\s*:\s*\{')
_DRAWING = re.compile(rb'"type"\s*:\s*"image_generation_call"')
_FINDER = json.JSONDecoder()


class _Context(msgspec.Struct):
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None


_CONTEXT = msgspec.json.Decoder(_Context)


class _Status(msgspec.Struct):
    id: Any = None
    status: Any = None
    response: Any = None


class _Kept(msgspec.Struct):
    store: Any = None
    background: Any = None


_STATUS = msgspec.json.Decoder(_Status)
_KEPT = msgspec.json.Decoder(_Kept)
_FIRST_ID = re.compile(rb'"response"\s*:\s*\{\s*"id"\s*:\s*"([^"\\]{1,128})"')


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    if not isinstance(request, dict):
        return Prompt(texts=())
    given, instructions, tools = request.get("input"), request.get("instructions"), request.get("tools")
    items = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
    functions = functions_in(tools)
    told = instructions if isinstance(instructions, str) else ""
    texts = [told + "\n" if told and functions else told]
    texts += [given, USER] if isinstance(given, str) else [_item_text(item) for item in items]
    texts += [str(item.get("role") or "") for item in items]
    answer = request.get("text")
    schema = schema_in(answer.get("format")) if isinstance(answer, dict) else None
    texts += schema_texts(schema) if schema else []
    turns = (len(items) or 1) + (1 if told else 0)
    shown = [part for item in items for part in (item.get("content"), item.get("output"))]
    pictures = tuple(picture for part in shown for picture in pictures_in(part))
    return Prompt(
        texts=tuple(text for text in texts if text),
        overhead_tokens=TOKENS_PER_MESSAGE * turns + TOKENS_TO_PRIME if given or told else 0,
        images=len(pictures),
        pictures=pictures,
        sound_seconds=sum(seconds_in(part) for part in shown),
        functions=functions,
        tool_texts=tuple(as_json(tool) for tool in other_tools_in(tools)),
        shares_frame=bool(told) or any(item.get("role") in ("system", "developer") for item in items),
        forced_call=forced_call_in(request.get("tool_choice")),
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _item_text(item: dict[str, Any], depth: int = 0, *, written: bool = False) -> str:
    """All text of one item: what was said, a tool's name and arguments, what it gave back, a summary of thoughts.

    written: the model wrote it in this answer.
    """
    if item.get("type") == "function_call":
        return call_text(item.get("name"), item.get("arguments"), ends=written)
    text = joined(item.get("content"), depth)
    for name in TEXTS:
        value = item.get(name)
        if isinstance(value, str):
            text += value
        elif isinstance(value, list) and depth < DEEPEST_CONTENT:
            text += joined(value, depth + 1)
    return text


def _reply_text(body: bytes) -> tuple[str, ...]:
    reply = decoded(body)
    output = _list(reply.get("output")) if isinstance(reply, dict) else []
    return tuple(_item_text(item, written=True) for item in output if isinstance(item, dict))


def _event_text(payload: bytes) -> str:
    event = decoded(payload)
    if not isinstance(event, dict):
        return ""
    item, kind = event.get("item"), event.get("type")
    if kind == ITEM_BEGINS and isinstance(item, dict) and item.get("type") == "function_call":
        return call_text(item.get("name"), item.get("arguments"), ends=True)
    delta = event.get("delta") if isinstance(kind, str) and kind in DELTAS else None
    return delta if isinstance(delta, str) else ""


def _unfinished(body: bytes) -> bool:
    """True when the answer only says that the work goes on in the background."""
    return fields_of(_Status, _STATUS, body).status in UNFINISHED


def _kept_as(ask: Ask, answer: bytes) -> str | None:
    """The id of the answer, or of the one in an event; None where it is not to be kept."""
    if b'"store"' in ask.body and fields_of(_Kept, _KEPT, ask.body).store is False and not _goes_on(ask):
        return None
    found = fields_of(_Status, _STATUS, answer)
    inner = found.response.get("id") if isinstance(found.response, dict) else found.id
    if isinstance(inner, str):
        return inner
    first = _FIRST_ID.search(answer)
    return first[1].decode("utf-8", "replace") if first else None


def _goes_on(ask: Ask) -> bool:
    """True when it was asked for in the background."""
    return b'"background"' in ask.body and fields_of(_Kept, _KEPT, ask.body).background is True


def _usage_of(ask: Ask, answer: bytes, usage: Usage) -> Usage:
    """The usage with what it leaves out: the tokens of the picture tool, which stand beside it, and the pictures."""
    if usage.source == "counted" and _has_context(ask):
        usage = replace(usage, source="estimated")
    return with_tools(answer, usage)


def with_tools(answer: bytes, usage: Usage) -> Usage:
    """The usage with the tokens and pictures of the picture tool, as far as `answer` tells them."""
    found = _TOOL_USAGE.search(answer) if b'"tool_usage"' in answer else None
    drawn = _drawing(answer, found.end() - 1) if found else None
    images = len(_DRAWING.findall(answer)) if b'"image_generation_call"' in answer else 0
    if drawn is not None:
        usage = _with_drawing(usage, drawn)
        images = images or 1
    return replace(usage, media=Media(images=images)) if images else usage


def _has_context(ask: Ask) -> bool:
    """True when the provider holds a part of the prompt that we never see."""
    context = fields_of(_Context, _CONTEXT, ask.body)
    return any((context.previous_response_id, context.conversation, context.prompt))


def _drawing(answer: bytes, at: int) -> dict[str, Any] | None:
    """What the picture tool used, None when it was not called."""
    try:
        tools, _ = _FINDER.raw_decode(answer[at:].decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    drawn = tools.get("image_gen")
    if not isinstance(drawn, dict) or not (_count(drawn, "input_tokens") or _count(drawn, "output_tokens")):
        return None
    return drawn


def _with_drawing(usage: Usage, drawn: dict[str, Any]) -> Usage:
    read, written = _count(drawn, "input_tokens"), _count(drawn, "output_tokens")
    details = drawn.get("input_tokens_details")
    inputs: dict[str, Any] = details if isinstance(details, dict) else {}
    return replace(
        usage,
        input_tokens=usage.input_tokens + read,
        cached_input_tokens=usage.cached_input_tokens + min(_count(inputs, "cached_tokens"), read),
        image_input_tokens=usage.image_input_tokens + min(_count(inputs, "image_tokens"), read),
        output_tokens=usage.output_tokens + written,
        image_output_tokens=usage.image_output_tokens + written,
    )


def _count(found: dict[str, Any], name: str) -> int:
    number = found.get(name)
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 <= number < MOST_TOKENS else 0


RESPONSES = Endpoint(
    path="/v1/responses",
    operation="responses",
    weighed_as="chat",
    content="input",
    writes=True,
    prompt=_prompt,
    reply_text=_reply_text,
    event_text=_event_text,
    usage_of=_usage_of,
    terminal_events=("response.completed", "response.incomplete", "response.failed"),
    unfinished=_unfinished,
    default_alias=UNNAMED,
    kept_as=_kept_as,
    goes_on=_goes_on,
    refers=("previous_response_id", "conversation"),
)
COMPACT = replace(
    RESPONSES,
    path="/v1/responses/compact",
    terminal_events=(),
    unfinished=None,
    kept_as=None,
    goes_on=None,
    refers=("previous_response_id",),
)
