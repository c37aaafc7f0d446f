"""Reads the served model and the usage out of a whole JSON answer. It must never fail on an answer it cannot read."""

import json

import msgspec

from proxy.splice import find_member

_EMPTY = msgspec.Raw(b"")


class _Reply(msgspec.Struct):
    model: msgspec.Raw = _EMPTY
    usage: msgspec.Raw = _EMPTY
    error: msgspec.Raw = _EMPTY
    choices: msgspec.Raw = _EMPTY
    data: msgspec.Raw = _EMPTY


_REPLY = msgspec.json.Decoder(_Reply)
_MODEL = msgspec.json.Decoder(str)
_NOTHING = (b"", b"null")
LONGEST_MODEL = 256


class ReplyHead:
    """What a whole answer says of itself: the model that served it, and its usage object as the exact bytes it stands in.

    readable: it is a JSON object. is_error: it holds an error and no answer.
    """

    __slots__ = ("is_error", "readable", "served_model", "usage_raw")

    def __init__(self, served_model: str | None, usage_raw: bytes | None, *, readable: bool = True, is_error: bool = False) -> None:
        self.served_model = served_model
        self.usage_raw = usage_raw
        self.readable = readable
        self.is_error = is_error


UNREADABLE = ReplyHead(None, None, readable=False)


def read_reply(body: bytes) -> ReplyHead:
    """The head of the answer in `body`; it is not `readable` when it is not a JSON object."""
    try:
        reply = _REPLY.decode(body)
        model = _MODEL.decode(reply.model)[:LONGEST_MODEL] if bytes(reply.model)[:1] == b'"' else None
    except msgspec.ValidationError:
        return UNREADABLE
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _lenient(body)
    usage = bytes(reply.usage)
    if usage.startswith(b"{"):
        return ReplyHead(model, usage)
    answered = bytes(reply.choices) not in _NOTHING or bytes(reply.data) not in _NOTHING
    return ReplyHead(model, None, is_error=bytes(reply.error) not in _NOTHING and not answered)


def _lenient(body: bytes) -> ReplyHead:
    """The head of an answer that only a lenient reader takes, such as one with lone surrogates in its text."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return UNREADABLE
    if not isinstance(reply, dict):
        return UNREADABLE
    at, model = find_member(body, "usage"), reply.get("model")
    usage = body[at.value : at.end] if at is not None else b""
    return ReplyHead(model[:LONGEST_MODEL] if isinstance(model, str) else None, usage if usage.startswith(b"{") else None)
