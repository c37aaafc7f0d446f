"""The whole answer that a stream amounts to, as its dialect would have given it at once. It must never need a whole stream."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from proxy.verify.written import dicts

Answer = dict[str, Any]
_BORDER = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DATA = re.compile(rb"^data:[ ]?([^\r\n]*)", re.MULTILINE)
_FINDER = json.JSONDecoder()


def gathered(operation: str, stream: bytes) -> Answer | None:
    """The answer; None where the stream holds none that can be read."""
    gather = _GATHER.get(operation)
    events = list(_events(stream))
    return gather(events) if gather is not None and events else None


def _events(stream: bytes) -> Iterator[Answer]:
    """What stands in the events, or in the one JSON array that some streams are."""
    if stream.lstrip().startswith(b"["):
        yield from _members(stream)
        return
    for event in _BORDER.split(stream):
        payload = b"\n".join(_DATA.findall(event))
        found = _read(payload) if payload.lstrip().startswith(b"{") else None
        if isinstance(found, dict):
            yield found


def _read(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        return None


def _members(stream: bytes) -> Iterator[Answer]:
    text = stream.decode("utf-8", "replace")
    at = text.find("{")
    while at >= 0:
        try:
            one, end = _FINDER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return
        if isinstance(one, dict):
            yield one
        at = text.find("{", end)


def _chat(events: list[Answer]) -> Answer:
    """Deltas by choice; what a delta brings of a function's arguments belongs to the call of the same number."""
    choices: dict[Any, Answer] = {}
    for choice in (one for event in events for one in dicts(event.get("choices"))):
        whole = choices.setdefault(choice.get("index", 0), {"message": {}, "text": "", "finish_reason": None})
        whole["finish_reason"] = choice.get("finish_reason") or whole["finish_reason"]
        whole["text"] += _string(choice.get("text"))
        delta = choice.get("delta")
        if isinstance(delta, dict):
            _grow(whole["message"], delta)
    return {"choices": list(choices.values())}


def _grow(message: Answer, delta: Answer) -> None:
    for name in ("content", "refusal"):
        if isinstance(delta.get(name), str):
            message[name] = _string(message.get(name)) + delta[name]
    for name in ("audio", "images"):
        message[name] = delta.get(name) or message.get(name)
    if isinstance(delta.get("function_call"), dict):
        _grow_call(message.setdefault("function_call", {}), delta["function_call"])
    calls = message.setdefault("tool_calls", [])
    numbered = {call["index"]: call for call in calls}
    for part in dicts(delta.get("tool_calls")):
        number = part.get("index", len(numbered))
        if number not in numbered:
            numbered[number] = {"index": number}
            calls.append(numbered[number])
        if isinstance(part.get("function"), dict):
            _grow_call(numbered[number].setdefault("function", {}), part["function"])


def _grow_call(call: Answer, part: Answer) -> None:
    for name in ("name", "arguments"):
        call[name] = _string(call.get(name)) + _string(part.get(name))


def _responses(events: list[Answer]) -> Answer | None:
    """The event that ends the stream holds the whole answer."""
    found = [event.get("response") for event in events if event.get("type") in ("response.completed", "response.incomplete")]
    return found[-1] if found and isinstance(found[-1], dict) else None


def _messages(events: list[Answer]) -> Answer:
    blocks: dict[Any, Answer] = {}
    ended = None
    for event in events:
        block, delta = event.get("content_block"), event.get("delta")
        if isinstance(block, dict):
            blocks[event.get("index", len(blocks))] = {**block}
        elif isinstance(delta, dict):
            ended = delta.get("stop_reason") or ended
            open_block = blocks.get(event.get("index"))
            if open_block is not None and isinstance(delta.get("text"), str):
                open_block["text"] = _string(open_block.get("text")) + delta["text"]
    return {"content": list(blocks.values()), "stop_reason": ended}


def _gemini(events: list[Answer]) -> Answer:
    """Parts by candidate, in turn; the last reason stands."""
    candidates: dict[Any, Answer] = {}
    feedback = None
    for event in events:
        feedback = event.get("promptFeedback") or feedback
        for one in dicts(event.get("candidates")):
            whole = candidates.setdefault(one.get("index", 0), {"content": {"parts": []}, "finishReason": None})
            content = one.get("content")
            whole["content"]["parts"] += dicts(content.get("parts")) if isinstance(content, dict) else []
            whole["finishReason"] = one.get("finishReason") or whole["finishReason"]
    return {"candidates": list(candidates.values()), "promptFeedback": feedback}


_GATHER: Mapping[str, Callable[[list[Answer]], Answer | None]] = {
    "chat": _chat,
    "completions": _chat,
    "responses": _responses,
    "messages": _messages,
    "generate_content": _gemini,
    "stream_generate_content": _gemini,
}


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
