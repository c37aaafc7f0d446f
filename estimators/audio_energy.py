"""Weighs speech heard and spoken: encoder, language model, codec. It must never weigh nothing, however little is known of a call."""

import math

from config.catalogue import ModelCard
from config.factors import FactorSet
from estimators.audio_length import AudioRates
from estimators.doubt import doubted
from estimators.energy import PerUnit
from estimators.physics_call import CallEnergy
from estimators.physics_lines import average, log_sd
from estimators.quantity import Quantity, add, around, scale
from estimators.token_energy import TokenEnergy
from estimators.usage import Media, Usage

UNIT_S = 60.0
"""Seconds of the call that `per_unit_j` is worked out on; a definition."""


class AudioEnergy:
    """Tokens as for text, an encoder for what is heard and a codec for what is spoken."""

    __slots__ = ("_codec_per_s", "_encoder_per_s", "_form", "_listens", "_rates", "_tokens", "per_unit_j")

    def __init__(self, tokens: TokenEnergy, encoder_per_s: Quantity, rates: AudioRates, factors: FactorSet, *, listens: bool) -> None:
        """encoder_per_s: GPU joules per second of padded audio. listens: a call of which nothing is known heard rather than spoke."""
        self._tokens = tokens
        self._encoder_per_s = encoder_per_s
        self._codec_per_s = average(factors["audio.codec_j_per_s"].range, "method")
        self._form = factors["audio.sd_form"].value ** 2
        self._rates = rates
        self._listens = listens
        self.per_unit_j = self._per_unit()

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Joules of encoder, tokens and codec."""
        counts = self._rates.counts(usage, listens=self._listens)
        call = self._tokens.call_variance[usage.source, usage.partial]
        cached = min(usage.cached_input_tokens, counts.input_tokens)
        whole = scale(self._tokens.of_counts(counts.input_tokens, cached, counts.output_tokens, call), counts.parts)
        if counts.heard_s:
            padded_s = math.ceil(counts.heard_s / self._rates.window_s) * self._rates.window_s
            whole = add(whole, doubted(scale(self._encoder_per_s, padded_s), call=call))
        if counts.spoken_s:
            whole = add(whole, doubted(scale(self._codec_per_s, counts.spoken_s), call=call))
        return doubted(whole, method=self._form + counts.method_doubt, call=counts.call_doubt)

    def warnings_of(self, usage: Usage) -> tuple[str, ...]:
        """What had to be assumed for this very call."""
        return self._rates.counts(usage, listens=self._listens).warnings

    def _per_unit(self) -> PerUnit:
        media = Media(audio_input_seconds=UNIT_S) if self._listens else Media(audio_output_seconds=UNIT_S)
        text = self._tokens.per_unit_j
        return text._replace(audio_second=self.gpu_energy_j(Usage(media=media)).p50 / UNIT_S)


def encoder_j_per_s(card: ModelCard, energy: CallEnergy, factors: FactorSet) -> Quantity:
    """GPU joules per second of audio, padding included: its positions as prefill tokens of the encoder's share of the parameters."""
    active_b = card.active_params_b.value
    encoder_b = min(active_b * factors["audio.encoder_param_share"].value, factors["audio.encoder_params_b"].value)
    per_position = energy.prefill_mean_j * encoder_b / active_b * factors["audio.encoder_overhead"].value
    doubts = (log_sd(factors[row].range) ** 2 for row in ("audio.encoder_overhead", "audio.encoder_params_b"))
    per_s = around(per_position * factors["audio.encoder_positions_per_s"].value, energy.steady_doubt)
    return doubted(per_s, method=math.fsum(doubts))
