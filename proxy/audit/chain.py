"""A chain of hashes over records, day by day. It must never depend on where a pack begins: each day starts anew.

The verifier of a pack (data/verify.py) holds the same rules in words of its own.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

FORMAT: Final = "grammage-audit-1"
NOTHING: Final = "0" * 64


def canonical(record: Mapping[str, Any]) -> str:
    """The record as JSON in one way: members sorted, no space, ASCII, floats as Python writes them."""
    return json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def linked(before: str, text: str) -> str:
    """The hash of a text that follows another."""
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def beginning(kind: str, day: str) -> str:
    """What a day's chain starts with; the anchor of a day without records."""
    return linked(NOTHING, f"{FORMAT} {kind} {day}")


def head_of(anchors: Iterable[tuple[str, str]]) -> str:
    """The hash over the anchors of days, in their order."""
    head = NOTHING
    for day, anchor in anchors:
        head = linked(head, f"{day} {anchor}")
    return head
