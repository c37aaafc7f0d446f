"""Writes the head of a request. It must never let a line break, or a second length, into it."""

import re
from collections.abc import AsyncIterator

from proxy.upstream.base import Headers
from proxy.upstream.http1.target import Target

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FRAMING = frozenset(b"host connection content-length transfer-encoding expect upgrade te trailer keep-alive".split())
"""Written by us as the body needs it, whatever was given."""

MOST_NAMES = 1024
WITHOUT_BODY = ("GET", "HEAD", "OPTIONS", "DELETE", "TRACE")
LENGTH = b"content-length"
_CHUNKED = b"transfer-encoding: chunked\r\n"
_known: set[bytes] = set()


class BadHeader(ValueError):
    """A header cannot be written; the text names it, without its value."""


def head_of(target: Target, method: str, headers: Headers, body: bytes | AsyncIterator[bytes] | None) -> tuple[bytes, int | None]:
    """The head's bytes, and the length of what follows: None where it goes in chunks. Raises BadHeader, BadTarget."""
    start = target.start(method)
    lines = [name + b": " + value + b"\r\n" for name, value in headers if name in _known or _goes(name)]
    if target.credentials is not None and all(name != b"authorization" for name, _ in headers):
        lines.append(b"authorization: " + target.credentials + b"\r\n")
    length = _length(method, headers, body)
    if length is None:
        lines.append(_CHUNKED)
    elif length >= 0:
        lines.append(b"content-length: %d\r\n" % length)
    head = b"".join((start, *lines, b"\r\n"))
    count = len(lines) + 3
    if head.count(b"\n") != count or head.count(b"\r") != count or b"\0" in head:
        raise BadHeader(f"the header {_culprit(headers)} holds a line break")
    return head, length


def _length(method: str, headers: Headers, body: bytes | AsyncIterator[bytes] | None) -> int | None:
    """Bytes of the body; None: not known before, -1: there is none to speak of."""
    if body is None or isinstance(body, bytes):
        size = len(body) if body else 0
        return size if size or method not in WITHOUT_BODY else -1
    for name, value in headers:
        if name == LENGTH:
            if not value.isdigit():
                raise BadHeader("the header content-length is not a number")
            return int(value)
    return None


def _goes(name: bytes) -> bool:
    """True for a header's name, which is known from then on; False for one that is ours to write. Raises BadHeader."""
    if name in _FRAMING:
        return False
    if _TOKEN.fullmatch(name) is None:
        raise BadHeader("a header's name holds what no name may hold")
    if len(_known) < MOST_NAMES:
        _known.add(name)
    return True


def _culprit(headers: Headers) -> str:
    bad = (name for name, value in headers if re.search(rb"[\r\n\0]", value))
    return repr(next(bad, b"?").decode("latin-1"))
