"""Method `study`: a reconstruction of assumptions behind the study of May 2025. It must never report, nor pass for its authors' method."""

from dataclasses import dataclass, replace

from config.catalogue import ModelCard
from config.factors import FactorSet
from config.places import Place
from config.ranges import Range
from estimators.assemble import Request, assemble
from estimators.energy import call_variances
from estimators.hardware import Hardware
from estimators.physics_call import call_energy
from estimators.physics_lines import WH_PER_J
from estimators.prepared import Prepared
from estimators.quantity import Quantity
from estimators.token_energy import TokenEnergy
from estimators.usage import Usage

RECONSTRUCTED = "study-reconstruction"
"""Warning on every estimate of this method."""

MOST_TOKENS = 10_000_000
"""Longest answer that is searched for; no assumption set of use needs more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """One set of assumptions; its numbers are the factor rows `study.<id>.*`, all taken as given inside the set."""

    id: str
    gpu: str
    precision: str


FAMILY = (
    Assumptions(id="gpt4_2023", gpu="h100", precision="fp8"),
    Assumptions(id="gpt4_2023_a100", gpu="a100", precision="bf16"),
    Assumptions(id="frontier", gpu="h100", precision="fp8"),
    Assumptions(id="gpt4o_class", gpu="h100", precision="bf16"),
    Assumptions(id="gpt4o_class_fp8", gpu="h100", precision="fp8"),
)
"""From the model that was on everybody's mind in 2023 to a lighter one that had to write far more; the first is the preset."""


class StudyMethod:
    """Any text call weighed as if the first assumption set of the family had served it; METHODS.md, section on the study."""

    id = "study"
    version = "1.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for operations that write text; the method is reached by name only."""
        return operation in ("chat", "completions")

    def prepare(self, request: Request) -> Prepared:
        """Coefficients of the assumed model on the assumed hardware, at the request's place."""
        return _prepared(FAMILY[0], request)


class Reconstruction:
    """One assumption set at one place: what it makes a call weigh, training share included."""

    def __init__(self, assumptions: Assumptions, place: Place, factors: FactorSet) -> None:
        self.assumptions = assumptions
        self.card = assumed_card(assumptions, factors)
        self.hardware = assumed_hardware(assumptions, factors)
        self.prepared, self._serving = (
            _prepared(
                assumptions,
                Request(card=self.card, place=place, factors=factors, operation="chat", operating_prior="typical", profile=profile),
            )
            for profile in ("study", "sci-consumer")
        )

    def inference_gco2e(self, usage: Usage) -> Quantity:
        """gCO2e of one call: operational and embodied, without training."""
        return self._serving.estimate(usage).gco2e

    def gco2e(self, usage: Usage) -> Quantity:
        """gCO2e of one call in the profile `study`: operational, embodied and the training share."""
        return self.prepared.estimate(usage).gco2e

    def gpu_j_per_output_token(self) -> float:
        """Expected GPU joules per output token at short context, all GPUs together."""
        return self.prepared.gpu_energy_j(Usage(output_tokens=1)).mean - self.prepared.gpu_energy_j(Usage()).mean

    def gpu_wh_for(self, gco2e: float) -> float:
        """GPU energy, Wh, whose expected weight is `gco2e` grams, training share included."""
        return gco2e / self.prepared.lines.gco2e.mean * WH_PER_J

    def output_tokens_for(self, gco2e: float, input_tokens: int) -> int:
        """Length of the answer, in tokens, whose expected weight is nearest to `gco2e` grams.

        Raises ValueError when the prompt alone weighs more, or no answer up to MOST_TOKENS weighs that much.
        """
        low, high = 0, MOST_TOKENS
        if not self._mean(low, input_tokens) < gco2e < self._mean(high, input_tokens):
            raise ValueError(f"no answer of 1 to {MOST_TOKENS} tokens weighs {gco2e:g} g under {self.assumptions.id}")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._mean(middle, input_tokens) < gco2e else (low, middle)
        return min((low, high), key=lambda tokens: abs(self._mean(tokens, input_tokens) - gco2e))

    def _mean(self, output_tokens: int, input_tokens: int) -> float:
        return self.gco2e(Usage(input_tokens=input_tokens, output_tokens=output_tokens)).mean


def assumed_card(assumptions: Assumptions, factors: FactorSet) -> ModelCard:
    """The assumed model; its sizes are exact inside the set."""
    rows = f"study.{assumptions.id}"
    source = factors[f"{rows}.active_params_b"]
    return ModelCard(
        id=f"study:{assumptions.id}",
        vendor="unknown",
        family="study",
        total_params_b=Range.exact(factors[f"{rows}.total_params_b"].value),
        active_params_b=Range.exact(source.value),
        size_basis="inferred",
        tier="D",
        operations=frozenset({"chat", "completions"}),
        open_weights=False,
        reasoning=False,
        vision=False,
        context_tokens=None,
        released="",
        source=source.source,
        url=source.url,
        as_of=source.as_of,
        note="an assumption of a reconstruction, not a model of the catalogue",
    )


def assumed_hardware(assumptions: Assumptions, factors: FactorSet) -> Hardware:
    """The assumed deployment."""
    rows = f"study.{assumptions.id}"
    return Hardware(
        gpu=assumptions.gpu,
        gpus=int(factors[f"{rows}.gpus"].value),
        precision=assumptions.precision,
        batch=factors[f"{rows}.batch"].value,
    )


def _prepared(assumptions: Assumptions, request: Request) -> Prepared:
    factors = request.factors
    assumed = replace(
        request,
        card=assumed_card(assumptions, factors),
        hardware=assumed_hardware(assumptions, factors),
    )
    energy = call_energy(assumed.card, factors, assumed.operating_prior, assumed.hardware)
    return assemble(StudyMethod.id, StudyMethod.version, TokenEnergy(energy, call_variances(factors)), assumed, warnings=(RECONSTRUCTED,))
