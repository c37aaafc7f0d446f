"""Method `disclosed`: the reviewed footprint of exactly this model version. It must never weigh a version that it does not name."""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

from config.catalogue import ModelCard
from config.disclosures import Disclosure
from config.factors import FactorSet
from estimators.assemble import Request, assemble
from estimators.energy import Energy, call_variances
from estimators.estimate import Estimate, QualityParts
from estimators.physics_call import call_energy
from estimators.physics_lines import Lines
from estimators.prepared import Labels, Meters, Prepared
from estimators.profiles import PROFILES
from estimators.quantity import LogVariance, Quantity, add, around, scale
from estimators.token_energy import TokenEnergy
from estimators.usage import Usage

WARNINGS = ("energy-modelled", "split-modelled", "place-of-the-disclosure")
OF_ANOTHER_PROVIDER = "disclosed-by-another-provider"
LONG_PROMPT = "prompt-beyond-disclosure"
NOTHING_DISCLOSED = "nothing-disclosed"
NO_ANSWER = "disclosure-needs-an-answer"


class PerToken(NamedTuple):
    """What the disclosure says per output token, with what it leaves open: its own doubt, and the prompt tokens that it holds."""

    gco2e: float
    water_ml: float | None
    adpe_kgsbeq: float | None
    variance: float
    prompt_tokens: float


class DisclosedMethod:
    """gCO2e, water and minerals per output token as disclosed; energy by tokens; METHODS.md, section `disclosed`."""

    id = "disclosed"
    version = "1.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for text of a model whose very version has a disclosure."""
        return card.disclosure is not None and operation in ("chat", "completions")

    def prepare(self, request: Request) -> Prepared:
        """The disclosure, and the tokens' coefficients for what it does not say; one without is weighed by tokens, and says so."""
        card, factors = request.card, request.factors
        energy = TokenEnergy(call_energy(card, factors, request.operating_prior, request.hardware), call_variances(factors))
        if card.disclosure is None:
            return assemble(self.id, self.version, energy, request, warnings=(NOTHING_DISCLOSED,))
        elsewhere = (OF_ANOTHER_PROVIDER,) if request.place.provider != card.vendor else ()
        return assemble(
            self.id,
            self.version,
            energy,
            request,
            warnings=(*WARNINGS, *elsewhere),
            build=partial(DisclosedPrepared, _per_token(card.disclosure, factors)),
        )


class DisclosedPrepared(Prepared):
    """Weighs energy by tokens, and replaces what the disclosure states."""

    __slots__ = ("_per_token", "_profile")

    def __init__(self, per_token: PerToken, energy: Energy, lines: Lines, labels: Labels, meters: Meters | None) -> None:
        super().__init__(energy, lines, labels, meters=meters)
        self._per_token = per_token
        self._profile = PROFILES[labels.profile]
        gco2e = around(per_token.gco2e, LogVariance(model=per_token.variance)).p50
        self.coefficients = self.coefficients._replace(gco2e=self.coefficients.gco2e._replace(output_token=gco2e))

    def estimate(self, usage: Usage, possible_output_tokens: int | None = None, network_bytes: int | None = None) -> Estimate:
        """The disclosed figure for the answer; a prompt longer than the disclosure holds, and energy, by the model."""
        base = super().estimate(usage, possible_output_tokens, network_bytes)
        if base.method != DisclosedMethod.id:
            return base
        if not usage.output_tokens:
            return base._replace(warnings=(*base.warnings, NO_ANSWER))
        tokens = float(usage.output_tokens)
        if possible_output_tokens is not None and possible_output_tokens > tokens:
            tokens *= base.facility_energy_wh.mean / super().estimate(usage).facility_energy_wh.mean
        return self._disclosed(base, tokens, self._prompt_share(usage))

    def _prompt_share(self, usage: Usage) -> float:
        """Share of the modelled energy that is prompt beyond what the disclosure holds, 0..1."""
        beyond = usage.input_tokens - self._per_token.prompt_tokens * usage.output_tokens
        if beyond <= 0:
            return 0.0
        prompt = replace(usage, output_tokens=0, reasoning_output_tokens=0, audio_output_tokens=0, image_output_tokens=0)
        return self.gpu_energy_j(prompt).mean / self.gpu_energy_j(usage).mean * beyond / usage.input_tokens

    def _disclosed(self, base: Estimate, tokens: float, prompt_share: float) -> Estimate:
        """`base` with the disclosed lines for `tokens` of output, and `prompt_share` of its own."""
        said = self._per_token
        doubt = LogVariance(model=said.variance, call=base.gco2e.variance.call)
        whole = base.operational_gco2e.mean + base.embodied_gco2e.mean
        serving = disclosed = around(said.gco2e * tokens, doubt)
        if prompt_share:
            serving = add(disclosed, scale(add(base.operational_gco2e, base.embodied_gco2e), prompt_share))
        mostly_disclosed = disclosed.mean >= whole * prompt_share
        parts = QualityParts(usage=base.quality_parts.usage, model="A", hardware="A", zone="A")
        of_usage = doubt.call > doubt.model
        return base._replace(
            operational_gco2e=scale(serving, base.operational_gco2e.mean / whole),
            embodied_gco2e=scale(serving, base.embodied_gco2e.mean / whole),
            gco2e=self._total(serving, base),
            water_ml=_stated(said.water_ml, tokens, doubt, base.water_ml, prompt_share),
            adpe_kgsbeq=_stated(said.adpe_kgsbeq, tokens, doubt, base.adpe_kgsbeq, prompt_share),
            quality_parts=parts if mostly_disclosed else base.quality_parts,
            quality=(parts.usage if of_usage else "A") if mostly_disclosed else base.quality,
            warnings=(*base.warnings, LONG_PROMPT) if prompt_share else base.warnings,
        )

    def _total(self, serving: Quantity, base: Estimate) -> Quantity:
        """Sum of the profile's lines."""
        total = serving
        if self._profile.has_training and base.training_gco2e is not None:
            total = add(total, base.training_gco2e)
        if self._profile.has_network and base.network_gco2e is not None:
            total = add(total, base.network_gco2e)
        return total


def _stated(per_token: float | None, tokens: float, doubt: LogVariance, modelled: Quantity, prompt_share: float) -> Quantity:
    """A line as disclosed, with the prompt's share of the modelled one; the modelled one where nothing is disclosed."""
    if per_token is None:
        return modelled
    disclosed = around(per_token * tokens, doubt)
    return add(disclosed, scale(modelled, prompt_share)) if prompt_share else disclosed


def _per_token(disclosure: Disclosure, factors: FactorSet) -> PerToken:
    unit = disclosure.unit_output_tokens
    return PerToken(
        gco2e=disclosure.gco2e / unit,
        water_ml=None if disclosure.water_ml is None else disclosure.water_ml / unit,
        adpe_kgsbeq=None if disclosure.adpe_kgsbeq is None else disclosure.adpe_kgsbeq / unit,
        variance=factors["disclosed.sd"].value ** 2,
        prompt_tokens=factors["disclosed.prompt_tokens_per_output_token"].value,
    )
