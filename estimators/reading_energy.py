"""Weighs a call that only reads: its input tokens and one pass over the weights. It must never charge for what was written."""

import math
from collections.abc import Mapping
from dataclasses import replace

from estimators.energy import PerUnit
from estimators.physics_call import CallEnergy
from estimators.quantity import Quantity
from estimators.token_energy import TokenEnergy
from estimators.usage import Usage, UsageSource


class ReadingEnergy:
    """Prefill of all inputs of a call, and one forward pass shared with the others of the batch, as in a decode step."""

    __slots__ = ("per_unit_j", "tokens")

    def __init__(self, energy: CallEnergy, call_variance: Mapping[tuple[UsageSource, bool], float]) -> None:
        """The inputs of a call do not attend to one another, so prefill does not grow with their number."""
        self.tokens = TokenEnergy(replace(energy, attention_mean_j=0.0, context_doubling_tokens=math.inf), call_variance)
        token = self.tokens.per_unit_j
        self.per_unit_j = PerUnit(
            fresh_input_token=token.fresh_input_token,
            cached_input_token=token.cached_input_token,
            image=energy.image_token.p50 * energy.tokens_per_image,
            call=token.call + energy.decode.p50,
        )

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """More than nothing even where no token is counted: some providers count none."""
        return self.tokens.gpu_energy_j(
            Usage(
                input_tokens=usage.input_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                image_input_tokens=usage.image_input_tokens,
                input_images=usage.input_images,
                output_tokens=usage.calls,
                source=usage.source,
                partial=usage.partial,
                calls=usage.calls,
            )
        )
