"""GPU energy of serving one model on one known deployment. It must never hold a number of its own: all come from factor rows."""

import math
from dataclasses import dataclass

from config.factors import FactorSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One way to serve a model: sizes in billions, weights in bytes per parameter, batch = requests decoded together, all GPUs alike."""

    total_params_b: float
    active_params_b: float
    is_moe: bool
    bytes_per_param: float
    gpus: int
    static_scale: float
    dynamic_scale: float
    batch: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyForm:
    """Parameters of the form, GPU joules on one H100 with 16-bit weights; METHODS.md gives symbol, unit and source of each."""

    step_static_j: float
    step_gpu_exponent: float
    step_moe_overhead: float
    step_low_precision_overhead: float
    weight_stream_j_per_gb: float
    matmul_j_per_token_per_b: float
    matmul_moe_overhead: float
    attention_j_per_token_per_k: float
    prefill_j_per_token_per_b: float
    reference_bytes_per_param: float

    def decode_gpu_j_per_token(self, at: Deployment) -> float:
        """GPU joules per output token, all GPUs together, without attention over the context: shared step / batch + matrix products."""
        step = self.step_static_j * at.static_scale * math.pow(at.gpus, self.step_gpu_exponent)
        if at.is_moe:
            step *= 1 + self.step_moe_overhead
        if at.bytes_per_param < self.reference_bytes_per_param:
            step *= 1 + self.step_low_precision_overhead
        touched_gb = at.bytes_per_param * touched_params_b(at.total_params_b, at.active_params_b, at.batch)
        stream = self.weight_stream_j_per_gb * at.dynamic_scale * touched_gb
        matmul = self.matmul_j_per_token_per_b * at.active_params_b * self._dynamic(at)
        if at.is_moe:
            matmul *= 1 + self.matmul_moe_overhead
        return (step + stream) / at.batch + matmul

    def attention_gpu_j_per_token_per_context_token(self, at: Deployment) -> float:
        """GPU joules per output token and token of context before it."""
        return self.attention_j_per_token_per_k / TOKENS_PER_K * at.dynamic_scale * math.sqrt(at.active_params_b)

    def prefill_gpu_j_per_token(self, at: Deployment) -> float:
        """GPU joules per fresh input token at short context; independent of the batch."""
        return self.prefill_j_per_token_per_b * at.active_params_b * self._dynamic(at)

    def _dynamic(self, at: Deployment) -> float:
        """Scale of computed energy for generation and precision; narrower weights pay with the square root of their width."""
        return at.dynamic_scale * math.sqrt(at.bytes_per_param / self.reference_bytes_per_param)


TOKENS_PER_K = 1000


def energy_form(factors: FactorSet) -> EnergyForm:
    """The form with the central values of its factor rows."""
    return EnergyForm(
        step_static_j=factors["decode.step_static_j"].value,
        step_gpu_exponent=factors["decode.step_gpu_exponent"].value,
        step_moe_overhead=factors["decode.step_moe_overhead"].value,
        step_low_precision_overhead=factors["decode.step_low_precision_overhead"].value,
        weight_stream_j_per_gb=factors["decode.weight_stream_j_per_gb"].value,
        matmul_j_per_token_per_b=factors["decode.matmul_j_per_token_per_b"].value,
        matmul_moe_overhead=factors["decode.matmul_moe_overhead"].value,
        attention_j_per_token_per_k=factors["decode.attention_j_per_token_per_k"].value,
        prefill_j_per_token_per_b=factors["prefill.j_per_token_per_b"].value,
        reference_bytes_per_param=factors["precision.bf16.bytes_per_param"].value,
    )


def touched_params_b(total_params_b: float, active_params_b: float, batch: float) -> float:
    """Parameters read in one decode step, billions: the experts that at least one request of the batch chose; all of a dense model."""
    if active_params_b >= total_params_b:
        return total_params_b
    return total_params_b * -math.expm1(batch * math.log1p(-active_params_b / total_params_b))


def gpus_needed(total_params_b: float, bytes_per_param: float, memory_gb: float, headroom_ratio: float) -> int:
    """GPUs that hold weights and cache: the next power of two."""
    gpus = 1
    while gpus * memory_gb < total_params_b * bytes_per_param * headroom_ratio:
        gpus *= 2
    return gpus
