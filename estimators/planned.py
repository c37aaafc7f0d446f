"""What somebody plans to call, as an operation and a usage. It must never fill in a number that decides the weight in silence."""

from dataclasses import dataclass
from typing import NoReturn

from config.catalogue import ModelCard
from estimators.audio_length import listens
from estimators.usage import Media, Usage, UsageSource

TEXT, READING = ("chat", "completions"), ("embeddings", "moderation")
OPERATIONS = (*TEXT, *READING, "images", "video", "audio", "speech", "transcription", "translation")
"""What a plan may name; the last three are audio, with the way it goes stated."""

SPOKEN_WAYS = {"speech": False, "transcription": True, "translation": True}
"""Whether the model listens in this kind of audio."""

FIRST_CHOICE = ("chat", "completions", "images", "video", "audio", "embeddings", "moderation")
"""Of the operations of a card, the first that stands here is meant when nothing says another."""


class PlanIncomplete(ValueError):
    """A plan that lacks the number which decides its weight, or holds one that cannot be; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is known before a call. None: not stated.

    images, clips: 1 where a picture or a clip is made and no number is stated. audio_seconds: heard or spoken, as the operation has it.
    characters: of the text to be spoken. width and height: pixels, both or neither.
    """

    operation: str | None = None
    input_tokens: int | None = None
    cached_input_tokens: int = 0
    output_tokens: int | None = None
    images: int | None = None
    input_images: int = 0
    width: int | None = None
    height: int | None = None
    quality: str | None = None
    steps: int | None = None
    video_seconds: float | None = None
    fps: float | None = None
    audio_seconds: float | None = None
    characters: int | None = None
    source: UsageSource = "estimated"


def operation_of(planned: Planned, card: ModelCard) -> str:
    """The operation that is named, else the one that the stated numbers belong to, else the first that the model does."""
    if planned.operation is not None:
        return "audio" if planned.operation in SPOKEN_WAYS else planned.operation
    stated = {
        "images": planned.images or planned.width or planned.quality or planned.steps,
        "video": planned.video_seconds or planned.fps,
        "audio": planned.audio_seconds or planned.characters,
    }
    hinted = next((name for name in ("video", "audio", "images") if stated[name] and name in card.operations), None)
    return hinted or next((name for name in FIRST_CHOICE if name in card.operations), FIRST_CHOICE[0])


def usage_of(planned: Planned, card: ModelCard) -> Usage:
    """The usage that the plan comes to. Raises PlanIncomplete."""
    operation = operation_of(planned, card)
    _check(planned, operation)
    return Usage(
        input_tokens=planned.input_tokens or 0,
        cached_input_tokens=planned.cached_input_tokens,
        output_tokens=0 if operation in READING else planned.output_tokens or 0,
        input_images=planned.input_images,
        source=planned.source,
        media=_media(planned, operation, card),
    )


def _media(planned: Planned, operation: str, card: ModelCard) -> Media | None:
    if operation in ("images", "video"):
        return Media(
            images=(planned.images if planned.images is not None else 1) if operation == "images" else 0,
            width=planned.width,
            height=planned.height,
            quality=planned.quality,
            steps=planned.steps,
            clips=1 if operation == "video" else 0,
            video_seconds=planned.video_seconds,
            fps=planned.fps,
        )
    if operation != "audio":
        return None
    heard = _listens(planned, card)
    return Media(
        audio_input_seconds=planned.audio_seconds if heard else None,
        audio_output_seconds=None if heard else planned.audio_seconds,
        characters=None if heard else planned.characters,
    )


def _listens(planned: Planned, card: ModelCard) -> bool:
    """Whether seconds of audio are heard; a text to speak decides against."""
    stated = SPOKEN_WAYS.get(planned.operation or "")
    if stated is not None:
        return stated
    return planned.characters is None and listens(card)


def _check(planned: Planned, operation: str) -> None:
    """Refuses what lacks the number that decides."""
    if planned.operation is not None and planned.operation not in OPERATIONS:
        _refuse("operation", f"operation {planned.operation!r} does not exist; known: {', '.join(OPERATIONS)}")
    if planned.cached_input_tokens > (planned.input_tokens or 0):
        _refuse("cached_input_tokens", "cached tokens are a part of the input tokens; they cannot be more")
    if (planned.width is None) != (planned.height is None):
        _refuse("width", "width and height belong together; give both")
    if operation in TEXT and planned.input_tokens is None:
        _refuse("input_tokens", f"a call of kind {operation} is weighed by its tokens; give the input tokens")
    if operation in TEXT and planned.output_tokens is None:
        _refuse("output_tokens", f"a call of kind {operation} is weighed by its tokens; give the output tokens")
    if operation in READING and planned.input_tokens is None and not planned.input_images:
        _refuse("input_tokens", f"{operation} is weighed by what is read; give the input tokens or the input images")
    if operation == "video" and planned.video_seconds is None:
        _refuse("video_seconds", "a clip is weighed by its length; give its seconds")
    if operation == "audio" and not (planned.audio_seconds or planned.characters or planned.input_tokens or planned.output_tokens):
        _refuse("audio_seconds", "audio is weighed by its length; give its seconds, or the characters of the text to speak")


def _refuse(field: str, message: str) -> NoReturn:
    raise PlanIncomplete(field, message)
