"""Undoes a content encoding: the client's, or one that the provider used unasked. It must never touch one it does not know."""

import zlib
from typing import Protocol

GZIP_OR_ZLIB = 47
"""zlib window setting that detects gzip and zlib headers."""

READABLE = frozenset((b"gzip", b"x-gzip", b"deflate"))
MOST_PLAIN_BYTES = 256 * 1024 * 1024
"""An answer that grows beyond this leaves as it came, unread."""


class Inflater(Protocol):
    """Takes encoded bytes, gives plain ones."""

    def decompress(self, data: bytes, /) -> bytes:
        """The plain bytes that `data` adds. Raises zlib.error."""


def inflater_for(encoding: bytes | None) -> Inflater | None:
    """A decoder for `encoding`, or None when the bytes are plain or in an encoding that cannot be read here."""
    name = (encoding or b"").strip().lower()
    return zlib.decompressobj(GZIP_OR_ZLIB) if name in READABLE else None


def inflate_whole(encoding: bytes, body: bytes, most_bytes: int = MOST_PLAIN_BYTES) -> bytes | None:
    """The plain bytes of a whole body, or None when they cannot be had: unknown encoding, broken, cut, or more than `most_bytes`."""
    if encoding.strip().lower() not in READABLE:
        return None
    plain = b""
    try:
        while body:
            member = zlib.decompressobj(GZIP_OR_ZLIB)
            plain += member.decompress(body, max(1, most_bytes - len(plain)))
            if not member.eof:
                return None
            body = member.unused_data
    except zlib.error:
        return None
    return plain
