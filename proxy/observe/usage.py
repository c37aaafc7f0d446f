"""What a span says was used. It must never turn a figure that is missing into 0, nor count a part beside the whole that holds it."""

from collections.abc import Mapping
from typing import Final

from estimators.usage import Media, Usage
from proxy.gen_ai_names import (
    REQUEST_CHOICE_COUNT,
    USAGE_AUDIO_INPUT_TOKENS,
    USAGE_AUDIO_OUTPUT_TOKENS,
    USAGE_CACHE_CREATION_INPUT_TOKENS,
    USAGE_CACHE_READ_INPUT_TOKENS,
    USAGE_IMAGE_INPUT_TOKENS,
    USAGE_IMAGE_OUTPUT_TOKENS,
    USAGE_INPUT_TOKENS,
    USAGE_OUTPUT_TOKENS,
    USAGE_REASONING_OUTPUT_TOKENS,
)
from proxy.observe.span import Scalar

MOST_TOKENS: Final = 1 << 32
"""No call has more: such a figure is a fault, and would weigh like a power station."""

MOST_PICTURES: Final = 128
_COUNTS: Final = (
    USAGE_INPUT_TOKENS,
    USAGE_OUTPUT_TOKENS,
    USAGE_CACHE_READ_INPUT_TOKENS,
    USAGE_CACHE_CREATION_INPUT_TOKENS,
    USAGE_REASONING_OUTPUT_TOKENS,
    USAGE_IMAGE_INPUT_TOKENS,
    USAGE_IMAGE_OUTPUT_TOKENS,
    USAGE_AUDIO_INPUT_TOKENS,
    USAGE_AUDIO_OUTPUT_TOKENS,
)


class BadUsage(Exception):
    """A count that is none; its text names it."""


def usage_of(facts: Mapping[str, Scalar], operation: str, *, writes: bool) -> Usage | None:
    """The usage, None: the span tells none. Raises BadUsage.

    Totals are inclusive by convention; some instrumentations tell cached input and reasoning beside them, which shows where the part is
    larger than the whole. writes: answers are text; where only their length is missing the usage is partial.
    """
    told = {name: _count(name, facts[name]) for name in _COUNTS if name in facts}
    pictures = _pictures(facts) if operation == "images" else 0
    if USAGE_INPUT_TOKENS not in told and USAGE_OUTPUT_TOKENS not in told:
        return Usage(source="estimated", media=Media(images=pictures)) if pictures else None
    read, written = told.get(USAGE_INPUT_TOKENS, 0), told.get(USAGE_OUTPUT_TOKENS, 0)
    cached, reasoning = told.get(USAGE_CACHE_READ_INPUT_TOKENS, 0), told.get(USAGE_REASONING_OUTPUT_TOKENS, 0)
    if cached > read:
        read += cached + told.get(USAGE_CACHE_CREATION_INPUT_TOKENS, 0)
    if reasoning > written:
        written += reasoning
    seen = min(told.get(USAGE_IMAGE_INPUT_TOKENS, 0), read)
    drawn = min(told.get(USAGE_IMAGE_OUTPUT_TOKENS, 0), written - reasoning)
    return Usage(
        input_tokens=read,
        cached_input_tokens=cached,
        image_input_tokens=seen,
        audio_input_tokens=min(told.get(USAGE_AUDIO_INPUT_TOKENS, 0), read - seen),
        output_tokens=written,
        reasoning_output_tokens=reasoning,
        image_output_tokens=drawn,
        audio_output_tokens=min(told.get(USAGE_AUDIO_OUTPUT_TOKENS, 0), written - reasoning - drawn),
        source="provider",
        partial=writes and USAGE_OUTPUT_TOKENS not in told,
        media=Media(images=pictures) if pictures else None,
    )


def _pictures(facts: Mapping[str, Scalar]) -> int:
    """How many pictures were asked for; spans tell no more."""
    asked = facts.get(REQUEST_CHOICE_COUNT, 1)
    return min(asked, MOST_PICTURES) if isinstance(asked, int) and asked > 0 else 1


def _count(name: str, value: Scalar) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 12:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise BadUsage(name)
    return value
