"""The grammar of policies: which calls, what is required, what is preferred, what is capped. It must never decide anything itself."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, WithJsonSchema

from config.alternatives import Alternative
from config.budgets import Budget
from config.duration import Seconds
from config.listed import NAME, Words, listed
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

_NAMED: dict[str, Any] = {"enum": list(get_args(OperationName))}
_KINDS: dict[str, Any] = {"anyOf": [_NAMED, {"type": "array", "items": _NAMED, "minItems": 1}]}
Operations = Annotated[list[OperationName], BeforeValidator(listed), Field(min_length=1), WithJsonSchema(_KINDS)]
"""One kind of call, or a list of them."""


class When(Section):
    """Which calls a policy is for: all that is stated must hold."""

    alias: Words | None = Field(default=None, description="Models as callers write them; a name may end in `*`. Null: all.")
    tags: dict[str, Words] = Field(default={}, description="Tags that the call carries, each with one of these values.")
    input_tokens_at_most: int | None = Field(default=None, ge=1, description="Longest prompt, in tokens, as its length tells.")
    operation: Operations | None = Field(default=None, description="Kinds of calls, such as chat or images; null: all.")
    expr: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        description='A condition in CEL besides, such as `tags.market in ["fr", "be"] && input_tokens < 900`; needs grammage[cel].',
    )


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
    cost_ratio_at_most: float | None = Field(
        default=None, gt=0, description="Forecast cost, as a multiple of that of the alias's first deployment, by your `price` of both."
    )
    provider_in: Words | None = Field(default=None, description="Provider ids.")
    open_weights: bool | None = Field(default=None, description="Whether the catalogue says that the model's weights are open.")
    purpose_declared: bool = Field(
        default=False, description="Calls carry the tag `purpose`, or that of a campaign with a purpose in `campaigns:`; else they get 422."
    )


Measure = Literal["gco2e", "cost", "latency"]
"""What can be lowest: the forecast of gCO2e, the cost by the owner's `price`, the time to an answer as it was lately."""


class Prefer(Section):
    """Which of the deployments that meet the requirements serves."""

    lowest: Measure = Field(default="gco2e", description="What is to be lowest.")
    weights: dict[Measure, Annotated[float, Field(gt=0)]] | None = Field(
        default=None,
        min_length=1,
        description="Several at once instead of `lowest`, such as {gco2e: 0.7, cost: 0.3}: ratios to the first deployment, weighted.",
    )
    among: Words | None = Field(default=None, description="Aliases whose deployments may serve instead; null: the call's own alias.")
    within_latency_ms: float | None = Field(
        default=None,
        gt=0,
        description="Longest time to a whole answer of the call's length, as it was lately (median); who was not tried lately may serve.",
    )
    within_cost_ratio: float | None = Field(
        default=None, gt=0, description="Highest cost, as a multiple of that of the alias's first deployment, by your `price` of both."
    )
    confidence_at_least: float | None = Field(
        default=None,
        ge=0.5,
        lt=1,
        description="Least probability that the choice weighs less than the alias's first deployment; below it the call stays.",
    )
    intensity: Literal["yearly", "hourly"] = Field(
        default="yearly",
        description="hourly: rank by what live sources tell of the zones, where all that are compared have a figure; else as yearly.",
    )
    hysteresis: float = Field(
        default=0.1, ge=0, lt=1, description="Under hourly: share by which another zone must be lower before calls move there."
    )


