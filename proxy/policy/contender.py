"""A deployment with what a call to it weighs, ready to be compared. It must never round."""

from dataclasses import dataclass

from estimators.prepared import Prepared
from estimators.token_energy import TokenEnergy
from estimators.usage import Usage
from proxy.policy.option import Option


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """An option with what it weighs: expected gCO2e and ml of water per joule of its GPUs. label: how reasons name it."""

    option: Option
    prepared: Prepared
    gco2e_per_j: float
    water_ml_per_j: float
    label: str

    def gpu_j(self, usage: Usage) -> float:
        """Expected joules of the GPUs for such a call."""
        energy = self.prepared.energy
        return energy.mean_j(usage) if isinstance(energy, TokenEnergy) else energy.gpu_energy_j(usage).mean
