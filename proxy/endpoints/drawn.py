"""How many tokens gpt-image writes for a picture, where its answer does not say. It must never guess: unknown is None.

Source: OpenAI's guide "Image generation", cost and latency. gpt-image-2 has no closed form.
"""

import re

PARTIAL_TOKENS = 100
"""What a partial picture in a stream adds."""

_TOKENS: dict[str, tuple[int, int, int]] = {"low": (272, 408, 400), "medium": (1056, 1584, 1568), "high": (4160, 6240, 6208)}
_SIZES = ((1024, 1024), (1024, 1536), (1536, 1024))
_MODELS = re.compile(r"(?:^|[/.:@_\-])(gpt-image-1|chatgpt-image)")


def drawn_tokens(model: str, quality: str | None, width: int | None, height: int | None) -> int | None:
    """Output tokens of one picture that gpt-image-1, 1-mini or 1.5 draws; None for others, and where quality or size are not told."""
    row = _TOKENS.get(quality or "")
    if row is None or (width, height) not in _SIZES or not _MODELS.search(model.lower()):
        return None
    return row[_SIZES.index((width, height))]
