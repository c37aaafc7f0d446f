"""The pictures endpoints: how many, how large, how fine, from how many others. They must never see a provider, nor read a picture."""

import json
import re
from dataclasses import replace
from typing import Any

import msgspec

from estimators.usage import Media, Usage
from proxy.endpoints.base import Ask, Endpoint, Prompt
from proxy.endpoints.drawn import PARTIAL_TOKENS, drawn_tokens
from proxy.endpoints.reading import decoded, fields_of, no_event_text, no_text
from proxy.endpoints.sides import believed, sides_in

MOST = 100_000
"""A side beyond this is nobody's."""

MOST_IMAGES = 128
MOST_STEPS = 1000
"""What a request may claim of pictures that nobody has seen."""

MOST_TOKENS = 1e15
LONGEST_QUALITY = 32
UNKNOWN = ("", "auto")
_TOLD_SIZE = re.compile(rb'"size"\s*:\s*"([^"\\]{1,32})"')
_SVG_USAGE = re.compile(rb'"svg_usage"\s*:\s*\{')
_FINDER = json.JSONDecoder()
_TOLD_QUALITY = re.compile(rb'"quality"\s*:\s*"([^"\\]{1,32})"')


class _Asked(msgspec.Struct):
    n: Any = None
    size: Any = None
    width: Any = None
    height: Any = None
    quality: Any = None
    steps: Any = None
    num_inference_steps: Any = None
    image: Any = None
    images: Any = None
    mask: Any = None
    partial_images: Any = None


class _Answer(msgspec.Struct):
    data: list[msgspec.Raw] = []


_ASKED = msgspec.json.Decoder(_Asked)
_ANSWER = msgspec.json.Decoder(_Answer)


def usage_of(ask: Ask, answer: bytes, usage: Usage) -> Usage:
    """The usage with the pictures in it: the answer's word before the request's; what such a model writes are pictures, unless it says."""
    asked = fields_of(_Asked, _ASKED, ask.asked)
    width, height = _told_size(answer) or sides_in(asked.size) or believed(_whole(asked.width), _whole(asked.height)) or (None, None)
    media = Media(
        images=_made(answer) or min(_whole(asked.n) or 1, MOST_IMAGES),
        width=width,
        height=height,
        quality=_told_quality(answer) or _quality(asked.quality),
        steps=_steps(_whole(asked.num_inference_steps) or _whole(asked.steps)),
    )
    if usage.source != "provider" and not usage.output_tokens:
        usage = _written(ask.alias, media, _whole(asked.partial_images) or 0, usage)
    given = usage.input_images or _given(asked)
    usage = replace(usage, media=media, input_images=given, image_output_tokens=usage.image_output_tokens or _drawn(usage))
    return _with_svg(usage, answer) if b'"svg_usage"' in answer else usage


def _written(model: str, media: Media, partials: int, usage: Usage) -> Usage:
    """The usage with the tokens that the pictures take, partial ones too, where the family is known to write so many."""
    each = drawn_tokens(model, media.quality, media.width, media.height)
    return usage if each is None else replace(usage, output_tokens=media.images * (each + partials * PARTIAL_TOKENS))


def _with_svg(usage: Usage, answer: bytes) -> Usage:
    """The usage with what writing a drawing as text took, which stands beside it."""
    found = _SVG_USAGE.search(answer)
    try:
        told, _ = _FINDER.raw_decode(answer[found.end() - 1 :].decode("utf-8", "replace")) if found else ({}, 0)
    except (ValueError, RecursionError):
        return usage
    read, wrote = (_tokens(told.get(name)) for name in ("input_tokens", "output_tokens"))
    return replace(usage, input_tokens=usage.input_tokens + read, output_tokens=usage.output_tokens + wrote)


def _tokens(given: Any) -> int:
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 < given < MOST_TOKENS else 0


def _given(asked: _Asked) -> int:
    """Pictures to work on: files of a form, or references in JSON; a mask is one more."""
    return sum(len(one) if isinstance(one, list) else 1 for one in (asked.image, asked.images, asked.mask) if one)


def _drawn(usage: Usage) -> int:
    """Tokens of the pictures where the answer does not tell them apart."""
    return usage.output_tokens - usage.reasoning_output_tokens - usage.audio_output_tokens


def _made(answer: bytes) -> int:
    """Pictures in a whole answer, 0 where there is no list of them."""
    try:
        return len(_ANSWER.decode(answer).data) if answer else 0
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return 0


def _told_size(answer: bytes) -> tuple[int, int] | None:
    """The last size in the answer; quotes inside its strings are escaped, so that no text can pass for one."""
    found = _TOLD_SIZE.findall(answer)
    return sides_in(found[-1].decode("latin-1")) if found else None


def _told_quality(answer: bytes) -> str | None:
    found = _TOLD_QUALITY.findall(answer)
    return _quality(found[-1].decode("latin-1")) if found else None


def _steps(given: int | None) -> int | None:
    return None if given is None else min(given, MOST_STEPS)


def _quality(given: Any) -> str | None:
    """The word for it, None for one that leaves it to the provider."""
    if not isinstance(given, str) or given in UNKNOWN or len(given) > LONGEST_QUALITY or not given.isprintable():
        return None
    return given


def _whole(given: Any) -> int | None:
    return given if isinstance(given, int) and not isinstance(given, bool) and 0 < given < MOST else None


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    prompt = request.get("prompt") if isinstance(request, dict) else None
    return Prompt(texts=(prompt,) if isinstance(prompt, str) else (), images=_given(fields_of(_Asked, _ASKED, body)))


IMAGES = Endpoint(
    path="/v1/images/generations",
    operation="images",
    weighed_as="images",
    content="prompt",
    writes=False,
    prompt=_prompt,
    reply_text=no_text,
    event_text=no_event_text,
    usage_of=usage_of,
    terminal_events=("image_generation.completed",),
    default_alias="dall-e-2",
)
IMAGE_EDITS = replace(
    IMAGES, path="/v1/images/edits", terminal_events=("image_edit.completed",), default_alias="gpt-image-1.5", form="either"
)
IMAGE_VARIATIONS = replace(IMAGES, path="/v1/images/variations", form="only")
