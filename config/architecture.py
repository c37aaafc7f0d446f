"""How a language model is built: layers, width, cache, experts. It must never pass the rule of thumb off as a published fact."""

from dataclasses import dataclass
from typing import Literal

Mixer = Literal["attention", "hybrid", "linear"]
"""attention: every layer attends; hybrid: most layers keep a state of fixed size, a few attend; linear: none attends."""
NativePrecision = Literal["bf16", "fp8", "mxfp4", "int4"]

RULE_SOURCE = "rule of thumb of this project, fitted on its table of published architectures"
LAYERS_PER_CUBE_ROOT_B = 19.5
"""Layers over the cube root of the active parameters in billions."""
HIDDEN_PER_LAYER = 96.0
"""Width over the number of layers."""
KV_BYTES_PER_LAYER_DENSE = 3000.0
KV_BYTES_PER_LAYER_EXPERTS = 1000.0
"""Bytes of cache per token and layer at 16 bits; models with experts mostly have compressed or few attention layers."""
SHARED_OVER_ACTIVE = 0.5
"""Parameters outside the routed experts over the active ones."""
EXPERTS_PER_TOKEN = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """What the physics of a call needs beyond the parameter counts.

    layers: as the vendor counts them (Nemotron counts each half block). hidden_size: width of the residual stream.
    kv_bytes_per_token: key-value cache of one token of context over all layers at 16 bits; layers with a short window or a state of
    fixed size hold nothing that grows, and count as 0. experts, experts_per_token: routed experts of one layer and how many a token
    takes; 1 and 1 when dense. shared_b: parameters outside the routed experts (10^9), None when not stated.
    native_precision: of the published main checkpoint, None when unknown. image_tokens: of an ordinary picture, None when not fixed.
    """

    id: str
    layers: int
    hidden_size: int
    kv_bytes_per_token: float
    experts: int
    experts_per_token: int
    shared_b: float | None
    mixer: Mixer
    native_precision: NativePrecision | None
    image_tokens: int | None
    source: str
    url: str
    as_of: str

    def shared_params_b(self, total_b: float, active_b: float) -> float:
        """Parameters outside the routed experts (10^9): all of a dense model; where not stated, what total, active and top-k imply."""
        if self.shared_b is not None:
            return self.shared_b
        taken = self.experts_per_token / self.experts
        return total_b if taken >= 1 else max(0.0, (active_b - total_b * taken) / (1 - taken))


def typical(total_b: float, active_b: float) -> Architecture:
    """The usual build of a model of this size (10^9 parameters), for models that publish none; dense when all parameters are active.

    Raises ValueError unless 0 < active_b <= total_b.
    """
    if not 0 < active_b <= total_b:
        raise ValueError(f"active parameters must be above 0 and at most the total, got {active_b} of {total_b}")
    layers = LAYERS_PER_CUBE_ROOT_B * active_b ** (1 / 3)
    shared_b = SHARED_OVER_ACTIVE * active_b
    experts = round(EXPERTS_PER_TOKEN * (total_b - shared_b) / (active_b - shared_b))
    dense = experts <= EXPERTS_PER_TOKEN
    return Architecture(
        id="typical",
        layers=max(1, round(layers)),
        hidden_size=max(1, round(HIDDEN_PER_LAYER * layers)),
        kv_bytes_per_token=layers * (KV_BYTES_PER_LAYER_DENSE if dense else KV_BYTES_PER_LAYER_EXPERTS),
        experts=1 if dense else experts,
        experts_per_token=1 if dense else EXPERTS_PER_TOKEN,
        shared_b=None if dense else shared_b,
        mixer="attention",
        native_precision=None,
        image_tokens=None,
        source=RULE_SOURCE,
        url="",
        as_of="",
    )
