"""How fast the simulated models write, so that a demonstration looks and feels like the real thing. It must never be used by a test."""

from dataclasses import dataclass

PACE_HEADER = "x-simulate-pace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Seconds to the first token, and from one token to the next."""

    first_token_s: float
    per_token_s: float


_PACES = {
    "sim-small": Pace(first_token_s=0.15, per_token_s=0.004),
    "sim-medium": Pace(first_token_s=0.25, per_token_s=0.007),
    "sim-embed": Pace(first_token_s=0.05, per_token_s=0.0),
    "sim-moderate": Pace(first_token_s=0.05, per_token_s=0.0),
    "sim-image": Pace(first_token_s=1.2, per_token_s=0.0),
    "sim-image-tokens": Pace(first_token_s=0.8, per_token_s=0.0008),
    "sim-speech": Pace(first_token_s=0.3, per_token_s=0.001),
    "sim-transcribe": Pace(first_token_s=0.5, per_token_s=0.002),
    "sim-transcribe-tokens": Pace(first_token_s=0.5, per_token_s=0.002),
}
_DEFAULT = Pace(first_token_s=0.35, per_token_s=0.011)


def pace_of(model: str) -> Pace:
    """The pace of a model by name."""
    return _PACES.get(model, _DEFAULT)
