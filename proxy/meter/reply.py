"""Reads the served model and the usage out of a whole JSON answer. It must never fail on an answer it cannot read."""

import msgspec

from config.providers import Dialect
from proxy.meter.energy import Reading, read_member
from proxy.splice import decode_leniently

_EMPTY = msgspec.Raw(b"")


class _Reply(msgspec.Struct):
    model: msgspec.Raw = _EMPTY
    usage: msgspec.Raw = _EMPTY
    error: msgspec.Raw = _EMPTY
    choices: msgspec.Raw = _EMPTY
    data: msgspec.Raw = _EMPTY
    energy: msgspec.Raw = _EMPTY
    impact: msgspec.Raw = _EMPTY


class _GeminiReply(msgspec.Struct):
    modelVersion: msgspec.Raw = _EMPTY  # noqa: N815  # the wire's own name
    usageMetadata: msgspec.Raw = _EMPTY  # noqa: N815
    error: msgspec.Raw = _EMPTY
    candidates: msgspec.Raw = _EMPTY


_REPLY = msgspec.json.Decoder(_Reply)
_GEMINI_REPLY = msgspec.json.Decoder(_GeminiReply)
_MODEL = msgspec.json.Decoder(str)
_NOTHING = (b"", b"null")
LONGEST_MODEL = 256


class ReplyHead:
    """What a whole answer says of itself: the model that served it, and its usage object as the exact bytes it stands in.

    readable: it is a JSON object. is_error: it holds an error and no answer. reading: the energy it states, if any.
    """

    __slots__ = ("is_error", "readable", "reading", "served_model", "usage_raw")

    def __init__(
        self,
        served_model: str | None,
        usage_raw: bytes | None,
        *,
        readable: bool = True,
        is_error: bool = False,
        reading: Reading | None = None,
    ) -> None:
        self.reading = reading
        self.served_model = served_model
        self.usage_raw = usage_raw
        self.readable = readable
        self.is_error = is_error


UNREADABLE = ReplyHead(None, None, readable=False)


def read_reply(body: bytes, dialect: Dialect = "openai") -> ReplyHead:
    """The head of the answer in `body`; it is not `readable` when it is not a JSON object."""
    if dialect == "gemini":
        return _read_gemini(body)
    try:
        reply = decode_leniently(_REPLY, body)
        model = _MODEL.decode(reply.model)[:LONGEST_MODEL] if bytes(reply.model)[:1] == b'"' else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return UNREADABLE
    usage = bytes(reply.usage)
    reading = None if reply.energy is _EMPTY and reply.impact is _EMPTY else _energy(reply)
    if usage.startswith(b"{"):
        return ReplyHead(model, usage, reading=reading)
    answered = bytes(reply.choices) not in _NOTHING or bytes(reply.data) not in _NOTHING
    return ReplyHead(model, None, is_error=bytes(reply.error) not in _NOTHING and not answered, reading=reading)


def _read_gemini(body: bytes) -> ReplyHead:
    """The same for an answer of Gemini's, which has other names for it."""
    try:
        reply = decode_leniently(_GEMINI_REPLY, body)
        model = _MODEL.decode(reply.modelVersion)[:LONGEST_MODEL] if bytes(reply.modelVersion)[:1] == b'"' else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return UNREADABLE
    usage = bytes(reply.usageMetadata)
    failed = bytes(reply.error) not in _NOTHING and bytes(reply.candidates) in _NOTHING
    return ReplyHead(model, usage if usage.startswith(b"{") else None, is_error=failed)


def _energy(reply: _Reply) -> Reading | None:
    """What the answer says of its own energy, under either name."""
    stated = (read_member(member, bytes(raw)) for member, raw in (("energy", reply.energy), ("impact", reply.impact)) if bytes(raw))
    return next((reading for reading in stated if reading is not None), None)
