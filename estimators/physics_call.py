"""GPU energy of a call to a model behind an unknown deployment, per token. It must never depend on where the call runs."""

from dataclasses import dataclass

from config.catalogue import ModelCard
from config.factors import FactorSet
from estimators.hardware import UNKNOWN_HARDWARE, Hardware, gpu_id
from estimators.image_billing import AS_COMPUTED, Billing, billing_of
from estimators.physics import energy_form
from estimators.physics_mixture import fleet
from estimators.quantity import LogVariance, Quantity, around, multiply


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnergy:
    """What a method knows of a model's GPU energy, in joules; doubts in scopes method, provider and model.

    steady_doubt is common to all that does not depend on the batch: prefill, attention and the per-call constant.
    image_token: the vision encoder's part of one token of a picture; the reading of it is prefill. billing: what a provider that counts
    more of those tokens than it computes is to be divided by.
    """

    prefill_mean_j: float
    cached_token_ratio: float
    context_doubling_tokens: float
    attention_mean_j: float
    call_mean_j: float
    steady_doubt: LogVariance
    decode: Quantity
    image_token: Quantity
    tokens_per_image: float
    billing: Billing = AS_COMPUTED


def call_energy(card: ModelCard, factors: FactorSet, operating_prior: str, hardware: Hardware = UNKNOWN_HARDWARE) -> CallEnergy:
    """The coefficients of `card` over the fleet of deployments that may serve it under the operating prior and the known hardware."""
    form = energy_form(factors)
    mixture = fleet(card, factors, operating_prior, hardware)
    own = _form_doubt(card, factors, hardware)
    decode = _widened(mixture.quantity(form.decode_gpu_j_per_token), own)
    prefill_form = around(1.0, LogVariance(method=factors["prefill.sd_form"].value ** 2))
    prefill = multiply(_widened(mixture.quantity(form.prefill_gpu_j_per_token), own), prefill_form)
    attention = mixture.quantity(form.attention_gpu_j_per_token_per_context_token)
    known_image_tokens = card.architecture.image_tokens if card.architecture else None
    return CallEnergy(
        prefill_mean_j=prefill.mean,
        cached_token_ratio=factors["prefill.cached_token_ratio"].value,
        context_doubling_tokens=factors["prefill.context_doubling_tokens"].value,
        attention_mean_j=_widened(attention, own).mean,
        call_mean_j=factors["frontend.cpu_s_per_call"].value * factors["frontend.w_per_core"].value,
        steady_doubt=prefill.variance,
        decode=decode,
        image_token=_widened(mixture.quantity(form.encoder_gpu_j_per_token), own),
        tokens_per_image=known_image_tokens or factors["vision.tokens_per_image"].value,
        billing=billing_of(card, factors),
    )


def _form_doubt(card: ModelCard, factors: FactorSet, hardware: Hardware) -> LogVariance:
    """What the form itself does not know: the software stack (shared by all models), and how this architecture departs from it."""
    model = factors["form.sd_moe" if card.is_moe else "form.sd_dense"].value ** 2
    if card.architecture is None:
        model += factors["form.sd_unknown_architecture"].value ** 2
    if card.size_basis == "class":
        model += factors["form.sd_unknown_model"].value ** 2
    gpu = gpu_id(hardware.gpu, factors)
    provider = factors[f"gpu.{gpu}.sd"].value ** 2 if gpu else 0.0
    return LogVariance(method=factors["form.sd_stack"].value ** 2, provider=provider, model=model)


def _widened(q: Quantity, doubt: LogVariance) -> Quantity:
    """q with further independent doubt, median unchanged."""
    return Quantity(q.p50, LogVariance(*(x + y for x, y in zip(q.variance, doubt, strict=True))))
