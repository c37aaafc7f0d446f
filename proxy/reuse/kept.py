"""An answer as it is kept, and as it is given again: the provider's bytes. It must never hold a header that is true only once."""

import re
from collections.abc import Mapping

import msgspec

from proxy.call import InsteadRecord
from proxy.upstream.base import Headers, WholeReply

MOST_ANSWER_BYTES = 1024 * 1024
"""A longer answer is not kept."""

_TAIL_BYTES = 2048
_TOLD_AGAIN = (b"content-type", b"content-encoding", b"content-language")
END_MARKS: Mapping[str, re.Pattern[bytes]] = {
    "chat": re.compile(rb"data:[ ]?\[DONE\]"),
    "completions": re.compile(rb"data:[ ]?\[DONE\]"),
    "responses": re.compile(rb"event:[ ]?response\.completed|\"type\"\s*:\s*\"response\.completed\""),
    "messages": re.compile(rb"message_stop"),
    "generate_content": re.compile(rb"\"finish_?[rR]eason\"\s*:\s*\"STOP"),
    "stream_generate_content": re.compile(rb"\"finish_?[rR]eason\"\s*:\s*\"STOP"),
}
"""By what a stream says that it came to a good end."""

ENDED_LAST = frozenset({"chat", "completions"})
_ERROR = re.compile(rb"\"error\"\s*:\s*[{\"]")


class Kept(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An answer with the call that it was made for. kept_ms: when it was, in ms since 1970 UTC."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    source_call_id: str
    kept_ms: int

    @property
    def size(self) -> int:
        """Bytes that it takes, about."""
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers) + 256


class GivenAgain(WholeReply):
    """A reply that no provider sent now. instead: what the call is recorded as."""

    __slots__ = ("instead",)

    def __init__(self, kept: Kept, kind: str) -> None:
        super().__init__(kept.status, list(kept.headers), kept.body)
        self.instead = InsteadRecord(kind=kind, source_call_id=kept.source_call_id)


def told_again(headers: Headers) -> tuple[tuple[bytes, bytes], ...]:
    """What of an answer's headers is true of its bytes, whenever they are given: ids, limits, dates and cookies are not."""
    return tuple(pair for pair in headers if pair[0] in _TOLD_AGAIN)


def is_whole_stream(operation: str, body: bytes) -> bool:
    """True when the stream says that it came to a good end, and of no error on the way."""
    mark = END_MARKS.get(operation)
    at = -_TAIL_BYTES if operation in ENDED_LAST else 0
    return mark is not None and mark.search(body[at:]) is not None and _ERROR.search(body) is None
