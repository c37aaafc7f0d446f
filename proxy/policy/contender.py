"""A deployment with what a call to it weighs, ready to be compared. It must never round."""

from dataclasses import dataclass

from estimators.prepared import Prepared
from estimators.token_energy import TokenEnergy
from estimators.usage import Usage
from proxy.policy.cost import cost_of
from proxy.policy.latency import LatencyKey, Pace, seconds_for
from proxy.policy.option import Option


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contender:
    """An option with what it weighs: expected gCO2e and ml of water per joule of its GPUs. label: how reasons name it.

    operational_gco2e_per_j: the share of it that follows the grid's intensity. latency_key: under which its answers are timed.
    """

    option: Option
    prepared: Prepared
    gco2e_per_j: float
    operational_gco2e_per_j: float
    water_ml_per_j: float
    label: str
    latency_key: LatencyKey

    @property
    def zone(self) -> str:
        """The grid zone that it is weighed on."""
        return self.option.candidate.place.zone

    def gpu_j(self, usage: Usage) -> float:
        """Expected joules of the GPUs for such a call."""
        energy = self.prepared.energy
        return energy.mean_j(usage) if isinstance(energy, TokenEnergy) else energy.gpu_energy_j(usage).mean

    def gco2e(self, usage: Usage) -> float:
        """Expected grams of such a call, by yearly factors."""
        return self.gpu_j(usage) * self.gco2e_per_j

    def hourly_gco2e(self, usage: Usage, gco2e_per_kwh: float) -> float:
        """Expected grams of such a call while the grid has that intensity; for ranking, never for totals."""
        yearly = self.option.candidate.place.gco2e_per_kwh.value
        return self.gpu_j(usage) * (self.gco2e_per_j + self.operational_gco2e_per_j * (gco2e_per_kwh / yearly - 1))

    def cost(self, usage: Usage) -> float | None:
        """Cost of such a call by the owner's prices; None: not known."""
        return cost_of(self.option.candidate.deployment.price, usage)

    def latency_s(self, usage: Usage, pace: Pace) -> float | None:
        """Seconds to the end of such an answer, as it was lately; None: not tried."""
        found = pace.get(self.latency_key)
        return None if found is None else seconds_for(found, usage.output_tokens)
