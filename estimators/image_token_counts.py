"""How many tokens a picture takes where the answer does not say. It must never look certain where it assumed."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from config.factors import FactorSet
from config.ranges import Range

TABLE_OF_FAMILY: Mapping[str, str] = {
    "gpt-image": "gpt_image",
    "gpt-image-2": "gpt_image_2",
    "gemini-image": "gemini_image",
    "gemini-3-image": "gemini_3_image",
}
"""Families of models that write pictures as tokens, and the factor rows `image_tokens.<table>.<quality>.<shape>` of each."""

DEFAULT_TABLE = "gpt_image"
"""Counts pictures of a model that was said to write them as tokens and is in no family above."""

QUALITY_WORDS = {"low": "low", "medium": "medium", "standard": "medium", "high": "high", "hd": "high"}
REMEMBERED = 256
"""Most kinds of picture kept in memory."""

ANY_QUALITY = "any"
MIDDLE_QUALITY = "medium"
SQUARE, PORTRAIT, LANDSCAPE = "square", "portrait", "landscape"
SHAPE_PIXELS = {SQUARE: 1024 * 1024, PORTRAIT: 1024 * 1536, LANDSCAPE: 1536 * 1024}
"""Pixels of the three sizes of the tables; definitions."""


class ImageTokens(NamedTuple):
    """Tokens of one picture as a range around a mean, and its pixels; `known` when quality and size were given."""

    tokens: Range
    pixels: int
    known: bool


class ImageTokenTable:
    """The token counts of one family."""

    __slots__ = ("_exponent", "_factors", "_known", "_qualities", "_table")

    def __init__(self, family: str, factors: FactorSet) -> None:
        """A family that has no table of its own is counted by that of DEFAULT_TABLE."""
        self._table = TABLE_OF_FAMILY.get(family, DEFAULT_TABLE)
        self._factors = factors
        self._known: dict[tuple[str | None, int | None, int | None], ImageTokens] = {}
        self._exponent = factors[f"image_tokens.{self._table}.size_exponent"].value
        self._qualities = [word for word in ("low", MIDDLE_QUALITY, "high", ANY_QUALITY) if self._row(word, SQUARE) in factors]

    def of(self, quality: str | None, width: int | None, height: int | None) -> ImageTokens:
        """Tokens of one picture of that quality and size; without them the middle one, as wide as the table."""
        asked = (quality, width, height)
        known = self._known.get(asked)
        if known is None:
            known = self._worked_out(*asked)
            if len(self._known) < REMEMBERED:
                self._known[asked] = known
        return known

    def _worked_out(self, quality: str | None, width: int | None, height: int | None) -> ImageTokens:
        shape, pixels = _shape(width, height)
        by_quality = [self._tokens(word, shape, pixels) for word in self._qualities]
        if by_quality[0].low == by_quality[-1].high:
            return ImageTokens(by_quality[0], pixels, True)
        word = QUALITY_WORDS.get((quality or "").lower())
        sized = width is not None and height is not None
        if self._qualities == [ANY_QUALITY]:
            found = by_quality[0]
            return ImageTokens(Range.exact(found.value) if sized else found, pixels, sized)
        if word is not None and sized:
            return ImageTokens(self._tokens(word, shape, pixels), pixels, True)
        if word is not None:
            return ImageTokens(self._over_shapes(word), pixels, False)
        middle = self._tokens(MIDDLE_QUALITY, shape, pixels)
        return ImageTokens(Range(middle.value, by_quality[0].low, by_quality[-1].high), pixels, False)

    def _over_shapes(self, word: str) -> Range:
        """The square picture, as wide as the shapes of the table."""
        counts = [self._factors[self._row(word, shape)].value for shape in SHAPE_PIXELS]
        return Range(counts[0], min(counts), max(counts))

    def _tokens(self, word: str, shape: str, pixels: int) -> Range:
        """The row of a quality, scaled to a size outside the table."""
        at = shape if self._row(word, shape) in self._factors else SQUARE
        scale = math.pow(pixels / SHAPE_PIXELS[at], self._exponent)
        return self._factors[self._row(word, at)].range.scaled(scale)

    def _row(self, word: str, shape: str) -> str:
        return f"image_tokens.{self._table}.{word}.{shape}"


def _shape(width: int | None, height: int | None) -> tuple[str, int]:
    """The shape of the tables that a size has, and its pixels; one megapixel where the size is unknown."""
    if not width or not height:
        return SQUARE, SHAPE_PIXELS[SQUARE]
    shape = SQUARE if width == height else (LANDSCAPE if width > height else PORTRAIT)
    return shape, width * height
