"""Looks into a frame just as far as it must: its type, and the few members that say what was used. It must never change or keep a frame."""

import re
from typing import Any

import msgspec

from proxy.splice import decode_leniently
from proxy.upstream.socket import Frame

_EMPTY = msgspec.Raw(b"")
_PLAIN = r'\s*"[^"\\]{0,64}"\s*:\s*(?:"[^"\\]{0,4096}"|[\w.+-]{1,40})\s*,'
_HEAD = re.compile(r"\s*\{(?:" + _PLAIN + r'){0,8}?\s*"type"\s*:\s*"([^"\\]{1,80})"')
"""The type where only plain members stand before it, which is where every known provider writes it."""


class Answer(msgspec.Struct):
    """The few members of a response object."""

    id: Any = None
    model: Any = None
    status: Any = None
    usage: msgspec.Raw = _EMPTY


class Event(msgspec.Struct):
    """The few members of an event; all that is large stays raw, or unread."""

    type: Any = None
    response: msgspec.Raw = _EMPTY
    response_id: Any = None
    session: msgspec.Raw = _EMPTY
    usage: msgspec.Raw = _EMPTY
    delta: Any = None
    model: Any = None
    status: Any = None

    @property
    def answer(self) -> Answer:
        """Its response object, an empty one where it has none."""
        found: Answer = _read(_ANSWER, self.response)
        return found


_EVENT = msgspec.json.Decoder(Event)
_ANSWER = msgspec.json.Decoder(Answer)
_ANY = msgspec.json.Decoder()


def kind_of(frame: Frame, marks: tuple[str, ...]) -> str:
    """The frame's type; read whole only where its beginning does not say and one of `marks`, with its quotes, stands in it."""
    if isinstance(frame, bytes):
        return ""
    found = _HEAD.match(frame)
    if found is not None:
        return found.group(1)
    if any(mark in frame for mark in marks):
        kind = event_of(frame).type
        return kind if isinstance(kind, str) else ""
    return ""


def event_of(frame: Frame) -> Event:
    """The members of a frame that matter; an empty event when it is no JSON object."""
    found: Event = _read(_EVENT, frame if isinstance(frame, bytes) else frame.encode("utf-8", "replace"))
    return found


def marks_of(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """The types as they stand in a frame."""
    return tuple(f'"{kind}"' for kind in kinds)


def member(raw: msgspec.Raw, *path: str) -> Any:
    """The value at `path` in a raw JSON object, None where there is none."""
    try:
        found = _ANY.decode(raw) if bytes(raw) else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def named(value: Any) -> str | None:
    """A name of bounded length, None for what is none."""
    return value[:256] if isinstance(value, str) and value else None


def _read(decoder: "msgspec.json.Decoder[Any]", raw: "bytes | msgspec.Raw") -> Any:
    try:
        return decode_leniently(decoder, bytes(raw))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return decoder.type()
