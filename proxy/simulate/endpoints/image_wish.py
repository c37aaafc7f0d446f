"""Reads what an image request wants, and counts its tokens. It must never draw.

Rules: a picture costs rows x (columns + 1) tokens of cells whose side the quality sets, and 100 more for each partial picture that is
streamed; an input picture costs 65 and 129 for each tile of 512 pixels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.simulate import tokens
from proxy.simulate.endpoints import sampling
from proxy.simulate.exchange import Ask, JsonObject, Refused
from proxy.simulate.sniff import size_of

DEFAULT_MODEL = "sim-image"
_REPORTING = ("gpt-image", "chatgpt-image", "sim-image-tokens")
_SIZE = re.compile(r"(\d{1,4})x(\d{1,4})")
_DEFAULT_SIDE = 1024
_LEAST_SIDE, _MOST_SIDE = 16, 4096
_MOST_IMAGES = 10
_MOST_PARTIALS = 3
# quality -> side of a cell in pixels; a model that reports no tokens has names of its own
_CELL: Mapping[str, int] = MappingProxyType({"low": 64, "medium": 32, "high": 16, "xhigh": 12, "max": 8})
_QUALITIES = ("auto", "standard", "hd", *_CELL)
_AUTO = "medium"
_PARTIAL_TOKENS = 100
_INPUT_TOKENS, _TILE_TOKENS, _TILE = 65, 129, 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is wanted. reports: the model reports tokens, draws partial pictures and streams, as gpt-image models do; others do not."""

    model: str
    prompt: str
    images: int
    width: int
    height: int
    quality: str
    transparent: bool
    partials: int
    stream: bool
    as_url: bool
    reports: bool
    inputs: tuple[bytes, ...] = field(repr=False)

    @property
    def size(self) -> str:
        """The size as the wire writes it."""
        return f"{self.width}x{self.height}"

    @property
    def output_tokens(self) -> int:
        """Tokens of all pictures, partial ones included; 0 for a model that reports none."""
        if not self.reports:
            return 0
        cell = _CELL.get(self.quality, _CELL[_AUTO])
        return self.images * (-(-self.height // cell) * (-(-self.width // cell) + 1)) + self.partials * _PARTIAL_TOKENS

    def usage(self) -> JsonObject | None:
        """Usage in the provider's shape; None for a model that reports none."""
        if not self.reports:
            return None
        text = tokens.count(self.prompt)
        image = sum(_input_tokens(picture) for picture in self.inputs)
        return {
            "input_tokens": text + image,
            "input_tokens_details": {"image_tokens": image, "text_tokens": text},
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"image_tokens": self.output_tokens, "text_tokens": 0},
            "total_tokens": text + image + self.output_tokens,
        }


def read_wish(ask: Ask, inputs: tuple[bytes, ...] = (), *, prompted: bool = True) -> Wish:
    """The wish in a request. Raises Refused for what the provider could not draw."""
    body = ask.body
    model = sampling.model_of(body, DEFAULT_MODEL)
    prompt = body.get("prompt", "")
    if not isinstance(prompt, str) or (prompted and not prompt):
        raise Refused(400, "Simulated: 'prompt' must be a text.", param="prompt")
    reports = model.startswith(_REPORTING)
    stream = body.get("stream") is True
    if body.get("output_format") not in (None, "png"):
        raise Refused(400, "Simulated: pictures are drawn as png only.", param="output_format")
    images = sampling.choices_of(body, _MOST_IMAGES)
    if stream and (not reports or images > 1):
        raise Refused(400, "Simulated: only a model that reports image tokens streams, and one picture at a time.", param="stream")
    width, height = _size(body.get("size"))
    return Wish(
        model=model,
        prompt=prompt,
        images=images,
        width=width,
        height=height,
        quality=_quality(body.get("quality"), reports=reports),
        transparent=body.get("background") == "transparent",
        partials=_partials(body) if stream else 0,
        stream=stream,
        as_url=_as_url(body, reports=reports),
        reports=reports,
        inputs=inputs,
    )


def _size(wanted: object) -> tuple[int, int]:
    if wanted is None or wanted == "auto":
        return _DEFAULT_SIDE, _DEFAULT_SIDE
    found = _SIZE.fullmatch(wanted) if isinstance(wanted, str) else None
    sides = (int(found[1]), int(found[2])) if found else (0, 0)
    if not all(_LEAST_SIDE <= side <= _MOST_SIDE for side in sides):
        raise Refused(400, f"Simulated: 'size' must be auto or WIDTHxHEIGHT, each {_LEAST_SIDE} to {_MOST_SIDE}.", param="size")
    return sides


def _quality(wanted: object, *, reports: bool) -> str:
    if wanted is None or wanted == "auto":
        return _AUTO if reports else "standard"
    if not isinstance(wanted, str) or wanted not in _QUALITIES:
        raise Refused(400, f"Simulated: 'quality' must be one of {', '.join(_QUALITIES)}.", param="quality")
    return wanted


def _partials(body: JsonObject) -> int:
    wanted = body.get("partial_images") or 0
    if not isinstance(wanted, int) or not 0 <= wanted <= _MOST_PARTIALS:
        raise Refused(400, f"Simulated: 'partial_images' must be a whole number from 0 to {_MOST_PARTIALS}.", param="partial_images")
    return wanted


def _as_url(body: JsonObject, *, reports: bool) -> bool:
    """A model that reports tokens gives bytes unless asked, another an address unless asked."""
    wanted = body.get("response_format")
    if wanted is None:
        return not reports
    if wanted not in ("url", "b64_json"):
        raise Refused(400, "Simulated: 'response_format' must be url or b64_json.", param="response_format")
    return bool(wanted == "url")


def _input_tokens(picture: bytes) -> int:
    width, height = size_of(picture) or (_TILE, _TILE)
    return _INPUT_TOKENS + _TILE_TOKENS * -(-width // _TILE) * -(-height // _TILE)
