"""How long speech is and how many tokens it takes where the answer does not say. It must never hide that it assumed."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from config.catalogue import ModelCard
from config.factors import FactorSet
from estimators.physics_lines import log_sd
from estimators.usage import NO_MEDIA, Usage

LISTENING_FAMILIES = frozenset({"whisper", "transcribe", "voxtral", "deepgram", "scribe", "speech-to-text"})
"""Families that write down what they hear; every other one speaks, which weighs more, when a call says nothing of itself."""

LENGTH_UNKNOWN = "audio-length-unknown"
LENGTH_FROM_TEXT = "audio-length-from-text"
TOKENS_ASSUMED = "audio-tokens-assumed"


class AudioCounts(NamedTuple):
    """Seconds heard and spoken, tokens read and written; variances of what was assumed, by scope; warnings.

    The tokens are those of one part; `parts` such parts, 1 or more, make up the call.
    """

    heard_s: float
    spoken_s: float
    input_tokens: int
    output_tokens: int
    parts: float
    method_doubt: float
    call_doubt: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioRates:
    """From text to seconds and from seconds to tokens, with the variance of the logarithm of each.

    window_s: what is heard is cut into windows of this length, each read and written down on its own.
    """

    window_s: float
    input_tokens_per_s: float
    text_tokens_per_s: float
    output_tokens_per_s: float
    characters_per_s: float
    characters_per_token: float
    usual_s: float
    input_variance: float
    text_variance: float
    output_variance: float
    characters_variance: float
    usual_variance: float

    def counts(self, usage: Usage, *, listens: bool) -> AudioCounts:
        """What one call heard and said; `listens` decides which of the two a call was of which nothing is known."""
        heard_s, spoken_s, call_doubt, warnings = self._lengths(usage, listens=listens)
        method_doubt, parts = 0.0, 1.0
        read, written = usage.input_tokens, usage.output_tokens
        part_s = heard_s
        if not read and not written and not spoken_s:
            part_s, parts = min(heard_s, self.window_s), max(1.0, heard_s / self.window_s)
        if not read:
            characters = (usage.media or NO_MEDIA).characters or 0
            read = math.ceil(part_s * self.input_tokens_per_s + characters / self.characters_per_token)
            method_doubt = self.input_variance if heard_s else 0.0
        if not written:
            written = math.ceil(spoken_s * self.output_tokens_per_s if spoken_s else part_s * self.text_tokens_per_s)
            method_doubt = max(method_doubt, self.output_variance if spoken_s else 0.0)
            call_doubt += 0.0 if spoken_s else self.text_variance
            warnings = (*warnings, TOKENS_ASSUMED)
        return AudioCounts(heard_s, spoken_s, read, written, parts, method_doubt, call_doubt, warnings)

    def _lengths(self, usage: Usage, *, listens: bool) -> tuple[float, float, float, tuple[str, ...]]:
        """Seconds heard, seconds spoken, variance of both in scope `call`, warnings."""
        media = usage.media or NO_MEDIA
        heard_s = media.audio_input_seconds or usage.audio_input_tokens / self.input_tokens_per_s
        spoken_s = media.audio_output_seconds or usage.audio_output_tokens / self.output_tokens_per_s
        if not spoken_s and media.characters:
            if usage.output_tokens:
                return heard_s, usage.output_tokens / self.output_tokens_per_s, 0.0, ()
            return heard_s, media.characters / self.characters_per_s, self.characters_variance, (LENGTH_FROM_TEXT,)
        if heard_s or spoken_s:
            return heard_s, spoken_s, 0.0, ()
        if listens and usage.output_tokens and not usage.input_tokens:
            return usage.output_tokens / self.text_tokens_per_s, 0.0, self.text_variance, (LENGTH_FROM_TEXT,)
        if usage.input_tokens or usage.output_tokens:
            heard_s = usage.input_tokens / self.input_tokens_per_s if listens else 0.0
            return heard_s, 0.0 if listens else usage.output_tokens / self.output_tokens_per_s, 0.0, ()
        return (self.usual_s if listens else 0.0), (0.0 if listens else self.usual_s), self.usual_variance, (LENGTH_UNKNOWN,)


def listens(card: ModelCard) -> bool:
    """Whether a call to this model of which nothing is known heard rather than spoke."""
    return card.family in LISTENING_FAMILIES


def audio_rates(factors: FactorSet) -> AudioRates:
    """The rates of the factor rows `audio.*`."""
    return AudioRates(
        window_s=factors["audio.window_s"].value,
        input_tokens_per_s=factors["audio.input_tokens_per_s"].value,
        text_tokens_per_s=factors["audio.text_tokens_per_s"].value,
        output_tokens_per_s=factors["audio.output_tokens_per_s"].value,
        characters_per_s=factors["audio.characters_per_s"].value,
        characters_per_token=factors["audio.characters_per_token"].value,
        usual_s=factors["audio.usual_s"].value,
        input_variance=_variance(factors, "audio.input_tokens_per_s"),
        text_variance=_variance(factors, "audio.text_tokens_per_s"),
        output_variance=_variance(factors, "audio.output_tokens_per_s"),
        characters_variance=_variance(factors, "audio.characters_per_s"),
        usual_variance=_variance(factors, "audio.usual_s"),
    )


def _variance(factors: FactorSet, row: str) -> float:
    return log_sd(factors[row].range) ** 2
