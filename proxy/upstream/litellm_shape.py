"""Writes LiteLLM's answers as bytes of the caller's dialect. It must never invent a figure, nor pass on one of LiteLLM's own making."""

import json
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

DONE = b"data: [DONE]\n\n"
RESPONSE_ID, CHAT_ID = "resp_", "chatcmpl-"
_WRAPPED = ";response_id:"
_NOT_THEIRS = ("cost",)
"""What LiteLLM adds to usage: a price of its own reckoning."""


MAY_BE_EMPTY = frozenset(("candidates", "choices", "content", "data", "metadata", "output", "tools"))


def plain(result: Any) -> dict[str, Any]:
    """The answer as JSON values, without what is absent."""
    if isinstance(result, Mapping):
        return dict(result)
    found: dict[str, Any] = result.model_dump(mode="json", exclude_none=True, warnings=False)
    return found


def dumped(found: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def chat_body(result: Any, model: str, number: int = 0) -> bytes:
    """A whole chat answer."""
    answer = _told(plain(result), model)
    for choice in answer.get("choices", ()):
        message = choice.get("message") or {}
        choice["message"] = {"role": "assistant", "content": None, "refusal": None, **_without_empty(message)}
        choice.setdefault("logprobs", None)
        _drop_empty(choice, "provider_specific_fields")
    return dumped(answer)


def chat_event(chunk: Any, model: str, number: int = 0) -> bytes:
    """One event of a chat stream; the one that carries the usage has no choices, as OpenAI's."""
    answer = _told(plain(chunk), model)
    choices = answer.get("choices") or []
    for choice in choices:
        choice["delta"] = _without_empty(choice.get("delta") or {})
        choice.setdefault("finish_reason", None)
        choice.setdefault("logprobs", None)
    said = any(choice["delta"] or choice["finish_reason"] for choice in choices)
    answer["choices"] = choices if said or "usage" not in answer else []
    return _event(answer)


def completion_body(result: Any, model: str, number: int = 0) -> bytes:
    """A whole text completion."""
    answer = _told(plain(result), model)
    for choice in answer.get("choices", ()):
        choice.setdefault("text", "")
        choice.setdefault("logprobs", None)
    return dumped(answer)


def completion_event(chunk: Any, model: str, number: int = 0) -> bytes:
    """One event of a text completion's stream."""
    answer = _told(plain(chunk), model)
    choices = answer.get("choices") or []
    said = any(choice.get("text") or choice.get("finish_reason") for choice in choices)
    for choice in choices:
        choice.setdefault("text", "")
        choice.setdefault("finish_reason", None)
        choice.setdefault("logprobs", None)
    answer["choices"] = choices if said or "usage" not in answer else []
    return _event(answer)


def json_body(result: Any, model: str, number: int = 0) -> bytes:
    """An answer whose members are passed on as they are."""
    answer = _told(plain(result), model)
    _drop_empty(answer, "provider_specific_fields")
    return dumped(answer)


def response_body(result: Any, model: str, number: int = 0) -> bytes:
    """A whole answer of the Responses API."""
    return dumped(_as_response(_told(plain(result), model)))


def named_event(chunk: Any, model: str, number: int = 0) -> bytes:
    """One event that says its type, as the Responses API has it, numbered by its place in the stream; bytes are events already."""
    if isinstance(chunk, bytes | str):
        return chunk if isinstance(chunk, bytes) else chunk.encode()
    found = plain(chunk)
    response = found.get("response")
    if isinstance(response, dict):
        found["response"] = _as_response(_told(response, model))
    kind = found.get("type", "")
    if "response" in found or "output_index" in found or str(kind).startswith("response."):
        found["sequence_number"] = number
    return b"event: " + str(kind).encode() + b"\ndata: " + dumped(found) + b"\n\n"


def gemini_event(chunk: Any, model: str, number: int = 0) -> bytes:
    """One event of a generateContent stream."""
    if isinstance(chunk, bytes | str):
        raw = chunk if isinstance(chunk, bytes) else chunk.encode()
        return raw if raw.endswith(b"\n\n") else raw.rstrip(b"\r\n") + b"\n\n"
    return _event(plain(chunk))


def _as_response(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer under an id as OpenAI writes them; LiteLLM leaves the provider's bare, or wraps it with settings of its own."""
    told = answer.get("id")
    if not isinstance(told, str):
        return answer
    bare = told.removeprefix(RESPONSE_ID)
    try:
        _, wrapped, inner = b64decode(bare, validate=True).decode().rpartition(_WRAPPED)
        bare = inner if wrapped else bare
    except ValueError:
        pass  # not LiteLLM's wrapping: the provider's own
    return {**answer, "id": RESPONSE_ID + bare.removeprefix(CHAT_ID)}


def _event(answer: Any) -> bytes:
    return b"data: " + dumped(answer) + b"\n\n"


def _told(answer: dict[str, Any], model: str) -> dict[str, Any]:
    """The answer with the provider's name of the model, and without LiteLLM's own additions."""
    told = answer.get("model")
    provider, _, _ = model.partition("/")
    if isinstance(told, str):
        answer["model"] = told.removeprefix(provider + "/") or told
    usage = answer.get("usage")
    if isinstance(usage, dict):
        answer["usage"] = {name: value for name, value in usage.items() if name not in _NOT_THEIRS}
        if answer.get("type") != "message" and _is_nothing(usage):
            del answer["usage"]
    return {name: value for name, value in answer.items() if name in MAY_BE_EMPTY or value not in ([], {})}


def _is_nothing(usage: Mapping[str, Any]) -> bool:
    """True for a usage of zeros, which LiteLLM writes where the provider told none; a message of Anthropic's always has one."""
    return not any(value for value in usage.values() if isinstance(value, int | float))


def _without_empty(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in message.items() if value not in ([], {}, None)}
    _drop_empty(kept, "provider_specific_fields")
    return kept


def _drop_empty(found: dict[str, Any], name: str) -> None:
    """Drops `name` when it holds nothing."""
    inner = found.get(name)
    if isinstance(inner, dict) and not any(value not in (None, [], {}) for value in inner.values()):
        del found[name]
