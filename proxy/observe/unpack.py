"""Unpacks the body of an export. It must never hold more than its limit, whatever a small body promises."""

import zlib

from proxy.errors import BadRequest, TooLarge, UnsupportedMediaType
from proxy.meter.inflate import GZIP_OR_ZLIB, READABLE

PLAIN = (b"", b"identity")
MOST_MEMBERS = 64
"""Parts of one gzip body: each costs a look at all that follow, and no sender makes more than a few."""


def unpacked(encoding: bytes, body: bytes, most_bytes: int) -> bytes:
    """The plain bytes. Raises TooLarge, BadRequest (malformed_encoding), UnsupportedMediaType."""
    name = encoding.strip().lower()
    if name in PLAIN:
        return body
    if name not in READABLE:
        raise UnsupportedMediaType(f"content-encoding {name[:32].decode('latin-1')!r} is not read here; send gzip, or none.")
    plain = b""
    try:
        for _ in range(MOST_MEMBERS):
            if not body:
                return plain
            member = zlib.decompressobj(GZIP_OR_ZLIB)
            plain += member.decompress(body, most_bytes + 1 - len(plain))
            if len(plain) > most_bytes:
                raise too_large(most_bytes)
            if not member.eof:
                raise zlib.error("cut")
            body = member.unused_data
        if body:
            raise zlib.error("too many parts")
    except zlib.error as error:
        raise BadRequest("the body is not what its content-encoding says; send it again, whole.", code="malformed_encoding") from error
    return plain


def too_large(most_bytes: int) -> TooLarge:
    """The refusal of a body beyond the limit."""
    return TooLarge(f"the spans have more than {most_bytes} bytes unpacked; send fewer at a time, or raise observe.otlp.body_mb.")
