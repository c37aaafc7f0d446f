"""Method `moderation`: a call that only judges what it reads. It must never weigh nothing, even where no token is counted."""

from config.catalogue import ModelCard
from estimators.assemble import Request, assemble
from estimators.energy import call_variances
from estimators.physics_call import call_energy
from estimators.prepared import Prepared
from estimators.reading_energy import ReadingEnergy


class ModerationMethod:
    """Prefill and one pass of a classifier; METHODS.md, section on embeddings and moderation."""

    id = "moderation"
    version = "1.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for moderation; a guard model that answers in a chat is weighed by its tokens."""
        return operation == "moderation"

    def prepare(self, request: Request) -> Prepared:
        """Coefficients of the request's model at its place, for texts and pictures read."""
        energy = call_energy(request.card, request.factors, request.operating_prior, request.hardware)
        return assemble(self.id, self.version, ReadingEnergy(energy, call_variances(request.factors)), request)
