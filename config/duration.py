"""Durations as people write them. It must never guess a unit."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

_WRITTEN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(value: Any) -> Any:
    """`90s`, `15m`, `24h`, `7d` as seconds. Raises ValueError for other words."""
    if not isinstance(value, str):
        return value
    found = _WRITTEN.fullmatch(value)
    if found is None:
        raise ValueError("write a duration as 90s, 15m, 24h or 7d, or as a number of seconds")
    return float(found[1]) * _SECONDS[found[2]]


_SHOWN = {"anyOf": [{"type": "string", "pattern": _WRITTEN.pattern}, {"type": "number", "exclusiveMinimum": 0}]}
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, le=366 * 86_400), WithJsonSchema(_SHOWN)]
"""A duration in seconds, above 0 and at most a year."""

Keeping = Annotated[float, BeforeValidator(_seconds), Field(ge=32 * 86_400, le=36_600 * 86_400), WithJsonSchema(_SHOWN)]
"""How long something is kept, in seconds: from 32 days to a hundred years."""
