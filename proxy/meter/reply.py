"""Reads the served model and the usage out of a whole JSON answer. It must never fail on an answer it cannot read."""

import json

import msgspec

from proxy.splice import find_member

_EMPTY = msgspec.Raw(b"")


class _Reply(msgspec.Struct):
    model: msgspec.Raw = _EMPTY
    usage: msgspec.Raw = _EMPTY


_REPLY = msgspec.json.Decoder(_Reply)
_MODEL = msgspec.json.Decoder(str)


class ReplyHead:
    """What a whole answer says of itself: the model that served it, and its usage object as the exact bytes it stands in."""

    __slots__ = ("served_model", "usage_raw")

    def __init__(self, served_model: str | None, usage_raw: bytes | None) -> None:
        self.served_model = served_model
        self.usage_raw = usage_raw


UNREADABLE = ReplyHead(None, None)


def read_reply(body: bytes) -> ReplyHead:
    """The head of the answer in `body`; both fields are None when it is not a JSON object."""
    try:
        reply = _REPLY.decode(body)
        model = _MODEL.decode(reply.model) if bytes(reply.model)[:1] == b'"' else None
    except msgspec.ValidationError:
        return UNREADABLE
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _lenient(body)
    usage = bytes(reply.usage)
    return ReplyHead(model, usage if usage.startswith(b"{") else None)


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
    return ReplyHead(model if isinstance(model, str) else None, usage if usage.startswith(b"{") else None)
