"""Anthropic's Messages endpoint: turns in, content blocks out; its input count leaves out the cache. It must never see a provider."""

import json
from dataclasses import replace
from typing import Any

import msgspec

from estimators.usage import Usage
from proxy.endpoints.base import Endpoint, Head, Picture, Prompt
from proxy.endpoints.chat import TOKENS_PER_MESSAGE, TOKENS_TO_PRIME
from proxy.endpoints.chat_parts import PICTURE_TYPES, as_json, functions_in, other_tools_in
from proxy.endpoints.reading import DEEPEST_CONTENT, decoded, joined
from proxy.probe.picture_size import size_of_base64

MOST_TOKENS = 1e15
TEXTS = ("text", "thinking", "partial_json")
"""Members of a delta that bring new text."""


class _Head(Head):
    system: msgspec.Raw = msgspec.Raw(b"")


class _Wire(msgspec.Struct):
    input_tokens: Any = None
    cache_read_input_tokens: Any = None
    cache_creation_input_tokens: Any = None
    output_tokens: Any = None
    output_tokens_details: Any = None


_WIRE = msgspec.json.Decoder(_Wire)


def read_usage(raw: bytes) -> Usage | None:
    """The usage in `raw`, made inclusive: cached tokens stand beside `input_tokens` there, and count as input here."""
    try:
        wire = _WIRE.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if wire.input_tokens is None and wire.output_tokens is None:
        return None
    read = _count(wire.cache_read_input_tokens)
    output_tokens = _count(wire.output_tokens)
    details = wire.output_tokens_details
    thought = _count(details.get("thinking_tokens")) if isinstance(details, dict) else 0
    return Usage(
        input_tokens=_count(wire.input_tokens) + read + _count(wire.cache_creation_input_tokens),
        cached_input_tokens=read,
        output_tokens=output_tokens,
        reasoning_output_tokens=min(thought, output_tokens),
        source="provider",
    )


def _count(number: Any) -> int:
    return int(number) if isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < MOST_TOKENS else 0


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    if not isinstance(request, dict):
        return Prompt(texts=())
    given = request.get("messages")
    turns = [turn for turn in given if isinstance(turn, dict)] if isinstance(given, list) else []
    texts = [joined(request.get("system"))]
    texts += [_content_text(turn.get("content")) for turn in turns]
    texts += [str(turn.get("role", "")) for turn in turns]
    tools = request.get("tools")
    pictures = tuple(picture for turn in turns for picture in _pictures(turn.get("content")))
    return Prompt(
        texts=tuple(text for text in texts if text),
        overhead_tokens=TOKENS_PER_MESSAGE * len(turns) + TOKENS_TO_PRIME,
        images=len(pictures),
        pictures=pictures,
        functions=functions_in(tools),
        tool_texts=tuple(as_json(tool) for tool in other_tools_in(tools)),
    )


def _content_text(content: Any, depth: int = 0) -> str:
    """All text of a turn's or an answer's content: words, thoughts, what a tool was asked and what it gave back."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or depth > DEEPEST_CONTENT:
        return ""
    return "".join(_block_text(block, depth) for block in content if isinstance(block, dict))


def _block_text(block: dict[str, Any], depth: int) -> str:
    kind = block.get("type")
    if kind == "thinking":
        return str(block.get("thinking") or "")
    if isinstance(kind, str) and kind.endswith("tool_use"):
        return f"{block.get('name') or ''}{json.dumps(block.get('input') or {}, ensure_ascii=False)}"
    if isinstance(kind, str) and kind.endswith("tool_result"):
        return _content_text(block.get("content"), depth + 1)
    if kind == "document":
        source = block.get("source")
        return str(source.get("data") or "") if isinstance(source, dict) and source.get("type") == "text" else ""
    text = block.get("text")
    return text if isinstance(text, str) else ""


def _pictures(content: Any, depth: int = 0) -> list[Picture]:
    """Pictures in a turn, those that a tool gave back among them; of inlined ones the size."""
    if not isinstance(content, list) or depth > DEEPEST_CONTENT:
        return []
    found = []
    for block in (block for block in content if isinstance(block, dict)):
        found += [_picture(block)] if block.get("type") in PICTURE_TYPES else _pictures(block.get("content"), depth + 1)
    return found


def _picture(block: dict[str, Any]) -> Picture:
    source = block.get("source")
    data = source.get("data") if isinstance(source, dict) else None
    return Picture(*(size_of_base64(data) or (None, None))) if isinstance(data, str) else Picture()


def _reply_text(body: bytes) -> tuple[str, ...]:
    reply = decoded(body)
    return (_content_text(reply.get("content")),) if isinstance(reply, dict) else ()


def _event_text(payload: bytes) -> str:
    event = decoded(payload)
    if not isinstance(event, dict):
        return ""
    delta, block = event.get("delta"), event.get("content_block")
    if isinstance(delta, dict):
        return "".join(delta[name] for name in TEXTS if isinstance(delta.get(name), str))
    return str(block.get("name") or "") if isinstance(block, dict) else ""


MESSAGES = Endpoint(
    path="/v1/messages",
    operation="messages",
    weighed_as="chat",
    content="messages",
    writes=True,
    prompt=_prompt,
    reply_text=_reply_text,
    event_text=_event_text,
    terminal_events=("message_stop",),
    dialect="anthropic",
    head=msgspec.json.Decoder(_Head),
    usage_reader=read_usage,
)
COUNT_TOKENS = replace(MESSAGES, path="/v1/messages/count_tokens", operation="count_tokens", writes=False, counts=True)
