"""Method `training`: fine-tuning weighed by the tokens trained on and the size of the model. It must never weigh an answer."""

import math
from dataclasses import replace

from config.catalogue import ModelCard
from estimators.assemble import Request, assemble
from estimators.energy import PerUnit, call_variances
from estimators.hardware import UNKNOWN_HARDWARE
from estimators.physics import BYTES_PER_GB as PARAMS_PER_B
from estimators.physics_lines import average
from estimators.physics_mixture import NORMAL_NODES, at
from estimators.prepared import Prepared
from estimators.quantity import LogVariance, Quantity, multiply, scale
from estimators.usage import Usage

FLOP_PER_TFLOP = 1e12


class TrainingMethod:
    """Arithmetic of the tokens trained on; METHODS.md, section on what lies beyond serving."""

    id = "training"
    version = "1.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for fine-tuning."""
        return operation == "training"

    def prepare(self, request: Request) -> Prepared:
        """The cost of one token trained on, for the request's model at its place; known machines are those that serve, not these."""
        factors = request.factors
        request = replace(request, hardware=UNKNOWN_HARDWARE)
        flop = average(factors["fine_tuning.flop_per_param_token"].range, "method")
        gpu_j_per_tflop = average(factors["fine_tuning.gpu_j_per_tflop"].range, "provider")
        per_param = scale(multiply(flop, gpu_j_per_tflop), PARAMS_PER_B / FLOP_PER_TFLOP)
        energy = TrainingEnergy(multiply(per_param, _active_params_b(request.card)), call_variances(factors)["provider", False])
        return assemble(self.id, self.version, energy, request)


class TrainingEnergy:
    """GPU energy of training by tokens; a usage holds the tokens trained on, all passes together, as its input."""

    def __init__(self, per_token_j: Quantity, call_variance: float) -> None:
        self._per_token_j = per_token_j
        self._call = LogVariance(call=call_variance)

    @property
    def per_unit_j(self) -> PerUnit:
        """Medians per unit."""
        return PerUnit(fresh_input_token=self._per_token_j.p50)

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Joules of all GPUs together for one job."""
        count = Quantity(usage.input_tokens * math.exp(-self._call.total / 2), self._call)
        return multiply(self._per_token_j, count)


def _active_params_b(card: ModelCard) -> Quantity:
    """The model's active size in billions of parameters, its doubt in scope `model`."""
    logs = [(math.log(at(card.active_params_b, z)), weight) for z, weight in NORMAL_NODES]
    mean = math.fsum(log * weight for log, weight in logs)
    return Quantity(math.exp(mean), LogVariance(model=math.fsum(weight * (log - mean) ** 2 for log, weight in logs)))
