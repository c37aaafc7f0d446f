"""The unknown deployment behind an API as a mixture over sizes, batch, GPU and precision. It must never draw random numbers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

from config.catalogue import ModelCard
from config.factors import FactorSet
from config.ranges import Range
from estimators.hardware import UNKNOWN_HARDWARE, Hardware, gpu_id, precision_id
from estimators.physics import Deployment, gpus_needed
from estimators.quantity import Z95, LogVariance, Quantity

GPUS = ("h100", "b200", "a100")
PRECISIONS = ("bf16", "fp8", "int4")

_NEAR, _FAR = math.sqrt(5 - math.sqrt(10)), math.sqrt(5 + math.sqrt(10))
_NEAR_WEIGHT, _FAR_WEIGHT = (7 + 2 * math.sqrt(10)) / 60, (7 - 2 * math.sqrt(10)) / 60
NORMAL_NODES = ((-_FAR, _FAR_WEIGHT), (-_NEAR, _NEAR_WEIGHT), (0.0, 8 / 15), (_NEAR, _NEAR_WEIGHT), (_FAR, _FAR_WEIGHT))
"""Five-point Gauss-Hermite rule for the standard normal: (node, weight); a definition."""


class Weighted(NamedTuple):
    """One deployment and its share of the fleet, within one assumption on the model's size."""

    deployment: Deployment
    share: float


@dataclass(frozen=True, slots=True)
class Fleet:
    """Deployments by assumed model size: (weight of the size, its deployments), both weights summing to 1."""

    by_size: tuple[tuple[float, tuple[Weighted, ...]], ...]

    def quantity(self, gpu_j: Callable[[Deployment], float]) -> Quantity:
        """Log-normal of `gpu_j` over the fleet: size doubt in scope `model`, all the rest of the deployment in scope `provider`."""
        size_means, size_moments = [], []
        for _, deployments in self.by_size:
            logs = [(math.log(gpu_j(d)), share) for d, share in deployments]
            mean = math.fsum(log * share for log, share in logs)
            size_means.append(mean)
            size_moments.append(math.fsum(share * (log - mean) ** 2 for log, share in logs))
        weights = [weight for weight, _ in self.by_size]
        mean = math.fsum(w * m for w, m in zip(weights, size_means, strict=True))
        model = math.fsum(w * (m - mean) ** 2 for w, m in zip(weights, size_means, strict=True))
        provider = math.fsum(w * v for w, v in zip(weights, size_moments, strict=True))
        return Quantity(math.exp(mean), LogVariance(model=model, provider=provider))


def fleet(card: ModelCard, factors: FactorSet, operating_prior: str, hardware: Hardware = UNKNOWN_HARDWARE) -> Fleet:
    """The deployments that may serve `card`: known facts of the hardware hold, the rest follows the operating prior.

    Total and active size go up and down together.
    """
    choices = _choices(factors, operating_prior, hardware)
    spread = card.active_params_b.high > card.active_params_b.low or card.total_params_b.high > card.total_params_b.low
    return Fleet(
        tuple(
            (weight, _deployments(_Sizes(at(card.total_params_b, z), at(card.active_params_b, z), card.is_moe), factors, choices))
            for z, weight in (NORMAL_NODES if spread else ((0.0, 1.0),))
        )
    )


def at(span: Range, z: float) -> float:
    """The value z standard deviations off the median of a log-normal that may be wider on one side; low is p5, high is p95."""
    end = span.high if z > 0 else span.low
    if span.value <= 0 or end <= 0:
        return span.value
    return span.value * math.exp(abs(z) / Z95 * math.log(end / span.value))


def serving_w(factors: FactorSet) -> Quantity:
    """Mean power of one serving GPU, W, over the GPU generations; its doubt belongs to scope `provider`."""
    logs = [
        (math.log(at(factors[f"gpu.{gpu}.serving_w"].range, z)), share * weight)
        for gpu, share in _shares(factors, GPUS)
        for z, weight in NORMAL_NODES
    ]
    mean = math.fsum(log * weight for log, weight in logs)
    return Quantity(math.exp(mean), LogVariance(provider=math.fsum(weight * (log - mean) ** 2 for log, weight in logs)))


class _Sizes(NamedTuple):
    """One assumption on a model's size, billions of parameters."""

    total_b: float
    active_b: float
    is_moe: bool


class _Choices(NamedTuple):
    """What the deployment may be: (value, share) of each fact; `gpus` None means as many as the weights need."""

    gpus: int | None
    generations: tuple[tuple[str, float], ...]
    precisions: tuple[tuple[str, float], ...]
    batches: tuple[tuple[float, float], ...]


def _choices(factors: FactorSet, operating_prior: str, hardware: Hardware) -> _Choices:
    generation, precision = gpu_id(hardware.gpu, factors), precision_id(hardware.precision, factors)
    batch = factors[f"batch.{operating_prior}"].range
    return _Choices(
        gpus=hardware.gpus,
        generations=((generation, 1.0),) if generation else tuple(_shares(factors, GPUS)),
        precisions=((precision, 1.0),) if precision else tuple(_shares(factors, PRECISIONS)),
        batches=((max(hardware.batch, 1.0), 1.0),) if hardware.batch else tuple((max(at(batch, z), 1.0), w) for z, w in NORMAL_NODES),
    )


def _deployments(sizes: _Sizes, factors: FactorSet, choices: _Choices) -> tuple[Weighted, ...]:
    headroom = factors["fleet.memory_headroom_ratio"].value
    active_b = min(sizes.active_b, sizes.total_b)
    found = []
    for (gpu, gpu_share), (precision, precision_share) in product(choices.generations, choices.precisions):
        static, dynamic = factors[f"gpu.{gpu}.static_scale"].value, factors[f"gpu.{gpu}.dynamic_scale"].value
        width = factors[f"precision.{precision}.bytes_per_param"].value
        gpus = choices.gpus or gpus_needed(sizes.total_b, width, factors[f"gpu.{gpu}.memory_gb"].value, headroom)
        for batch, batch_share in choices.batches:
            deployment = Deployment(
                total_params_b=sizes.total_b,
                active_params_b=active_b,
                is_moe=sizes.is_moe,
                bytes_per_param=width,
                gpus=gpus,
                static_scale=static,
                dynamic_scale=dynamic,
                batch=batch,
            )
            found.append(Weighted(deployment, gpu_share * precision_share * batch_share))
    return tuple(found)


def _shares(factors: FactorSet, names: Sequence[str]) -> list[tuple[str, float]]:
    """The factor rows `fleet.<name>_share`, made to sum to 1."""
    shares = [factors[f"fleet.{name}_share"].value for name in names]
    whole = math.fsum(shares)
    return [(name, share / whole) for name, share in zip(names, shares, strict=True)]
