"""Writes AWS event-stream frames, as Bedrock streams them: two lengths, headers, payload, each under a checksum. It must never read one."""

import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

STRING = 7
"""Type of a header whose value is text."""


def frame(kind: str, payload: Any, *, message: str = "event") -> bytes:
    """One event of type `kind`; message "exception": an error in the stream."""
    kind_header = ":exception-type" if message == "exception" else ":event-type"
    return _framed({kind_header: kind, ":content-type": "application/json", ":message-type": message}, json.dumps(payload).encode())


def _framed(headers: Mapping[str, str], payload: bytes) -> bytes:
    block = b"".join(
        struct.pack("!B", len(name)) + name.encode() + struct.pack("!BH", STRING, len(value)) + value.encode()
        for name, value in headers.items()
    )
    start = struct.pack("!II", 16 + len(block) + len(payload), len(block))
    start += struct.pack("!I", zlib.crc32(start))
    whole = start + block + payload
    return whole + struct.pack("!I", zlib.crc32(whole))
