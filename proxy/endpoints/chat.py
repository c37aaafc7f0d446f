"""The chat endpoint: where its prompt and its answer stand. It must never see a provider."""

import json
from typing import Any

from proxy.endpoints.base import Endpoint, Prompt, decoded, joined

TOKENS_PER_MESSAGE = 3
"""Role marker and separators of one message in OpenAI's chat format."""

TOKENS_TO_PRIME = 3
"""The reply is primed with the assistant's role marker."""

PICTURE_TYPES = ("image_url", "input_image", "image")


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list):
        return Prompt(texts=())
    turns = [turn for turn in messages if isinstance(turn, dict)]
    texts = [joined(turn.get("content")) for turn in turns]
    texts += [str(turn.get("role", "")) for turn in turns]
    texts += [_tool_text(turn.get("tool_calls")) for turn in turns]
    tools = request.get("tools")
    if tools:
        texts.append(json.dumps(tools, ensure_ascii=False))
    return Prompt(
        texts=tuple(text for text in texts if text),
        overhead_tokens=TOKENS_PER_MESSAGE * len(turns) + TOKENS_TO_PRIME,
        images=sum(_pictures(turn.get("content")) for turn in turns),
    )


def _pictures(content: Any) -> int:
    if not isinstance(content, list):
        return 0
    return sum(1 for part in content if isinstance(part, dict) and part.get("type") in PICTURE_TYPES)


def _tool_text(calls: Any) -> str:
    if not isinstance(calls, list):
        return ""
    functions = [call.get("function") for call in calls if isinstance(call, dict)]
    return "".join(f"{part.get('name') or ''}{part.get('arguments') or ''}" for part in functions if isinstance(part, dict))


def _answer_text(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    return joined(answer) + _tool_text(answer.get("tool_calls"))


def _choices(body: bytes) -> list[dict[str, Any]]:
    reply = decoded(body)
    choices = reply.get("choices") if isinstance(reply, dict) else None
    return [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []


def _reply_text(body: bytes) -> tuple[str, ...]:
    return tuple(_answer_text(choice.get("message")) for choice in _choices(body))


def _event_text(payload: bytes) -> str:
    return "".join(_answer_text(choice.get("delta")) for choice in _choices(payload))


CHAT = Endpoint(
    path="/v1/chat/completions",
    operation="chat",
    weighed_as="chat",
    content="messages",
    writes=True,
    forces_usage=True,
    prompt=_prompt,
    reply_text=_reply_text,
    event_text=_event_text,
)
