"""GPU energy of serving one model on one known deployment. It must never hold a number of its own: all come from factor rows."""

from dataclasses import dataclass

from config.factors import FactorSet
from estimators.model_shape import Shape

TOKENS_PER_K = 1000
BYTES_PER_GB = 1e9
VALUES_PER_M = 1e6
REFERENCE_B = 10.0
"""Active parameters, billions, at which the energy of the vision encoder is stated; a definition."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One way to serve a model. batch = requests decoded together, over all GPUs, which are alike.

    Scales are 1 for an H100 with 16-bit weights; attention_parallel: 1 where requests are split among copies of the attention part, else 0.
    """

    shape: Shape
    gpus: float
    batch: float
    bytes_per_param: float
    static_scale: float = 1.0
    dynamic_scale: float = 1.0
    attention_scale: float = 1.0
    step_scale: float = 1.0
    stream_scale: float = 1.0
    matmul_scale: float = 1.0
    attention_parallel: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyForm:
    """Parameters of the form, GPU joules on one H100 with 16-bit weights; METHODS.md gives symbol, unit and source of each.

    Its functions are plain arithmetic: they take numbers, or arrays of numbers of one length in their place.
    """

    step_fixed_j: float
    step_j_per_layer: float
    step_gpu_exponent: float
    step_moe_scale: float
    step_hybrid_scale: float
    step_attention_parallel_scale: float
    weight_stream_j_per_gb: float
    routing_exponent: float
    matmul_j_per_token_per_b: float
    activation_j_per_token_per_m: float
    activation_scale_per_expert: float
    sequence_j_per_token: float
    exchange_j_per_token_per_m: float
    batch_efficiency_exponent: float
    batch_efficiency_knee: float
    attention_j_per_gb: float
    prefill_j_per_token_per_b: float
    prefill_moe_scale: float
    encoder_j_per_k_tokens: float
    encoder_size_exponent: float

    def decode_gpu_j_per_token(self, at: Deployment) -> float:
        """GPU joules per output token, all GPUs together, without attention over the context: shared step / batch + work per token."""
        return self.step_gpu_j(at) / at.batch + self._work_gpu_j(at)

    def step_gpu_j(self, at: Deployment) -> float:
        """GPU joules of one decode step that all requests of the batch share: time with the power on, and one pass over the weights."""
        shape = at.shape
        fixed: float = (self.step_fixed_j + self.step_j_per_layer * shape.layers) * at.static_scale * at.gpus**self.step_gpu_exponent
        fixed = fixed * at.step_scale * self.step_moe_scale**shape.moe * self.step_hybrid_scale**shape.hybrid
        fixed = fixed * self.step_attention_parallel_scale**at.attention_parallel
        return fixed + self.weight_stream_j_per_gb * at.dynamic_scale * at.stream_scale * at.bytes_per_param * self.touched_params_b(at)

    def touched_params_b(self, at: Deployment) -> float:
        """Parameters read in one decode step, billions: those outside the experts, and the experts that a request of the batch chose.

        Requests choose alike, so the batch counts with an exponent below 1.
        """
        shape = at.shape
        missed: float = (1 - shape.routed_share) ** (at.batch**self.routing_exponent)
        return shape.shared_params_b + shape.expert_params_b * (1 - missed)

    def _work_gpu_j(self, at: Deployment) -> float:
        """GPU joules that every output token pays for itself; large batches use the machine better."""
        shape = at.shape
        m_values = shape.layers * shape.hidden_size / VALUES_PER_M
        better: float = (1 + at.batch / self.batch_efficiency_knee) ** -self.batch_efficiency_exponent
        matmul = self.matmul_j_per_token_per_b * shape.active_params_b * at.dynamic_scale * at.matmul_scale
        dispatch = 1 + self.activation_scale_per_expert * shape.experts_per_token
        activation = self.activation_j_per_token_per_m * m_values * dispatch * at.dynamic_scale
        sequence: float = self.sequence_j_per_token * at.gpus**self.step_gpu_exponent * at.static_scale
        exchange = self.exchange_j_per_token_per_m * m_values * (at.gpus - 1) * at.dynamic_scale
        return (matmul + activation + sequence) * better + exchange

    def attention_gpu_j_per_token_per_context_token(self, at: Deployment) -> float:
        """GPU joules per output token and token of context before it: the cached keys and values are read anew."""
        return self.attention_j_per_gb * at.attention_scale * at.shape.kv_bytes_per_token / BYTES_PER_GB

    def prefill_gpu_j_per_token(self, at: Deployment) -> float:
        """GPU joules per fresh input token at short context; independent of the batch."""
        scale: float = at.dynamic_scale * at.matmul_scale * self.prefill_moe_scale**at.shape.moe
        return self.prefill_j_per_token_per_b * at.shape.active_params_b * scale

    def encoder_gpu_j_per_token(self, at: Deployment) -> float:
        """GPU joules of the vision encoder per token of an image; the model's own reading of the token comes on top, as prefill."""
        size: float = (at.shape.active_params_b / REFERENCE_B) ** self.encoder_size_exponent
        return self.encoder_j_per_k_tokens / TOKENS_PER_K * at.dynamic_scale * size


FORM_ROWS = {
    "step_fixed_j": "decode.step_fixed_j",
    "step_j_per_layer": "decode.step_j_per_layer",
    "step_gpu_exponent": "decode.step_gpu_exponent",
    "step_moe_scale": "decode.step_moe_scale",
    "step_hybrid_scale": "decode.step_hybrid_scale",
    "step_attention_parallel_scale": "decode.step_attention_parallel_scale",
    "weight_stream_j_per_gb": "decode.weight_stream_j_per_gb",
    "routing_exponent": "decode.routing_exponent",
    "matmul_j_per_token_per_b": "decode.matmul_j_per_token_per_b",
    "activation_j_per_token_per_m": "decode.activation_j_per_token_per_m",
    "activation_scale_per_expert": "decode.activation_scale_per_expert",
    "sequence_j_per_token": "decode.sequence_j_per_token",
    "exchange_j_per_token_per_m": "decode.exchange_j_per_token_per_m",
    "batch_efficiency_exponent": "decode.batch_efficiency_exponent",
    "batch_efficiency_knee": "decode.batch_efficiency_knee",
    "attention_j_per_gb": "decode.attention_j_per_gb",
    "prefill_j_per_token_per_b": "prefill.j_per_token_per_b",
    "prefill_moe_scale": "prefill.moe_scale",
    "encoder_j_per_k_tokens": "vision.encoder_j_per_k_tokens",
    "encoder_size_exponent": "vision.encoder_size_exponent",
}
"""The factor row of each parameter."""


def energy_form(factors: FactorSet) -> EnergyForm:
    """The form with the central values of its factor rows."""
    return EnergyForm(**{name: factors[row].value for name, row in FORM_ROWS.items()})


def gpus_needed(total_params_b: float, bytes_per_param: float, memory_gb: float, headroom_ratio: float) -> int:
    """GPUs that hold weights and cache: the next power of two."""
    gpus = 1
    while gpus * memory_gb < total_params_b * bytes_per_param * headroom_ratio:
        gpus *= 2
    return gpus
