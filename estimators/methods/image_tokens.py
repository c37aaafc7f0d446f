"""Method `image_tokens`: pictures that a language model writes token by token. It must never claim a model that bills by pixels."""

from functools import partial

from config.catalogue import ModelCard
from estimators.assemble import Request, assemble
from estimators.assuming import AssumingPrepared
from estimators.energy import call_variances
from estimators.image_token_counts import TABLE_OF_FAMILY, ImageTokenTable
from estimators.image_token_energy import ImageTokenEnergy
from estimators.physics_call import call_energy
from estimators.prepared import Prepared
from estimators.token_energy import TokenEnergy

ALWAYS_PICTURES = ("images",)
"""Operations of which every call makes a picture."""

MAYBE_PICTURES = ("chat", "completions")


class ImageTokensMethod:
    """The tokens form, and a decoder for each picture; METHODS.md, section on token-billed images."""

    id = "image_tokens"
    version = "1.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True where the card's family writes pictures as tokens."""
        return card.family in TABLE_OF_FAMILY and operation in (*ALWAYS_PICTURES, *MAYBE_PICTURES)

    def prepare(self, request: Request) -> Prepared:
        """Coefficients of the request's model at its place."""
        card, factors = request.card, request.factors
        tokens = TokenEnergy(call_energy(card, factors, request.operating_prior, request.hardware), call_variances(factors))
        table = ImageTokenTable(card.family, factors)
        energy = ImageTokenEnergy(tokens, table, factors, pictures_always=request.operation in ALWAYS_PICTURES)
        return assemble(self.id, self.version, energy, request, build=partial(AssumingPrepared, energy.warnings_of))
