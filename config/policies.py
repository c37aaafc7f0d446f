"""The grammar of policies: which calls, what is required, what is preferred, what is capped. It must never decide anything itself."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from config.section import Section

Mode = Literal["off", "shadow", "enforce"]
Otherwise = Literal["passthrough", "refuse"]

OperationName = Literal[
    "chat", "completions", "responses", "messages", "generate_content", "stream_generate_content", "embeddings", "embed_content",
    "batch_embed_contents", "images", "videos", "audio", "transcription", "translation", "moderation", "decisions",
]  # fmt: skip
"""Kinds of calls, as records and metrics name them."""

RESERVED_NAMES = frozenset({"off", "none", "other"})
"""Words that stand for no policy in headers and metrics."""

NAME = r"^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$"


def _listed(value: Any) -> Any:
    """A single word is a list of one."""
    return [value] if isinstance(value, str) else value


_WORDS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
Words = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1), WithJsonSchema(_WORDS)]
"""One word, or a list of them."""

_NAMED: dict[str, Any] = {"enum": list(get_args(OperationName))}
_KINDS: dict[str, Any] = {"anyOf": [_NAMED, {"type": "array", "items": _NAMED, "minItems": 1}]}
Operations = Annotated[list[OperationName], BeforeValidator(_listed), Field(min_length=1), WithJsonSchema(_KINDS)]
"""One kind of call, or a list of them."""


class When(Section):
    """Which calls a policy is for: all that is stated must hold."""

    alias: Words | None = Field(default=None, description="Models as callers write them; a name may end in `*`. Null: all.")
    tags: dict[str, Words] = Field(default={}, description="Tags that the call carries, each with one of these values.")
    input_tokens_at_most: int | None = Field(default=None, ge=1, description="Longest prompt, in tokens, as its length tells.")
    operation: Operations | None = Field(default=None, description="Kinds of calls, such as chat or images; null: all.")


class Require(Section):
    """What a deployment must meet; where it is not known whether it does, it does not."""

    region_in: Words | None = Field(default=None, description="Cloud regions; a region that is only assumed does not count.")
    zone_in: Words | None = Field(default=None, description="Grid zones, such as SE-SE3 or FR; an assumed one does not count.")
    zone_gco2e_per_kwh_at_most: float | None = Field(
        default=None, gt=0, description="Carbon intensity of the zone, yearly average, lifecycle; an assumed zone does not count."
    )
    quality_at_least: float | None = Field(default=None, ge=0, le=1, description="Your own `quality` of the alias that it stands under.")
    water_ratio_at_most: float | None = Field(
        default=None, gt=0, description="Forecast water, as a multiple of that of the alias's first deployment."
    )
    provider_in: Words | None = Field(default=None, description="Provider ids.")
    open_weights: bool | None = Field(default=None, description="Whether the catalogue says that the model's weights are open.")


class Prefer(Section):
    """Which of the deployments that meet the requirements serves."""

    lowest: Literal["gco2e"] = Field(default="gco2e", description="What is to be lowest: the forecast of the call's gCO2e.")
    among: Words | None = Field(default=None, description="Aliases whose deployments may serve instead; null: the call's own alias.")
    confidence_at_least: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        description="Least probability that the choice weighs less than the alias's first deployment; below it the call stays.",
    )


class Apply(Section):
    """Caps. They never raise what the caller asks for, and act in mode enforce only."""

    max_output_tokens: int | None = Field(default=None, ge=1, description="Longest answer, in tokens, per choice.")
    n_at_most: int | None = Field(default=None, ge=1, description="Most choices or pictures per call.")
    image_size_at_most: str | None = Field(
        default=None, pattern=r"^[1-9]\d{1,4}x[1-9]\d{1,4}$", description="Largest picture, such as 1024x1024; a larger one gets this size."
    )
    image_quality_at_most: Literal["low", "medium", "standard"] | None = Field(
        default=None, description="Finest picture; `standard` is for models that know `standard` and `hd`."
    )


class Policy(Section):
    """One rule. The first enforced policy that matches a call decides; those in mode shadow are only recorded."""

    name: str = Field(pattern=NAME, description="What answers, records and metrics call it; unique.")
    when: When = Field(default=When(), description="Which calls it is for; empty: all.")
    require: Require = Field(default=Require(), description="What a deployment must meet to serve them.")
    prefer: Prefer | None = Field(default=None, description="Which of those serves; null: as the alias has it, by order and weight.")
    apply: Apply = Field(default=Apply(), description="Caps on what is asked for.")
    holdback: float = Field(default=0, ge=0, le=1, description="Share of the calls left as they are, drawn by call id, to compare with.")
    otherwise: Otherwise = Field(default="passthrough", description="When no deployment meets the requirements: passthrough or refuse.")
    mode: Mode = Field(default="shadow", description="off; shadow: decide and record, change nothing; enforce.")
    locked: bool = Field(default=False, description="Callers cannot switch it off with x-grammage-policy.")


class PolicyFile(Section):
    """A file of policies."""

    policies: list[Policy] = Field(default=[], description="Policies; the first that matches decides.")
