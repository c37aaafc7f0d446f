"""What a method must know to weigh a call: joules of its GPUs. It must never look beyond the accelerators."""

from typing import NamedTuple, Protocol

from config.factors import FactorSet
from estimators.quantity import Quantity
from estimators.usage import Usage, UsageSource

USAGE_SOURCES: tuple[UsageSource, ...] = ("provider", "counted", "estimated")


class PerUnit(NamedTuple):
    """Median GPU joules per unit, at short context; 0 where a method does not charge for the unit."""

    fresh_input_token: float = 0.0
    cached_input_token: float = 0.0
    output_token: float = 0.0
    image: float = 0.0
    video_second: float = 0.0
    audio_second: float = 0.0
    call: float = 0.0


class Energy(Protocol):
    """GPU energy of calls to one deployment."""

    @property
    def per_unit_j(self) -> PerUnit:
        """What routing compares: medians per unit."""

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Joules of all GPUs together for one attempt, before host, idle and PUE, with the doubt of its counts in `call`."""


def call_variances(factors: FactorSet) -> dict[tuple[UsageSource, bool], float]:
    """Variance of the logarithm in scope `call`, by who counted and whether the answer was cut short."""
    partial = factors["call.sd_partial"].value ** 2
    return {
        (source, cut): factors[f"call.sd_{source}"].value ** 2 + (partial if cut else 0.0)
        for source in USAGE_SOURCES
        for cut in (False, True)
    }
