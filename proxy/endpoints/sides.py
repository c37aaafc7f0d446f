"""Reads the sides of a picture or a clip as requests and answers write them. It must never believe sizes that nobody makes."""

import re
from typing import Any

MOST_PIXELS = 1 << 25
"""Beyond 8K (7680 x 4320) nothing is drawn: a word in a request must not weigh like a power station."""

_SIZE = re.compile(r"\s*(\d{1,5})\s*[xX*]\s*(\d{1,5})\s*")


def sides_in(given: Any) -> tuple[int, int] | None:
    """Width and height in pixels of a text such as 1024x1536; None for anything else."""
    match = _SIZE.fullmatch(given) if isinstance(given, str) else None
    return None if match is None else believed(int(match[1]), int(match[2]))


def believed(width: int | None, height: int | None) -> tuple[int, int] | None:
    """The sides where both are told and can be."""
    return (width, height) if width and height and width * height <= MOST_PIXELS else None
