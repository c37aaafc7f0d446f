"""What a call consumed, as counted facts. It must never count a subset twice: totals are inclusive."""

from dataclasses import dataclass
from typing import Literal

UsageSource = Literal["provider", "counted", "estimated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Inclusive buckets of one attempt: input contains cached, image and audio tokens; output contains reasoning and audio tokens.

    All counts are >= 0. `source` says who counted: the provider, our tokenizer, or a rule of thumb.
    `partial` is True when the answer was cut before its end. Raises ValueError when a subset exceeds its total.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_output_tokens: int = 0
    audio_output_tokens: int = 0
    input_images: int = 0
    source: UsageSource = "provider"
    partial: bool = False

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
            )
            < 0
        ):
            raise ValueError(f"token counts are >= 0, got {self}")
        if self.cached_input_tokens > self.input_tokens:
            raise ValueError(f"cached_input_tokens {self.cached_input_tokens} exceed input_tokens {self.input_tokens}")
        if self.image_input_tokens + self.audio_input_tokens > self.input_tokens:
            raise ValueError(f"image and audio input tokens exceed input_tokens {self.input_tokens}")
        if self.reasoning_output_tokens + self.audio_output_tokens > self.output_tokens:
            raise ValueError(f"reasoning and audio output tokens exceed output_tokens {self.output_tokens}")
