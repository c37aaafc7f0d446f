"""Method `embeddings`: a call that only reads, weighed by its input tokens. It must never charge for output."""

from config.catalogue import ModelCard
from estimators.assemble import Request, assemble
from estimators.energy import call_variances
from estimators.physics_call import call_energy
from estimators.prepared import Prepared
from estimators.reading_energy import ReadingEnergy


class EmbeddingsMethod:
    """Prefill and one pass; METHODS.md, section on embeddings and moderation."""

    id = "embeddings"
    version = "2.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for embeddings."""
        return operation == "embeddings"

    def prepare(self, request: Request) -> Prepared:
        """Coefficients of the request's model at its place, for texts and pictures read."""
        energy = call_energy(request.card, request.factors, request.operating_prior, request.hardware)
        return assemble(self.id, self.version, ReadingEnergy(energy, call_variances(request.factors)), request)
