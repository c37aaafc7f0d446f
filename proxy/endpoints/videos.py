"""The clip endpoints: how many seconds of which size. A clip is counted when it is asked for. They must never see a provider or a clip.

What is made takes minutes and is fetched later; asking after it costs nothing. A clip that fails is counted all the same: how far the
provider came with it is not told.
"""

from dataclasses import replace
from typing import Any

import msgspec

from estimators.usage import Media, Usage
from proxy.endpoints.base import Ask, Endpoint, Prompt
from proxy.endpoints.reading import decoded, fields_of, no_event_text, no_text
from proxy.endpoints.sides import sides_in

LONGEST_S = 3600.0
USUAL_S = 4.0
"""Length of a clip for which none is asked, as the API has it."""

USUAL_SIZE = (720, 1280)


class _Clip(msgspec.Struct):
    id: Any = None
    seconds: Any = None
    size: Any = None
    input_reference: Any = None


_CLIP = msgspec.json.Decoder(_Clip)


def clip_of(seconds: Any, size: Any) -> Usage:
    """One clip of that length and size, as the API writes them; the usual ones where they are not said."""
    length, sides = _seconds(seconds), sides_in(size)
    width, height = sides or USUAL_SIZE
    media = Media(clips=1, video_seconds=length or USUAL_S, width=width, height=height)
    return Usage(source="provider" if length and sides else "estimated", media=media)


def _usage_of(ask: Ask, answer: bytes, usage: Usage) -> Usage:
    """The clip that was asked for: the answer's word before the request's."""
    asked, told = fields_of(_Clip, _CLIP, ask.asked), fields_of(_Clip, _CLIP, answer)
    return _with_clip(ask, usage, asked, clip_of(told.seconds or asked.seconds, told.size or asked.size))


def _added_of(ask: Ask, answer: bytes, usage: Usage) -> Usage:
    """What was added to a clip: the answer tells the length of the whole, old part included."""
    asked, told = fields_of(_Clip, _CLIP, ask.asked), fields_of(_Clip, _CLIP, answer)
    return _with_clip(ask, usage, asked, clip_of(asked.seconds, told.size or asked.size))


def _with_clip(ask: Ask, usage: Usage, asked: _Clip, clip: Usage) -> Usage:
    given = (1 if asked.input_reference or (ask.form is not None and ask.form.files("input_reference")) else 0) + usage.input_images
    return replace(usage, media=clip.media, source="counted" if usage.source == "counted" else clip.source, input_images=given)


def _seconds(given: Any) -> float | None:
    try:
        seconds = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else 0.0
    except (ValueError, OverflowError):
        return None
    return seconds if 0 < seconds <= LONGEST_S else None


def _prompt(body: bytes) -> Prompt:
    request = decoded(body)
    prompt = request.get("prompt") if isinstance(request, dict) else None
    return Prompt(texts=(prompt,) if isinstance(prompt, str) else ())


def _kept_as(ask: Ask, answer: bytes) -> str | None:
    found = fields_of(_Clip, _CLIP, answer).id
    return found if isinstance(found, str) else None


VIDEOS = Endpoint(
    path="/v1/videos",
    operation="videos",
    weighed_as="video",
    content="prompt",
    writes=False,
    prompt=_prompt,
    reply_text=no_text,
    event_text=no_event_text,
    usage_of=_usage_of,
    default_alias="sora-2",
    form="either",
    kept_as=_kept_as,
    refers=("video", "video_id"),
)
VIDEO_EDITS = replace(VIDEOS, path="/v1/videos/edits")
VIDEO_EXTENSIONS = replace(VIDEOS, path="/v1/videos/extensions", usage_of=_added_of)
