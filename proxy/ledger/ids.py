"""Ids as the ledger keeps them: bytes, sixteen for a UUID. It must never make two ids one, nor an id another when it is read back."""

import re
from typing import Final

OWN: Final = b""
"""Stands where an id follows from the one before it in the key: a first attempt's from its call's, an opinion's from its attempt's."""

_is_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_is_request = re.compile(r"req_[0-9a-f]{32}").fullmatch
_REQUEST: Final = "req_"
_HEX: Final = b"\xfe"
_TEXT: Final = b"\xff"
"""Begins an id that is some other text, and ends it where it would be as long as a UUID; no text holds this byte."""
_UUID_BYTES: Final = 16


def id_bytes(text: str) -> bytes:
    """The id to be kept. Raises UnicodeError for text that is none."""
    if _is_uuid(text):
        return bytes.fromhex(text.replace("-", ""))
    if _is_request(text):
        return _HEX + bytes.fromhex(text[len(_REQUEST) :])
    kept = _TEXT + text.encode()
    return kept + _TEXT if len(kept) == _UUID_BYTES else kept


def id_text(kept: bytes) -> str:
    """The id as it was."""
    if len(kept) == _UUID_BYTES:
        found = kept.hex()
        return f"{found[:8]}-{found[8:12]}-{found[12:16]}-{found[16:20]}-{found[20:]}"
    if kept[:1] == _HEX:
        return _REQUEST + kept[1:].hex()
    return kept.strip(_TEXT).decode()
