"""Ids that follow from what a row says, so that a file is imported once. It must never draw a number or read a clock."""

import hashlib
from typing import Final

import msgspec

from proxy.imports.row import SpendRow, UsageRow

HASH_DIGITS: Final = 32
_VERSION_8: Final = 0x8


def row_hash(kind: str, row: UsageRow | SpendRow, copy: int) -> str:
    """The first digits of the sha256 of what the source says. copy: how many rows of the file said the very same before.

    A row that its source has an id for is known by that id and its month, whatever else of it changes in a later export.
    """
    if row.own_id is not None:
        said: tuple[object, ...] = (kind, "id", row.own_id, *_parts(row))
    else:
        said = (kind, *_content(row), copy)
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()[:HASH_DIGITS]


def call_id(started_ms: int, hashed: str, part: str = "") -> str:
    """A UUIDv8 (RFC 9562) that begins with the time as a UUIDv7 does, so that it sorts with the calls of its time."""
    digest = hashlib.sha256(f"{hashed}\0{part}".encode()).digest()
    tail = int.from_bytes(digest[:10], "big")
    bits = (started_ms & 0xFFFF_FFFF_FFFF) << 80 | _VERSION_8 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _parts(row: UsageRow | SpendRow) -> tuple[object, ...]:
    """One invoice may have several lines and months; one id of a request is one request."""
    return () if isinstance(row, UsageRow) else (row.model, row.start_ms, row.category, row.currency)


def _content(row: UsageRow | SpendRow) -> tuple[object, ...]:
    if isinstance(row, SpendRow):
        return (row.provider, row.model, row.start_ms, row.amount, row.currency, row.category, row.seats, row.tags)
    amounts = tuple(sorted((name, float(amount)) for name, amount in row.amounts.items()))
    return (row.provider, row.model, row.operation, row.start_ms, row.end_ms, amounts, row.tags, row.batched)
