"""Ids that follow from what they stand for, so that the same thing never gets two. It must never draw a number."""

import hashlib
import re

_SIMULATED = re.compile(r"[a-z]+[-_]sim[0-9a-f]{26}\d*")
_VERSION_8 = 0x8


def booking_id(provider: str, object_id: str, part: str = "") -> str:
    """A UUIDv8 (RFC 9562) that is always the same for a part of a provider's object, in its canonical text form."""
    digest = hashlib.sha256("\0".join((provider, object_id, part)).encode("utf-8", "surrogatepass")).digest()
    bits = int.from_bytes(digest[:16], "big")
    bits = bits & ~(0xF << 76) | _VERSION_8 << 76
    bits = bits & ~(0b11 << 62) | 0b10 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def is_simulated(object_id: str) -> bool:
    """True for an id that the simulated provider gave."""
    return _SIMULATED.fullmatch(object_id) is not None
