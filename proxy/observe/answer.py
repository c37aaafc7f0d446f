"""Answers of the receiver, as OTLP has them, in the encoding of the request. It must never repeat what was sent."""

from dataclasses import dataclass
from typing import Final

import msgspec

from proxy.errors import GrammageError
from proxy.upstream.base import Headers

JSON: Final = b"application/json"
PROTOBUF: Final = b"application/x-protobuf"
NO_STORE: Final = (b"cache-control", b"no-store")

GRPC_CODES: Final = {400: 3, 401: 16, 403: 7, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14}
"""Codes of google.rpc.Status by ours; 13 (internal) for others."""

_INTERNAL: Final = 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Spans that are not taken, and why; they are not to be sent again."""

    spans: int = 0
    message: str = ""


def accepted(content_type: bytes, refused: Refused) -> tuple[Headers, bytes]:
    """Headers and body of an ExportTraceServiceResponse; partial success where spans were refused."""
    if content_type == PROTOBUF:
        partial = _number(1, refused.spans) + _text(2, refused.message)
        return _headers(PROTOBUF), _text(1, partial) if refused.spans else b""
    told = {"partialSuccess": {"rejectedSpans": str(refused.spans), "errorMessage": refused.message}} if refused.spans else {}
    return _headers(JSON), msgspec.json.encode(told)


def failed(content_type: bytes, error: GrammageError) -> tuple[Headers, bytes]:
    """Headers and body of an error: google.rpc.Status; in JSON with our envelope beside it."""
    code = GRPC_CODES.get(error.status, _INTERNAL)
    headers = [*_headers(content_type), *error.headers]
    if content_type == PROTOBUF:
        return headers, _number(1, code) + _text(2, f"{error.code}: {error.message}")
    status = {"code": code, "message": f"{error.code}: {error.message}"}
    return headers, msgspec.json.encode({**status, **msgspec.json.decode(error.envelope())})


def _headers(content_type: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", content_type), NO_STORE]


def _number(field: int, value: int) -> bytes:
    """A protobuf field that holds a whole number."""
    return _varint(field << 3) + _varint(value)


def _text(field: int, value: str | bytes) -> bytes:
    """A protobuf field that holds a text or a message."""
    raw = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
