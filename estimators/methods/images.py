"""Method `images`: pictures weighed by size, steps and count. It must never weigh a model that bills by tokens."""

from functools import partial

from config.catalogue import ModelCard
from estimators.assemble import Request, assemble
from estimators.assuming import AssumingPrepared
from estimators.diffusion_energy import DiffusionEnergy
from estimators.diffusion_facts import facts_of, is_billed_by_tokens
from estimators.energy import call_variances
from estimators.physics_diffusion_fleet import diffusion_fleet
from estimators.prepared import Prepared


class ImagesMethod:
    """Pictures of a diffusion model, edits and variations included; METHODS.md, section on images and video."""

    id = "images"
    version = "1.0.0"

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True where the operation makes pictures and the model is not billed by tokens."""
        return operation == "images" and not is_billed_by_tokens(card)

    def prepare(self, request: Request) -> Prepared:
        """The fleet that may serve the request's model, ready to weigh pictures."""
        match = facts_of(request.card, "image")
        fleet = diffusion_fleet(match.facts, request.factors, request.operating_prior, request.hardware)
        energy = DiffusionEnergy(fleet, call_variances(request.factors), request.factors)
        build = partial(AssumingPrepared, energy.warnings_of)
        return assemble(self.id, self.version, energy, request, warnings=match.warnings, build=build)
