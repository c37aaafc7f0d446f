"""The unknown deployment behind an image or video API as a mixture. It must never draw random numbers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

from config.diffusion import DiffusionFacts
from config.factors import FactorSet
from estimators.diffusion_price import gpu_j_paid_for, within_price
from estimators.hardware import UNKNOWN_HARDWARE, Hardware, names_gpu, precision_id
from estimators.physics_diffusion import DiffusionDeployment, DiffusionForm, Shape, diffusion_form, work_of
from estimators.physics_mixture import GPUS, NORMAL_NODES, at, fleet_shares
from estimators.quantity import Z95, LogVariance, Quantity

GPU_ROWS = "diffusion.gpu_scale."
LAUNCH_ROWS = "diffusion.launch_scale."
PRECISION_ROWS = "diffusion.precision_scale."

Choice = tuple[tuple[float, float], ...]
"""(value, share) of one fact of the deployment; shares sum to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionFleet:
    """Deployments that may serve one model, each with its share, and the doubt that the form and the facts add.

    price_scale: what is left of the modelled energy once the product's price has been heard.
    """

    facts: DiffusionFacts
    form: DiffusionForm
    deployments: tuple[tuple[DiffusionDeployment, float], ...]
    own_doubt: LogVariance
    price_scale: float = 1.0

    def gpu_j_per_output(self, shape: Shape) -> Quantity:
        """GPU joules of one image or clip of this shape, all GPUs together."""
        work = work_of(self.facts, shape)
        logs = [(math.log(self.form.gpu_j(work, deployment)), share) for deployment, share in self.deployments]
        mean = math.fsum(log * share for log, share in logs)
        fleet = math.fsum(share * (log - mean) ** 2 for log, share in logs)
        return Quantity(math.exp(mean) * self.price_scale, self.own_doubt._replace(provider=self.own_doubt.provider + fleet))


def diffusion_gpu_j_per_output(
    facts: DiffusionFacts, shape: Shape, factors: FactorSet, *, operating_prior: str = "typical", hardware: Hardware = UNKNOWN_HARDWARE
) -> Quantity:
    """GPU joules of one image or clip; known facts of the hardware hold, the rest follows the operating prior."""
    return diffusion_fleet(facts, factors, operating_prior, hardware).gpu_j_per_output(shape)


def diffusion_fleet(
    facts: DiffusionFacts, factors: FactorSet, operating_prior: str, hardware: Hardware = UNKNOWN_HARDWARE
) -> DiffusionFleet:
    """The deployments that may serve `facts`."""
    gpus = _gpu_counts(facts, factors, hardware)
    found = []
    generations = _generations(factors, hardware)
    for (gpu, gpu_share), (scale, scale_share), (count, count_share), (batch, batch_share) in product(
        generations, _precisions(factors, hardware), gpus, _batches(factors, operating_prior, hardware)
    ):
        deployment = DiffusionDeployment(
            gpus=count,
            batch=batch,
            gpu_scale=factors[GPU_ROWS + gpu].value,
            launch_scale=factors[LAUNCH_ROWS + gpu].value if LAUNCH_ROWS + gpu in factors else 1.0,
            precision_scale=scale,
        )
        found.append((deployment, gpu_share * scale_share * count_share * batch_share))
    fleet = DiffusionFleet(
        facts=facts,
        form=diffusion_form(factors),
        deployments=tuple(found),
        own_doubt=_own_doubt(facts, factors, sharded_share=math.fsum(share for count, share in gpus if count > 1)),
    )
    return _within_price(fleet, factors)


def _within_price(fleet: DiffusionFleet, factors: FactorSet) -> DiffusionFleet:
    """The fleet of a closed product, lighter and surer by what its price says of an output of the default shape."""
    facts = fleet.facts
    if facts.price is None:
        return fleet
    prior = fleet.gpu_j_per_output(Shape(facts.default_width, facts.default_height, facts.default_frames, facts.steps))
    held = within_price(prior, gpu_j_paid_for(facts.price.usd_per_output, factors))
    model = fleet.own_doubt.model - min(held.variance_removed, _class_variance(facts))
    return replace(fleet, own_doubt=fleet.own_doubt._replace(model=model), price_scale=held.scale)


def _class_variance(facts: DiffusionFacts) -> float:
    return (math.log(facts.doubt_factor) / Z95) ** 2


def _own_doubt(facts: DiffusionFacts, factors: FactorSet, *, sharded_share: float) -> LogVariance:
    """What the form does not know: the stack, this architecture, how a run is split, and how much of the facts is guessed."""
    family = factors["diffusion.sd_video" if facts.task == "video" else "diffusion.sd_images"].value
    sharded = factors["diffusion.sd_sharded_video" if facts.task == "video" else "diffusion.sd_sharded_images"].value
    model = family**2 + factors["diffusion.sd_facts"].value ** 2 + _class_variance(facts)
    if facts.size_basis == "assumed":
        model += factors["diffusion.sd_unknown_architecture"].value ** 2
    return LogVariance(method=factors["diffusion.sd_stack"].value ** 2, provider=sharded_share * sharded**2, model=model)


def _generations(factors: FactorSet, hardware: Hardware) -> tuple[tuple[str, float], ...]:
    known = _known_gpu(hardware.gpu, factors)
    if known is not None:
        return ((known, 1.0),)
    return tuple(fleet_shares(factors, GPUS))


def _known_gpu(name: str | None, factors: FactorSet) -> str | None:
    """The id of the longest accelerator row that the name holds, None when there is none."""
    if name is None:
        return None
    rows = (row.removeprefix(GPU_ROWS) for row in factors if row.startswith(GPU_ROWS))
    return max((gpu for gpu in rows if names_gpu(gpu, name)), key=len, default=None)


def _precisions(factors: FactorSet, hardware: Hardware) -> Choice:
    """Energy of denoising relative to 16 bits."""
    fp8 = factors[PRECISION_ROWS + "fp8"].value
    if hardware.precision is None:
        share = factors["diffusion.fleet_fp8_share"].value
        return ((1.0, 1 - share), (fp8, share))
    known: Mapping[str, float] = {row.removeprefix(PRECISION_ROWS): factors[row].value for row in factors if row.startswith(PRECISION_ROWS)}
    return ((known.get(precision_id(hardware.precision, factors) or "", 1.0), 1.0),)


def _gpu_counts(facts: DiffusionFacts, factors: FactorSet, hardware: Hardware) -> Choice:
    if hardware.gpus:
        return ((float(hardware.gpus), 1.0),)
    share = factors[f"diffusion.fleet_sharded_share.{facts.task}"].value
    span = factors["diffusion.fleet_sharded_gpus"]
    several = (span.low, span.value, span.high)
    return ((1.0, 1 - share), *((count, share / len(several)) for count in several))


def _batches(factors: FactorSet, operating_prior: str, hardware: Hardware) -> Choice:
    if hardware.batch:
        return ((max(hardware.batch, 1.0), 1.0),)
    span = factors[f"diffusion.batch.{operating_prior}"].range
    return tuple((max(at(span, z), 1.0), weight) for z, weight in NORMAL_NODES)
