"""A batch API's advantage: the same tokens, at times and in batches of the vendor's choice. It must never pass for a measured figure."""

from typing import Protocol

from config.factors import FactorSet
from estimators.energy import Energy, PerUnit
from estimators.physics_lines import average
from estimators.quantity import Quantity, multiply
from estimators.usage import Usage

BATCH_API = "batch-api"
"""Warning on what went through a batch API."""


class BatchedEnergy:
    """The GPU energy of calls of an interactive service, scaled to its batch API; the doubt of the ratio is the provider's."""

    def __init__(self, energy: Energy, factors: FactorSet) -> None:
        self._energy = energy
        self._ratio = average(factors["batch_api.gpu_energy_ratio"].range, "provider")

    @property
    def per_unit_j(self) -> PerUnit:
        """Medians per unit."""
        return PerUnit(*(gpu_j * self._ratio.p50 for gpu_j in self._energy.per_unit_j))

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Joules of all GPUs together for one attempt."""
        return multiply(self._energy.gpu_energy_j(usage), self._ratio)


class Batchable(Protocol):
    """What says whether work went through a batch API."""

    @property
    def batched(self) -> bool:
        """True when it did."""

    @property
    def factors(self) -> FactorSet:
        """The factors to weigh it by."""


def through_batch_api(energy: Energy, request: Batchable) -> Energy:
    """The energy as it is, or as a batch API spends it."""
    return BatchedEnergy(energy, request.factors) if request.batched else energy
