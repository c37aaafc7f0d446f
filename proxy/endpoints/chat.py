"""The chat endpoint: where its prompt and its answer stand. It must never see a provider."""

from typing import Any

from proxy.endpoints.base import Endpoint, Prompt
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
from proxy.endpoints.reading import decoded, joined

TOKENS_PER_MESSAGE = 3
"""Role marker and separators of one message in OpenAI's chat format."""

TOKENS_TO_PRIME = 3
"""The reply is primed with the assistant's role marker."""

TOKENS_PER_NAME = 1
FUNCTION_RESULT_TOKENS = -2
"""A message of the old role `function` takes less: its name stands for its role."""

SCHEMA_HEADING = "# Response Formats"
"""Stands before an answer's schema in the system message."""


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    messages = request.get("messages") if isinstance(request, dict) else None
    if not isinstance(messages, list):
        return Prompt(texts=())
    turns = [turn for turn in messages if isinstance(turn, dict)]
    tools = request.get("tools")
    functions = functions_in(tools) or functions_in(request.get("functions"))
    system = next((turn for turn in turns if turn.get("role") in ("system", "developer")), None)
    texts = [joined(turn.get("content")) + ("\n" if turn is system and functions else "") for turn in turns]
    texts += [str(turn.get(key) or "") for turn in turns for key in ("role", "name")]
    texts += [call for turn in turns for call in _calls(turn, ends=False)]
    schema = schema_in(request.get("response_format"))
    texts += schema_texts(schema) if schema else []
    pictures = tuple(picture for turn in turns for picture in pictures_in(turn.get("content")))
    return Prompt(
        texts=tuple(text for text in texts if text),
        overhead_tokens=sum(_overhead(turn) for turn in turns) + TOKENS_TO_PRIME,
        images=len(pictures),
        pictures=pictures,
        sound_seconds=sum(seconds_in(turn.get("content")) for turn in turns),
        functions=functions,
        tool_texts=tuple(as_json(tool) for tool in other_tools_in(tools)),
        shares_frame=system is not None,
        forced_call=forced_call_in(request.get("tool_choice") or request.get("function_call")),
    )


def schema_texts(schema: dict[str, Any]) -> list[str]:
    """The schema of an answer as it stands in the prompt: under a heading, with its name, after its description."""
    described = schema.get("description")
    lines = [SCHEMA_HEADING, f"## {schema.get('name') or ''}", f"// {described}" if isinstance(described, str) else ""]
    return ["\n\n".join(line for line in lines if line), as_json(schema.get("schema") or {})]


def _overhead(turn: dict[str, Any]) -> int:
    named = TOKENS_PER_NAME if turn.get("name") else 0
    return TOKENS_PER_MESSAGE + named + (FUNCTION_RESULT_TOKENS if turn.get("role") == "function" else 0)


def _calls(turn: dict[str, Any], *, ends: bool) -> list[str]:
    """The calls of functions in a message or a part of one, as text."""
    calls = turn.get("tool_calls")
    found = [call.get("function") or call.get("custom") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    found.append(turn.get("function_call"))
    return [call_text(part.get("name"), part.get("arguments") or part.get("input"), ends=ends) for part in found if isinstance(part, dict)]


def _answer_text(answer: Any) -> str:
    if not isinstance(answer, dict):
        return ""
    return joined(answer) + "".join(_calls(answer, ends=True))


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
