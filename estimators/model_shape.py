"""The inner measures of a model that its energy depends on. It must never take a rule of thumb for a published fact."""

from dataclasses import dataclass

from config.architecture import typical
from config.catalogue import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes in billions of parameters; moe and hybrid are 1 or 0; routed_share is the share of its experts that one token uses.

    total = shared + expert parameters; kv_bytes_per_token: keys and values of one token of context over all layers, 16-bit.
    """

    active_params_b: float
    shared_params_b: float
    expert_params_b: float
    routed_share: float
    experts_per_token: float
    layers: float
    hidden_size: float
    kv_bytes_per_token: float
    moe: float
    hybrid: float

    @property
    def total_params_b(self) -> float:
        """All parameters held in memory, billions."""
        return self.shared_params_b + self.expert_params_b


def shape_of(card: ModelCard, total_params_b: float, active_params_b: float) -> Shape:
    """The card's shape at one assumption on its sizes; what is not published follows the rule of thumb for such sizes."""
    active = min(active_params_b, total_params_b)
    facts = card.architecture or typical(total_params_b, active)
    moe = facts.experts > 1
    shared = min(facts.shared_params_b(total_params_b, active), total_params_b) if moe else total_params_b
    return Shape(
        active_params_b=active,
        shared_params_b=shared,
        expert_params_b=total_params_b - shared,
        routed_share=facts.experts_per_token / facts.experts if moe else 0.0,
        experts_per_token=float(facts.experts_per_token) if moe else 0.0,
        layers=float(facts.layers),
        hidden_size=float(facts.hidden_size),
        kv_bytes_per_token=facts.kv_bytes_per_token,
        moe=1.0 if moe else 0.0,
        hybrid=0.0 if facts.mixer == "attention" else 1.0,
    )
