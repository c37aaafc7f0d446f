"""What an answer says, choice by choice, the same for every dialect. It must never guess a refusal from words."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

DEEPEST = 16
_CUT = frozenset(("length", "max_tokens", "max_output_tokens", "MAX_TOKENS", "model_context_window_exceeded"))
"""Words for an answer that a limit ended."""

_REFUSED = frozenset(("content_filter", "refusal"))
_BLOCKED = frozenset(
    ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT", "LANGUAGE")
)
_WORKING = frozenset(("queued", "in_progress"))
_GARBLED = "MALFORMED_FUNCTION_CALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One choice of an answer. text: for the reader, thoughts left out. calls: (function, arguments as JSON text) that it calls.

    does: it holds something else than text, such as a call or a picture. refused, cut: as the provider states it.
    """

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    does: bool = False
    refused: bool = False
    cut: bool = False

    @property
    def is_empty(self) -> bool:
        """True when there is nothing for anybody."""
        return not self.does and not self.text.strip()


def choices_of(operation: str, answer: Any) -> tuple[Written, ...]:
    """The choices of a whole answer; none where its shape is not known, so that nothing can be said of it."""
    read = _READ.get(operation)
    return read(answer) if read is not None and isinstance(answer, dict) else ()


def _chat(answer: dict[str, Any]) -> tuple[Written, ...]:
    return tuple(_chat_choice(choice) for choice in dicts(answer["choices"])) or (Written(),) if _is_list(answer, "choices") else ()


def _chat_choice(choice: dict[str, Any]) -> Written:
    found = choice.get("message")
    message: dict[str, Any] = found if isinstance(found, dict) else {}
    made = [call.get("function") for call in dicts(message.get("tool_calls"))] + [message.get("function_call")]
    shows = any(message.get(name) for name in ("tool_calls", "function_call", "audio", "images"))
    refusal = message.get("refusal")
    ended = choice.get("finish_reason")
    return Written(
        text=text_in(message.get("content")),
        calls=tuple(called(call) for call in made if isinstance(call, dict)),
        does=shows,
        refused=ended in _REFUSED or (isinstance(refusal, str) and bool(refusal)) or _has_part(message.get("content"), "refusal"),
        cut=ended in _CUT,
    )


def _completions(answer: dict[str, Any]) -> tuple[Written, ...]:
    if not _is_list(answer, "choices"):
        return ()
    return tuple(
        Written(text=_string(one.get("text")), refused=one.get("finish_reason") in _REFUSED, cut=one.get("finish_reason") in _CUT)
        for one in dicts(answer["choices"])
    ) or (Written(),)


def _responses(answer: dict[str, Any]) -> tuple[Written, ...]:
    if not _is_list(answer, "output") or answer.get("status") in _WORKING:
        return ()
    items = dicts(answer["output"])
    parts = [part for item in items for part in dicts(item.get("content")) if item.get("type") == "message"]
    details = answer.get("incomplete_details")
    why = details.get("reason") if isinstance(details, dict) else None
    return (
        Written(
            text="".join(_string(part.get("text")) for part in parts if part.get("type") == "output_text"),
            calls=tuple(called(item) for item in items if item.get("type") == "function_call"),
            does=any(item.get("type") not in ("message", "reasoning") for item in items),
            refused=why in _REFUSED or any(part.get("type") == "refusal" for part in parts),
            cut=why in _CUT,
        ),
    )


def _messages(answer: dict[str, Any]) -> tuple[Written, ...]:
    if not _is_list(answer, "content"):
        return ()
    blocks, ended = dicts(answer["content"]), answer.get("stop_reason")
    return (
        Written(
            text="".join(_string(block.get("text")) for block in blocks if block.get("type") == "text"),
            does=any(block.get("type") not in ("text", "thinking", "redacted_thinking") for block in blocks),
            refused=ended in _REFUSED,
            cut=ended in _CUT,
        ),
    )


def _gemini(answer: dict[str, Any]) -> tuple[Written, ...]:
    feedback = answer.get("promptFeedback")
    if isinstance(feedback, dict) and feedback.get("blockReason"):
        return (Written(refused=True),)
    if not _is_list(answer, "candidates"):
        return ()
    return tuple(_candidate(one) for one in dicts(answer["candidates"])) or (Written(),)


def _candidate(one: dict[str, Any]) -> Written:
    content, ended = one.get("content"), one.get("finishReason")
    parts = dicts(content.get("parts")) if isinstance(content, dict) else []
    said = [part for part in parts if not part.get("thought")]
    garbled = (("", "{"),) if ended == _GARBLED else ()
    return Written(
        text="".join(_string(part.get("text")) for part in said),
        calls=garbled,
        does=bool(garbled) or any("text" not in part for part in said),
        refused=ended in _BLOCKED,
        cut=ended in _CUT,
    )


_READ: Mapping[str, Callable[[dict[str, Any]], tuple[Written, ...]]] = {
    "chat": _chat,
    "completions": _completions,
    "responses": _responses,
    "messages": _messages,
    "generate_content": _gemini,
    "stream_generate_content": _gemini,
}
CHECKED = frozenset(_READ)
"""Operations whose answers can be checked."""


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def called(call: dict[str, Any]) -> tuple[str, str]:
    """Name and arguments of a call, as they stand."""
    return _string(call.get("name")), _string(call.get("arguments"))


def text_in(content: Any, depth: int = 0) -> str:
    """All text of a content value: a string, or its text parts."""
    if isinstance(content, str):
        return content
    parts = dicts(content) if depth <= DEEPEST else []
    return "".join(text_in(part.get("text"), depth + 1) for part in parts if part.get("type") in ("text", "output_text"))


def _has_part(content: Any, kind: str) -> bool:
    return any(part.get("type") == kind for part in dicts(content))


def _is_list(answer: dict[str, Any], name: str) -> bool:
    return isinstance(answer.get(name), list)


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""
