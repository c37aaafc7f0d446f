"""Finds what OpenAI's dialect shows and offers to a model: pictures, recordings, tools, the schema of the answer. It must never fetch.

Chat and Responses write the same things in two ways: a member of their own (`image_url`, `function`) or the part itself.
"""

import binascii
import json
from typing import Any

from proxy.endpoints.base import Picture
from proxy.probe.glimpse import KEPT_BYTES, Glimpse
from proxy.probe.picture_size import size_of_data_uri
from proxy.probe.sound_length import sound_seconds

PICTURE_TYPES = ("image_url", "input_image", "image")
CALL_FRAME = " to=functions."
"""Stands before a function's name where the model calls it."""

NO_CALL = "none"


def pictures_in(content: Any) -> list[Picture]:
    """The pictures among the parts of a content value, with the sizes of those that are inlined."""
    parts = content if isinstance(content, list) else []
    return [_picture(part) for part in parts if isinstance(part, dict) and part.get("type") in PICTURE_TYPES]


def _picture(part: dict[str, Any]) -> Picture:
    shown = part.get("image_url")
    given = shown if isinstance(shown, dict) else {"url": shown, "detail": part.get("detail")}
    url, detail = given.get("url"), given.get("detail")
    width, height = (size_of_data_uri(url) if isinstance(url, str) else None) or (None, None)
    return Picture(width, height, detail if isinstance(detail, str) else None)


def seconds_in(content: Any) -> float:
    """Seconds of the recordings among the parts of a content value; those of unknown length count nothing."""
    parts = content if isinstance(content, list) else []
    given = (part.get("input_audio") for part in parts if isinstance(part, dict) and part.get("type") == "input_audio")
    return sum(sound_seconds_of(sound.get("data")) for sound in given if isinstance(sound, dict))


def sound_seconds_of(data: Any) -> float:
    """By the beginning and the end of a recording in base64: the rest is not decoded."""
    if not isinstance(data, str):
        return 0.0
    kept, whole = KEPT_BYTES // 3 * 4, len(data) - len(data) % 4
    size = whole // 4 * 3 - data[whole - 2 : whole].count("=")
    try:
        head = binascii.a2b_base64(data[: min(kept, whole)])
        tail = binascii.a2b_base64(data[max(0, whole - kept) : whole])
    except (binascii.Error, ValueError):
        return 0.0
    return sound_seconds(Glimpse(((0, head), (size - len(tail), tail)), size)) or 0.0


def functions_in(tools: Any) -> tuple[dict[str, Any], ...]:
    """The functions among `tools`: in a member of their own, or as they stand."""
    found = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    inner = [tool["function"] if isinstance(tool.get("function"), dict) else tool for tool in found if _is_function(tool)]
    return tuple(inner)


def other_tools_in(tools: Any) -> list[Any]:
    """The tools that are no functions: the provider's own, or of a custom grammar."""
    return [tool for tool in tools if not (isinstance(tool, dict) and _is_function(tool))] if isinstance(tools, list) else []


def _is_function(tool: dict[str, Any]) -> bool:
    return isinstance(tool.get("function"), dict) or (tool.get("type", "function") == "function" and isinstance(tool.get("name"), str))


def forced_call_in(choice: Any) -> str | None:
    """The function that a `tool_choice` names, NO_CALL where it forbids calls, None where it leaves the choice."""
    if choice == NO_CALL:
        return NO_CALL
    if not isinstance(choice, dict):
        return None
    inner = choice.get("function")
    name = inner.get("name") if isinstance(inner, dict) else choice.get("name")
    return name if isinstance(name, str) else None


def schema_in(answer_format: Any) -> dict[str, Any] | None:
    """The schema that an answer must have ({name, description, schema}): chat's `response_format`, Responses' `text.format`."""
    if not isinstance(answer_format, dict) or answer_format.get("type") != "json_schema":
        return None
    inner = answer_format.get("json_schema")
    return inner if isinstance(inner, dict) else answer_format


def as_json(value: Any) -> str:
    """A definition as compact JSON, as it stands in a prompt."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def call_text(name: Any, arguments: Any, *, ends: bool) -> str:
    """A call of a function as the model reads and writes it. ends: what it writes also tells where the arguments begin."""
    text = f"{CALL_FRAME}{name}" + ("\n" if ends else "") if isinstance(name, str) and name else ""
    return text + arguments if isinstance(arguments, str) else text