class Apply(Section):
    """What is changed in requests. Nothing here raises what the caller asks for, and it acts in mode enforce only."""

    max_output_tokens: int | None = Field(default=None, ge=1, description="Longest answer, in tokens, per choice.")
    concise: bool = Field(
        default=False,
        description="Adds a line that asks for a short answer, in the language of the request; not where it asks for JSON or offers tools.",
    )
    n_at_most: int | None = Field(default=None, ge=1, description="Most choices or pictures per call.")
    image_size_at_most: str | None = Field(
        default=None, pattern=r"^[1-9]\d{1,4}x[1-9]\d{1,4}$", description="Largest picture, such as 1024x1024; a larger one gets this size."
    )
    image_quality_at_most: Literal["low", "medium", "standard"] | None = Field(
        default=None, description="Finest picture; `standard` is for models that know `standard` and `hd`."
    )
    reuse: Seconds | None = Field(
        default=None,
        description="How long an answer serves identical requests of the same key, such as 24h; it is stored for as long. Null: never.",
    )
    reuse_any_temperature: bool = Field(
        default=False, description="Reuse also answers to requests that leave chance a hand; else only those with temperature 0."
    )


Shortcoming = Literal["invalid_json", "refused", "truncated", "empty"]


class Escalate(Section):
    """Asks a larger model when the answer of a smaller one falls short; both are weighed."""

    to: str = Field(min_length=1, description="Alias whose deployments answer then: those that meet `require` and that the caller may use.")
    when: list[Shortcoming] = Field(
        default=["invalid_json", "refused", "truncated", "empty"],
        description=(
            "invalid_json: not the JSON, or the arguments of a function, that the request asks for; refused: the provider says so; "
            "truncated: cut by the model's own limit or by this policy's cap, not by the caller's; empty: no text and no call."
        ),
    )
    must_match: str | None = Field(
        default=None,
        min_length=1,
        description="A regular expression that must be found in the answer's text (its first 100,000 characters).",
    )
    buffer_streams: bool = Field(
        default=False, description="Hold streams of up to 4 MB back until they are checked; else streams are not escalated."
    )


class Instead(Section):
    """A declared way to do without the call."""

    ref: str = Field(min_length=1, description="Its name under `alternatives:`.")
    mode: Literal["offer", "run"] = Field(
        default="offer", description="offer: 409 with what to send to accept or to go on; run: it answers, where it can."
    )


class Iterations(Section):
    """How often one thing may be made over."""

    at_most: int = Field(ge=1, description="Answers per value of the tag under this policy, and per brand, for all time.")
    tag: str = Field(default="asset", min_length=1, description="The tag whose values are counted.")
    hard: bool = Field(default=False, description="true: 409 beyond it; false: answers warn.")


class Policy(Section):
    """One rule. The first enforced policy that matches a call decides; those in mode shadow are only recorded."""

    name: str = Field(pattern=NAME, description="What answers, records and metrics call it; unique.")
    when: When = Field(default=When(), description="Which calls it is for; empty: all.")
    require: Require = Field(default=Require(), description="What a deployment must meet to serve them.")
    prefer: Prefer | None = Field(default=None, description="Which of those serves; null: as the alias has it, by order and weight.")
    apply: Apply = Field(default=Apply(), description="What is changed in requests.")
    escalate: Escalate | None = Field(default=None, description="When a larger model is asked after all; null: never.")
    alternative: Instead | None = Field(default=None, description="A way to do without the call; null: none.")
    iterations: Iterations | None = Field(default=None, description="How often one asset may be made over; null: as often as one likes.")
    holdback: float = Field(default=0, ge=0, le=1, description="Share of the calls left as they are, drawn by call id, to compare with.")
    otherwise: Otherwise = Field(default="passthrough", description="When no deployment meets the requirements: passthrough or refuse.")
    mode: Mode = Field(default="shadow", description="off; shadow: decide and record, change nothing; enforce.")
    locked: bool = Field(default=False, description="Callers cannot switch it off with x-grammage-policy.")


class PolicyFile(Section):
    """A file of policies, with the budgets and alternatives that belong to them."""

    policies: list[Policy] = Field(default=[], description="Policies; the first that matches decides.")
    budgets: list[Budget] = Field(default=[], description="Carbon budgets; all that match a call count it.")
    alternatives: dict[str, Alternative] = Field(default={}, description="Ways to do without a model, by name.")
