"""Reads the served model and the usage out of a whole JSON answer. It must never fail on an answer it cannot read."""

import msgspec

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
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return UNREADABLE
    usage = bytes(reply.usage)
    return ReplyHead(model, usage if usage.startswith(b"{") else None)
