"""Weighs pictures that a language model writes as tokens. It must never weigh a picture twice: tokens are inside the output tokens."""

import math
from dataclasses import replace
from typing import NamedTuple

from config.factors import FactorSet
from estimators.doubt import doubted
from estimators.energy import PerUnit
from estimators.image_token_counts import SHAPE_PIXELS, SQUARE, ImageTokenTable
from estimators.physics_lines import average, log_sd
from estimators.quantity import Quantity, add, scale
from estimators.token_energy import TokenEnergy
from estimators.usage import NO_MEDIA, Usage

PIXELS_PER_MEGAPIXEL = SHAPE_PIXELS[SQUARE]
"""Of the decoder's factor row: it is stated for the square picture of the tables."""

COUNT_ASSUMED = "image-count-assumed"
TOKENS_ASSUMED = "image-tokens-assumed"


class _Pictures(NamedTuple):
    """What a call made: tokens of all pictures, megapixels of all pictures, doubt of the token count."""

    output_tokens: int
    megapixels: float
    count_doubt: float
    warnings: tuple[str, ...]


class ImageTokenEnergy:
    """Tokens as for text, and what turns them into pixels."""

    __slots__ = ("_decoder", "_form", "_input_image_tokens", "_pictures_always", "_table", "_tokens", "per_unit_j")

    def __init__(self, tokens: TokenEnergy, table: ImageTokenTable, factors: FactorSet, *, pictures_always: bool) -> None:
        """pictures_always: every call makes a picture, even where nothing says so; false in a chat."""
        self._tokens = tokens
        self._table = table
        self._pictures_always = pictures_always
        self._form = factors["image_tokens.sd_form"].value ** 2
        self._decoder = average(factors["image_tokens.decoder_j_per_megapixel"].range, "method")
        self._input_image_tokens = round(tokens.energy.tokens_per_image)
        self.per_unit_j = self._per_unit()

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Joules of prompt, input pictures, written tokens and decoder."""
        pictures = self._pictures(usage)
        if pictures is None:
            return self._tokens.gpu_energy_j(usage)
        written = self._tokens.gpu_energy_j(self._counted(usage, pictures))
        decoded = doubted(scale(self._decoder, pictures.megapixels), call=written.variance.call)
        return doubted(add(written, decoded), method=self._form, call=pictures.count_doubt)

    def warnings_of(self, usage: Usage) -> tuple[str, ...]:
        """What had to be assumed for this very call."""
        pictures = self._pictures(usage)
        return () if pictures is None else pictures.warnings

    def _pictures(self, usage: Usage) -> _Pictures | None:
        """None for an answer of text alone."""
        media = usage.media or NO_MEDIA
        stated_tokens = usage.image_output_tokens or (usage.output_tokens if self._pictures_always else 0)
        if not (self._pictures_always or stated_tokens or media.images):
            return None
        one = self._table.of(media.quality, media.width, media.height)
        images = media.images or (max(1.0, stated_tokens / one.tokens.value) if media.width is None and stated_tokens else 1.0)
        megapixels = images * one.pixels / PIXELS_PER_MEGAPIXEL
        assumed = (COUNT_ASSUMED,) if not (media.images or stated_tokens) else ()
        if stated_tokens:
            return _Pictures(usage.output_tokens, megapixels, 0.0, assumed)
        doubt = log_sd(one.tokens) ** 2 if one.tokens.high > one.tokens.low else 0.0
        tokens = usage.output_tokens + math.ceil(images * one.tokens.value)
        return _Pictures(tokens, megapixels, doubt, assumed if one.known else (*assumed, TOKENS_ASSUMED))

    def _counted(self, usage: Usage, pictures: _Pictures) -> Usage:
        """The usage with the tokens of all pictures in it; pictures of an edit are read as input tokens where none are counted."""
        missing = usage.input_images * self._input_image_tokens if not usage.image_input_tokens else 0
        return replace(
            usage,
            input_tokens=usage.input_tokens + (missing if usage.source != "provider" or not usage.input_tokens else 0),
            output_tokens=pictures.output_tokens,
        )

    def _per_unit(self) -> PerUnit:
        text = self._tokens.per_unit_j
        one = self._table.of(None, None, None)
        return text._replace(image=text.output_token * one.tokens.value + self._decoder.p50)
