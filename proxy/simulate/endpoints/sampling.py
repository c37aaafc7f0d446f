"""What the endpoints that write text share: the request's limits, where a text is cut, and the usage that is reported.

It must never word an answer.
"""

from dataclasses import dataclass

from proxy.simulate import tokens
from proxy.simulate.exchange import Ask, JsonObject, Refused

MODELS = (
    "sim-small",
    "sim-medium",
    "sim-large",
    "sim-reasoning",
    "sim-embed",
    "sim-moderate",
    "sim-image",
    "sim-image-tokens",
    "sim-speech",
    "sim-transcribe",
    "sim-transcribe-tokens",
    "sim-video",
)
_MOST_CHOICES = 128
_CACHE_LEAST = 1024
_CACHE_STEP = 128
# reasoning tokens written before the answer, by `reasoning_effort`
_REASONING = {"minimal": 16, "low": 64, "medium": 256, "high": 1024}
_REASONS_UNASKED = "sim-reasoning"


@dataclass(frozen=True, slots=True, kw_only=True)
class CutText:
    """A text in pieces as far as it may go, and why it ends."""

    pieces: tuple[str, ...]
    finish_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageInStream:
    """Where usage stands in a stream, as the request and the ordered fault say."""

    ask: Ask
    usage: JsonObject

    @property
    def asked(self) -> bool:
        """Whether the request wants usage."""
        options = self.ask.body.get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    @property
    def extra_chunk(self) -> bool:
        """Whether a last chunk without choices carries usage."""
        return self.asked and self.ask.usage_place == "as_asked"

    def on_chunk(self, *, last: bool, sent: int) -> JsonObject:
        """The usage key of a chunk that has choices; empty when it has none."""
        place = self.ask.usage_place
        if place == "every_chunk":
            growing = {"completion_tokens": sent, "total_tokens": self.usage["prompt_tokens"] + sent}
            return {"usage": self.usage if last else {**self.usage, **growing}}
        if place == "last_chunk":
            return {"usage": self.usage} if last else {}
        return {"usage": None} if self.extra_chunk else {}


def model_of(body: JsonObject, default: str | None = None) -> str:
    """The model asked for, else the default. Any name is served as itself, but a `sim-` name that does not exist is refused."""
    model = body.get("model") or default
    if not isinstance(model, str) or not model:
        raise Refused(400, "Simulated: you must provide a model parameter.", param="model")
    if model.startswith("sim-") and model not in MODELS:
        raise no_such_model(model)
    return model


def no_such_model(name: str) -> Refused:
    """The refusal of a model that does not exist."""
    message = f"Simulated: the model '{name}' does not exist; known: {', '.join(MODELS)}."
    return Refused(404, message, code="model_not_found", param="model")


def choices_of(body: JsonObject, most: int = _MOST_CHOICES) -> int:
    """How many choices are asked for, from 1 to 128 or another limit."""
    wanted = body.get("n", 1)
    if wanted is None:
        return 1
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not 1 <= wanted <= most:
        raise Refused(400, f"Simulated: 'n' must be a whole number from 1 to {most}.", param="n")
    return wanted


def most_tokens(body: JsonObject, *names: str) -> int | None:
    """The first limit on output tokens that is set."""
    for name in names:
        limit = body.get(name)
        if limit is None:
            continue
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise Refused(400, f"Simulated: '{name}' must be a whole number of at least 1.", param=name)
        return limit
    return None


def reasoning_of(body: JsonObject) -> int:
    """Reasoning tokens written before the answer, by `reasoning_effort`; without it none, but `sim-reasoning` makes a medium effort."""
    effort = body.get("reasoning_effort") or ("medium" if body.get("model") == _REASONS_UNASKED else None)
    return _REASONING.get(effort, 0) if isinstance(effort, str) else 0


def cut_text(text: str, stop: object, most: int | None) -> CutText:
    """The text cut at the first stop sequence and at the limit of tokens."""
    stops = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    ends = [at for at in (text.find(item) for item in stops if isinstance(item, str) and item) if at >= 0]
    parts = tokens.pieces(text[: min(ends)] if ends else text)
    if most is not None and len(parts) > most:
        return CutText(pieces=tuple(parts[:most]), finish_reason="length")
    return CutText(pieces=tuple(parts), finish_reason="stop")


def chat_usage(body: JsonObject, prompt_tokens: int, output_tokens: int, reasoning_tokens: int) -> JsonObject:
    """Usage in the provider's shape. With a `prompt_cache_key`, whole steps of 128 tokens from 1,024 on count as cached."""
    cached = prompt_tokens // _CACHE_STEP * _CACHE_STEP if body.get("prompt_cache_key") and prompt_tokens >= _CACHE_LEAST else 0
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
