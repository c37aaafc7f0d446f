"""Reads single members out of JSON that may be broken. It must never raise for what it cannot read."""

import json
from typing import Any, TypeVar

import msgspec

from proxy.splice import decode_leniently

S = TypeVar("S", bound=msgspec.Struct)
DEEPEST_CONTENT = 16


def text_of(raw: msgspec.Raw) -> str | None:
    """The string in a raw JSON value, or None if it is not one."""
    try:
        return msgspec.json.decode(raw, type=str) if bytes(raw)[:1] == b'"' else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def object_of(raw: msgspec.Raw) -> dict[str, Any]:
    """The JSON object in `raw`; an empty one where it is none."""
    if bytes(raw)[:1] != b"{":
        return {}
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}


def decoded(raw: bytes) -> Any:
    """The JSON value in `raw`, or None when it is absent or cannot be read."""
    try:
        return json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return None


def fields_of(kind: type[S], decoder: msgspec.json.Decoder[S], body: bytes) -> S:
    """The few members of the JSON object `body` that `kind` names, as they are; nothing where it cannot be read."""
    try:
        return decode_leniently(decoder, body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        found = decoded(body)
        known = {name: found[name] for name in kind.__struct_fields__ if name in found} if isinstance(found, dict) else {}
        return kind(**known)


def joined(value: Any, depth: int = 0) -> str:
    """All text in a content value: a string, or the `text`/`content`/`refusal` of its parts."""
    if isinstance(value, str):
        return value
    if depth > DEEPEST_CONTENT:
        return ""
    if isinstance(value, list):
        return "".join(joined(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return "".join(joined(value.get(key), depth + 1) for key in ("text", "content", "refusal", "reasoning", "reasoning_content"))
    return ""


def no_text(body: bytes) -> tuple[str, ...]:
    """The text of answers that hold none."""
    return ()


def no_event_text(payload: bytes) -> str:
    """The text of events that hold none."""
    return ""
