"""Method `embeddings`: a call that only reads, weighed by its input tokens. It must never charge for output."""

from dataclasses import replace

from config.catalogue import ModelCard
from estimators.assemble import Request, assemble
from estimators.energy import call_variances
from estimators.physics_call import call_energy
from estimators.prepared import Prepared
from estimators.quantity import Quantity
from estimators.token_energy import TokenEnergy


class EmbeddingsMethod:
    """Prefill only; METHODS.md, section 4."""

    id = "embeddings"
    version = "1.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for embeddings."""
        return operation == "embeddings"

    def prepare(self, request: Request) -> Prepared:
        """Coefficients of the request's model at its place, decode and attention over output left out."""
        energy = call_energy(request.card, request.factors, request.operating_prior, request.hardware)
        reading = replace(energy, decode=Quantity(0.0, energy.decode.variance), attention_mean_j=0.0)
        return assemble(self.id, self.version, TokenEnergy(reading, call_variances(request.factors)), request)
