"""How many tokens the provider counts for a picture, by its model's family, its size and the asked detail. It must never see a pixel.

The figures are what a provider reports and bills. For some models that is more than the picture takes to compute, for gpt-4o-mini some 33
times as much (its price per picture was made equal to gpt-4o's); whoever weighs by tokens has to know which of them are pictures'.

Sources: OpenAI's guide "Images and vision", Anthropic's "Vision", Google's "Understand and count tokens" and "Media resolution", and
measurements by users where those are wrong (gpt-5-mini, gpt-5-nano; a 12-megapixel photo on Claude 4.7 and on gpt-6).
"""

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

ASSUMED_SIDE = 1024
"""Pictures of unknown size, such as those behind an address, count as squares of this side."""

TILE = 512
PATCH = 32
LOW_SIDE = 512


class Rule(Protocol):
    """One family's way of counting."""

    def of(self, width: int, height: int, detail: str) -> int:
        """Tokens of one picture of `width` x `height` pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """`base` tokens, and `tile` for each square of 512 that covers the picture once it is fitted into 2048 and `short_side`."""

    base: int
    tile: int
    short_side: int = 768

    def of(self, width: int, height: int, detail: str) -> int:
        """`low` takes the base alone."""
        if detail == "low":
            return self.base
        wide, high = _within(width, height, longest=2048, shortest=self.short_side)
        return self.base + self.tile * _cover(wide, high, TILE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patches:
    """Patches of 32 pixels times `factor`; the picture is shrunk until there are no more than the detail allows, None for any number."""

    factor: float
    high: int = 1536
    whole: int | None = 1536
    has_low: bool = False

    def of(self, width: int, height: int, detail: str) -> int:
        """`high` has a limit of its own; `auto` and `original` go to `whole`."""
        if detail == "low" and self.has_low:
            width, height = _within(width, height, longest=LOW_SIDE, shortest=LOW_SIDE)
        most = self.high if detail == "high" else self.whole
        count = _cover(width, height, PATCH)
        if most is not None and count > most:
            count = _fitted(width, height, most)
        return math.ceil(count * self.factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Area:
    """One token per `pixels` of the picture fitted into `longest`, up to `most`."""

    pixels: int
    longest: int
    most: int

    def of(self, width: int, height: int, detail: str) -> int:
        """The asked detail does not matter."""
        wide, high = _within(width, height, longest=self.longest, shortest=self.longest)
        return max(1, min(self.most, math.ceil(wide * high / self.pixels)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Squares:
    """One token per square of `side` pixels that covers the picture, fitted into `longest` and `shortest`; `each` tokens, up to `most`."""

    side: int
    longest: int = 1_000_000
    shortest: int = 1_000_000
    each: int = 1
    most: int = 1_000_000

    def of(self, width: int, height: int, detail: str) -> int:
        """The asked detail does not matter."""
        wide, high = _within(width, height, longest=self.longest, shortest=self.shortest)
        return min(self.most, self.each * _cover(wide, high, self.side))


@dataclass(frozen=True, slots=True, kw_only=True)
class ByDetail:
    """The same for every size."""

    usual: int
    by_detail: tuple[tuple[str, int], ...] = ()

    def of(self, width: int, height: int, detail: str) -> int:
        """Tokens at `detail`."""
        return dict(self.by_detail).get(detail, self.usual)


_TILES_4O = Tiles(base=85, tile=170)
_TILES_4O_MINI = Tiles(base=2833, tile=5667)
_PATCHES_5 = Patches(factor=1.2, high=2500, whole=10_000, has_low=True)

RULES: tuple[tuple[str, Rule], ...] = (
    (r"gpt-4o-mini", _TILES_4O_MINI),
    (r"gpt-4\.1-mini", Patches(factor=1.62)),
    (r"gpt-4\.1-nano", Patches(factor=2.46)),
    (r"o4-mini|codex-mini", Patches(factor=1.72)),
    (r"gpt-5-mini", Patches(factor=1.2, high=2500, whole=10_000)),
    (r"gpt-5-nano", Patches(factor=1.5, high=2500, whole=10_000)),
    (r"gpt-5(\.1)?(?![.\d])", Tiles(base=70, tile=140)),
    (r"gpt-5", _PATCHES_5),
    (r"gpt-([6-9]|\d\d)", Patches(factor=1.2, high=2500, whole=None, has_low=True)),
    (r"gpt-image", Tiles(base=65, tile=129, short_side=512)),
    (r"computer-use", Tiles(base=65, tile=129)),
    (r"o[1-9](?!\d)", Tiles(base=75, tile=150)),
    (r"gpt-|chatgpt|omni-moderation", _TILES_4O),
    (r"claude-(3|instant|2)|claude-(opus|sonnet|haiku)-4(?!-[7-9]|\.[7-9])", Area(pixels=750, longest=1568, most=1600)),
    (r"claude", Squares(side=28, longest=2576, shortest=1536, most=4784)),
    (r"gemini-[12]", Squares(side=768, each=258)),
    (r"gemini", ByDetail(usual=1083, by_detail=(("low", 280), ("medium", 560), ("high", 1120), ("ultra_high", 2240)))),
    (r"gemma-?[34]", ByDetail(usual=256)),
    (r"qwen-?2", Squares(side=28, most=16_384)),
    (r"qwen", Squares(side=32, most=16_384)),
    (r"pixtral|mistral", Squares(side=16, longest=1024, shortest=1024)),
)
"""In order: the first pattern that stands at a word's beginning in the model's name wins. Claude's sides are fitted to its two published
counts (16:9 at the longest edge 4,784; a photo of 12 megapixels 4,005)."""

_OTHERS = _TILES_4O
_RULES = tuple((re.compile(rf"(?:^|[/.:@_\-])(?:{pattern})"), rule) for pattern, rule in RULES)


@lru_cache(maxsize=1024)
def _rule_of(model: str) -> Rule:
    name = model.lower()
    return next((rule for pattern, rule in _RULES if pattern.search(name)), _OTHERS)


def picture_tokens(model: str, width: int | None, height: int | None, detail: str | None = None) -> int:
    """Input tokens of one picture shown to `model`; of unknown size it is a square of 1024."""
    known = width is not None and height is not None and width > 0 and height > 0
    wide, high = (width or 0, height or 0) if known else (ASSUMED_SIDE, ASSUMED_SIDE)
    return _rule_of(model).of(wide, high, detail or "auto")


def bills_more_than_computed(model: str) -> bool:
    """Whether the tokens of pictures shown to `model` are multiplied before they are billed."""
    rule = _rule_of(model)
    return rule is _TILES_4O_MINI or isinstance(rule, Patches)


def _within(width: int, height: int, *, longest: int, shortest: int) -> tuple[int, int]:
    """The size, shrunk in proportion until neither side is too long."""
    scale = min(1.0, longest / max(width, height), shortest / min(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _cover(width: int, height: int, side: int) -> int:
    return -(-width // side) * -(-height // side)


def _fitted(width: int, height: int, most: int) -> int:
    """Patches of the picture shrunk so that a whole number of them, no more than `most`, covers it."""
    shrink = math.sqrt(PATCH**2 * most / (width * height))
    across, down = width * shrink / PATCH, height * shrink / PATCH
    shrink *= min(math.floor(across) / across, math.floor(down) / down) if min(across, down) >= 1 else 1.0
    return min(most, _cover(math.floor(width * shrink) or 1, math.floor(height * shrink) or 1, PATCH))
