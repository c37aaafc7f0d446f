"""The body of POST /v1/footprint/estimate, read and checked. It must never keep the messages it counts."""

from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.catalogue import ModelCard
from config.deployment import OperatingPrior, StatedHardware
from estimators.hardware import Hardware
from estimators.planned import TEXT, Planned, operation_of
from proxy.endpoints.reading import joined
from proxy.errors import BadRequest
from proxy.meter.fallback import BYTES_PER_TOKEN
from proxy.web.refusal import Fault, first_fault, refusal

MOST_TOKENS = 1_000_000_000
MOST_SECONDS = 1_000_000.0
SIZE = r"^[1-9]\d{0,4}x[1-9]\d{0,4}$"

Operation = Literal["chat", "completions", "embeddings", "moderation", "images", "video", "audio", "speech", "transcription", "translation"]


class AskedHardware(StatedHardware):
    """What is known of the machines, as in the configuration; numbers are numbers here."""

    model_config = ConfigDict(strict=True)

    def facts(self) -> Hardware:
        """The same for the scales."""
        return Hardware(**self.model_dump())


class EstimateRequest(BaseModel):
    """The body of POST /v1/footprint/estimate."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    model: str = Field(min_length=1, max_length=256, description="Alias or model name.")
    provider: str | None = Field(
        default=None, min_length=1, max_length=64, description="Provider id; null: the alias's, else the model's vendor."
    )
    region: str | None = Field(
        default=None, min_length=1, max_length=64, description="Cloud region; null: as configured, else the provider's default."
    )
    operation: Operation | None = Field(default=None, description="Null: what the model does, as the other fields suggest.")
    input_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS, description="Input tokens, cached ones included.")
    cached_input_tokens: int = Field(default=0, ge=0, le=MOST_TOKENS, description="Part of input_tokens that the provider has cached.")
    output_tokens: int | None = Field(default=None, ge=0, le=MOST_TOKENS, description="Output tokens of one answer, reasoning included.")
    max_tokens: int | None = Field(default=None, ge=1, le=MOST_TOKENS, description="Limit of one answer, when its length is not known.")
    messages: list[Any] | None = Field(default=None, description="Messages to count by their length alone; they are not kept.")
    n: int = Field(default=1, ge=1, le=128, description="Answers or pictures asked for.")
    images: int | None = Field(default=None, ge=1, le=10_000, description="Pictures to make, instead of n.")
    size: str | None = Field(default=None, pattern=SIZE, description="Pixels of a picture or a clip, such as 1024x1536.")
    quality: str | None = Field(default=None, min_length=1, max_length=32, description="The provider's word, such as low, high or hd.")
    steps: int | None = Field(default=None, ge=1, le=10_000, description="Denoising steps of a diffusion model.")
    input_images: int = Field(default=0, ge=0, le=10_000, description="Pictures to read, edit or vary.")
    video_seconds: float | None = Field(default=None, gt=0, le=MOST_SECONDS, description="Length of the clip.")
    fps: float | None = Field(default=None, gt=0, le=1000, description="Frames per second of the clip.")
    audio_seconds: float | None = Field(default=None, gt=0, le=MOST_SECONDS, description="Length of what is heard or spoken.")
    characters: int | None = Field(default=None, ge=1, le=MOST_TOKENS, description="Length of the text to speak.")
    hardware: AskedHardware | None = Field(
        default=None,
        description="What is known of the machines; null: what the alias's deployment states, where that is who is asked about.",
    )
    operating_prior: OperatingPrior | None = Field(default=None, description="How busy the machines are; null: as configured.")
    profile: str | None = Field(default=None, min_length=1, max_length=32, description="Boundary; null: as configured.")
    method: str | None = Field(default=None, min_length=1, max_length=32, description="Method; null: by operation.")

    def planned(self, card: ModelCard, usual_output_tokens: int) -> Planned:
        """The plan; an answer of text that states no length has the usual one, at most max_tokens."""
        width, height = (int(side) for side in self.size.split("x")) if self.size else (None, None)
        plan = Planned(
            operation=self.operation,
            input_tokens=self._input_tokens(),
            cached_input_tokens=self.cached_input_tokens,
            output_tokens=None if self.output_tokens is None else self.output_tokens * self.n,
            images=self.images,
            input_images=self.input_images,
            width=width,
            height=height,
            quality=self.quality,
            steps=self.steps,
            video_seconds=self.video_seconds,
            fps=self.fps,
            audio_seconds=self.audio_seconds,
            characters=self.characters,
        )
        operation = operation_of(plan, card)
        if operation in TEXT and plan.output_tokens is None:
            one = min(usual_output_tokens, self.max_tokens) if self.max_tokens else usual_output_tokens
            return replace(plan, output_tokens=one * self.n)
        return replace(plan, operation=plan.operation or operation, images=self.images or self.n) if operation == "images" else plan

    def _input_tokens(self) -> int | None:
        if self.input_tokens is None and self.messages is not None:
            return max(_tokens_by_length(self.messages), self.cached_input_tokens)
        return self.input_tokens


def read_request(body: bytes) -> EstimateRequest:
    """The request in `body`. Raises BadRequest: malformed_json, missing_model, invalid_type."""
    try:
        asked = EstimateRequest.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(first_fault(error)) from None
    if asked.input_tokens is not None and asked.cached_input_tokens > asked.input_tokens:
        raise BadRequest(
            f"cached_input_tokens {asked.cached_input_tokens} exceed input_tokens {asked.input_tokens}, which include the cached ones.",
            code="invalid_type",
            param="cached_input_tokens",
        )
    return asked


def _tokens_by_length(messages: list[Any]) -> int:
    return max(1, len(joined(messages).encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def _refusal(fault: Fault) -> BadRequest:
    if fault.kind == "missing":
        return BadRequest('the request names no model; add "model": "<alias>".', code="missing_model", param="model")
    return refusal(fault, "see /openapi.json.")
