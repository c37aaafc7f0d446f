"""Method `audio`: speech made from text, text made from speech. It must never claim more than an inferred model's tier."""

from dataclasses import replace
from functools import partial

from config.catalogue import ModelCard
from estimators.assemble import Request, assemble
from estimators.assuming import AssumingPrepared
from estimators.audio_energy import AudioEnergy, encoder_j_per_s
from estimators.audio_length import audio_rates, listens
from estimators.energy import call_variances
from estimators.physics_call import call_energy
from estimators.prepared import Prepared
from estimators.token_energy import TokenEnergy

AUDIO = "audio"
LISTENING = ("transcription", "translation")
SPEAKING = ("speech",)
OPERATIONS = (AUDIO, *LISTENING, *SPEAKING)


class AudioMethod:
    """Encoder, tokens and codec; METHODS.md, section on audio."""

    id = "audio"
    version = "1.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for speech and transcription; audio inside a chat is weighed by its tokens."""
        return operation in OPERATIONS

    def prepare(self, request: Request) -> Prepared:
        """Coefficients of the request's model at its place; no speech model is measured on servers, so the tier is D at best."""
        card, factors = request.card, request.factors
        energy = call_energy(card, factors, request.operating_prior, request.hardware)
        audio = AudioEnergy(
            TokenEnergy(energy, call_variances(factors)),
            encoder_j_per_s(card, energy, factors),
            audio_rates(factors),
            factors,
            listens=request.operation in LISTENING or (request.operation == AUDIO and listens(card)),
        )
        return assemble(self.id, self.version, audio, _labelled(request), build=partial(AssumingPrepared, audio.warnings_of))


def _labelled(request: Request) -> Request:
    """The request under the catalogue's word for its operation, its model not better known than tier D."""
    card = request.card
    return replace(request, operation=AUDIO, card=card if card.tier == "E" else replace(card, tier="D"))
