"""Undoes a content encoding that the provider used although asked not to. It must never touch one it does not know."""

import zlib
from typing import Protocol

GZIP_OR_ZLIB = 47
"""zlib window setting that detects gzip and zlib headers."""

READABLE = frozenset((b"gzip", b"x-gzip", b"deflate"))


class Inflater(Protocol):
    """Takes encoded bytes, gives plain ones."""

    def decompress(self, data: bytes, /) -> bytes:
        """The plain bytes that `data` adds."""


def inflater_for(encoding: bytes | None) -> Inflater | None:
    """A decoder for `encoding`, or None when the bytes are plain or in an encoding that cannot be read here."""
    name = (encoding or b"").strip().lower()
    return zlib.decompressobj(GZIP_OR_ZLIB) if name in READABLE else None
