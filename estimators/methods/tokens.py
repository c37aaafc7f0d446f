"""Method `tokens`: a text or multimodal call weighed by its token counts. It must never see more than counts."""

from config.catalogue import ModelCard
from estimators.assemble import Request, assemble
from estimators.energy import call_variances
from estimators.physics_call import call_energy
from estimators.prepared import Prepared
from estimators.token_energy import TokenEnergy


class TokensMethod:
    """Prefill, decode, attention and vision by tokens; METHODS.md, section on text."""

    id = "tokens"
    version = "2.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for operations that write text."""
        return operation in ("chat", "completions")

    def prepare(self, request: Request) -> Prepared:
        """Coefficients of the request's model at its place."""
        energy = call_energy(request.card, request.factors, request.operating_prior, request.hardware)
        return assemble(self.id, self.version, TokenEnergy(energy, call_variances(request.factors)), request)
