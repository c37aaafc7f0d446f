"""What a call consumed, as counted facts. It must never count a subset twice: totals are inclusive."""

from dataclasses import dataclass
from typing import Literal

UsageSource = Literal["provider", "counted", "estimated"]
MeterBoundary = Literal["gpu", "it", "facility"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """What was made or heard beyond tokens; None = the provider did not say. All numbers are >= 0.

    images: pictures made. width and height: pixels of each picture or video frame. quality: the provider's word, such as `hd` or `low`.
    steps: denoising steps. video_seconds and frames: of all clips together; fps: frames per second. input_images of an edit or a
    variation stand in `Usage.input_images`. audio_input_seconds: heard; audio_output_seconds: spoken; characters: of the text spoken.
    """

    images: int = 0
    width: int | None = None
    height: int | None = None
    quality: str | None = None
    steps: int | None = None
    clips: int = 0
    video_seconds: float | None = None
    frames: int | None = None
    fps: float | None = None
    audio_input_seconds: float | None = None
    audio_output_seconds: float | None = None
    characters: int | None = None

    def stated(self) -> dict[str, int | float | str]:
        """The facts that are stated and not nothing, by name."""
        return {name: value for name in Media.__slots__ if (value := getattr(self, name))}


NO_MEDIA = Media()


@dataclass(frozen=True, slots=True, kw_only=True)
class Metered:
    """Energy of this very attempt as somebody measured it, Wh >= 0, and what that already contains.

    boundary: `gpu` accelerators alone; `it` whole servers with idle; `facility` with cooling and losses. source: who measured,
    such as `neuralwatt`. shared: True when it is a share of a meter common to several calls, prorated by tokens and time.
    """

    energy_wh: float
    boundary: MeterBoundary
    source: str
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Inclusive buckets of one attempt: input contains cached, image and audio tokens; output contains reasoning, audio and image tokens.

    All counts are >= 0. `source` says who counted: the provider, our tokenizer, or a rule of thumb.
    `partial` is True when the answer was cut before its end. calls: how many the counts are the sum of, as a batch tells them.
    Raises ValueError when a subset exceeds its total.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_output_tokens: int = 0
    audio_output_tokens: int = 0
    input_images: int = 0
    image_output_tokens: int = 0
    source: UsageSource = "provider"
    partial: bool = False
    media: Media | None = None
    metered: Metered | None = None
    calls: int = 1

    def __post_init__(self) -> None:
        if (
            min(
                self.cached_input_tokens,
                self.output_tokens,
                self.reasoning_output_tokens,
                self.audio_output_tokens,
                self.image_input_tokens,
                self.audio_input_tokens,
                self.input_images,
                self.image_output_tokens,
            )
            < 0
        ):
            raise ValueError(f"token counts are >= 0, got {self}")
        if self.calls < 1:
            raise ValueError(f"calls are >= 1, got {self.calls}")
        if self.cached_input_tokens > self.input_tokens:
            raise ValueError(f"cached_input_tokens {self.cached_input_tokens} exceed input_tokens {self.input_tokens}")
        if self.image_input_tokens + self.audio_input_tokens > self.input_tokens:
            raise ValueError(f"image and audio input tokens exceed input_tokens {self.input_tokens}")
        if self.reasoning_output_tokens + self.audio_output_tokens + self.image_output_tokens > self.output_tokens:
            raise ValueError(f"reasoning, audio and image output tokens exceed output_tokens {self.output_tokens}")
