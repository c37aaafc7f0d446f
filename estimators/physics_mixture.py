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
from estimators.model_shape import Shape, shape_of
from estimators.physics import BYTES_PER_GB, Deployment, gpus_needed
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
    choices = _choices(card, factors, operating_prior, hardware)
    spread = card.active_params_b.high > card.active_params_b.low or card.total_params_b.high > card.total_params_b.low
    return Fleet(
        tuple(
            (weight, _deployments(shape_of(card, at(card.total_params_b, z), at(card.active_params_b, z)), factors, choices))
            for z, weight in (NORMAL_NODES if spread else ((0.0, 1.0),))
        )
    )


def at(span: Range, z: float) -> float:
    """The value z standard deviations off the median of a log-normal that may be wider on one side; low is p5, high is p95."""
    end = span.high if z > 0 else span.low
    if span.value <= 0 or end <= 0:
        return span.value
    return span.value * math.exp(abs(z) / Z95 * math.log(end / span.value))


def serving_w(factors: FactorSet, hardware: Hardware = UNKNOWN_HARDWARE) -> Quantity:
    """Mean power of one serving GPU, W: of the known one, else over the GPU generations; its doubt belongs to scope `provider`."""
    return _over_generations("serving_w", factors, hardware)


def embodied_scale(factors: FactorSet, hardware: Hardware = UNKNOWN_HARDWARE) -> Quantity:
    """What making one GPU took over making an H100: of the known one, else over the GPU generations; scope `provider`."""
    return _over_generations("embodied_scale", factors, hardware)


def _over_generations(fact: str, factors: FactorSet, hardware: Hardware) -> Quantity:
    """The log-normal of one fact of the accelerators over those that may serve, each within its own range."""
    known = gpu_id(hardware.gpu, factors)
    logs = [
        (math.log(at(factors[f"gpu.{gpu}.{fact}"].range, z)), share * weight)
        for gpu, share in ([(known, 1.0)] if known else fleet_shares(factors, GPUS))
        for z, weight in NORMAL_NODES
    ]
    mean = math.fsum(log * weight for log, weight in logs)
    return Quantity(math.exp(mean), LogVariance(provider=math.fsum(weight * (log - mean) ** 2 for log, weight in logs)))


class _Stack(NamedTuple):
    """How an older serving software scales the energy of today's."""

    static: float = 1.0
    dynamic: float = 1.0


class _Choices(NamedTuple):
    """What the deployment may be: (value, share) of each fact. `gpus` None: as many as the weights need, times one of `copies`.

    context_tokens: that a request keeps in memory, which bounds the batch; None where the batch is known.
    """

    gpus: int | None
    copies: tuple[tuple[int, float], ...]
    generations: tuple[tuple[str, float], ...]
    precisions: tuple[tuple[str, float], ...]
    batches: tuple[tuple[float, float], ...]
    least_batch: float
    context_tokens: float | None
    attention_parallel: float
    stack: _Stack


def _choices(card: ModelCard, factors: FactorSet, operating_prior: str, hardware: Hardware) -> _Choices:
    generation, precision = gpu_id(hardware.gpu, factors), precision_id(hardware.precision, factors)
    batch = factors[f"batch.{operating_prior}"].range
    double = factors["fleet.double_gpus_share"].value
    context = factors["fleet.context_tokens_reasoning" if card.reasoning else "fleet.context_tokens"].value
    parallel = hardware.attention_data_parallel
    return _Choices(
        gpus=hardware.gpus,
        copies=((1, 1.0),) if hardware.gpus else ((1, 1 - double), (2, double)),
        generations=((generation, 1.0),) if generation else tuple(fleet_shares(factors, GPUS)),
        precisions=((precision, 1.0),) if precision else _precisions(card, factors),
        batches=((max(hardware.batch, 1.0), 1.0),) if hardware.batch else tuple((_within(batch, at(batch, z)), w) for z, w in NORMAL_NODES),
        least_batch=max(batch.low, 1.0),
        context_tokens=None if hardware.batch else context,
        attention_parallel=1.0 if parallel is not None and parallel > 1 else 0.0,
        stack=_stack(hardware.stack, factors),
    )


def _within(span: Range, value: float) -> float:
    """The value, no further out than the ends of the span: a service is run between them; at least one request."""
    return max(min(max(value, span.low), span.high), 1.0)


def _stack(name: str | None, factors: FactorSet) -> _Stack:
    if name is None:
        return _Stack()
    return _Stack(factors[f"stack.{name}.static_scale"].value, factors[f"stack.{name}.dynamic_scale"].value)


def _precisions(card: ModelCard, factors: FactorSet) -> tuple[tuple[str, float], ...]:
    """The precision in which a model was published, with the share of those who serve it so; else the fleet's."""
    native = precision_id(card.architecture.native_precision, factors) if card.architecture else None
    fleet_wide = fleet_shares(factors, PRECISIONS)
    if native is None:
        return tuple(fleet_wide)
    as_published = factors["fleet.native_precision_share"].value
    return ((native, as_published), *((name, share * (1 - as_published)) for name, share in fleet_wide))


def _deployments(shape: Shape, factors: FactorSet, choices: _Choices) -> tuple[Weighted, ...]:
    headroom = factors["fleet.memory_headroom_ratio"].value
    found = []
    for (gpu, gpu_share), (precision, precision_share), (copies, copies_share) in product(
        choices.generations, choices.precisions, choices.copies
    ):
        memory_gb = factors[f"gpu.{gpu}.memory_gb"].value
        width = factors[f"precision.{precision}.bytes_per_param"].value
        gpus = choices.gpus or copies * gpus_needed(shape.total_params_b, width, memory_gb, headroom)
        most = _most_requests(shape, gpus * memory_gb - shape.total_params_b * width, choices)
        for batch, batch_share in choices.batches:
            deployment = Deployment(
                shape=shape,
                gpus=gpus,
                batch=min(batch, most),
                bytes_per_param=width,
                static_scale=factors[f"gpu.{gpu}.static_scale"].value * choices.stack.static,
                dynamic_scale=factors[f"gpu.{gpu}.dynamic_scale"].value * choices.stack.dynamic,
                attention_scale=factors[f"gpu.{gpu}.attention_scale"].value * choices.stack.dynamic,
                step_scale=factors[f"precision.{precision}.step_scale"].value,
                stream_scale=factors[f"precision.{precision}.stream_scale"].value,
                matmul_scale=factors[f"precision.{precision}.matmul_scale"].value,
                attention_parallel=choices.attention_parallel,
            )
            found.append(Weighted(deployment, gpu_share * precision_share * copies_share * batch_share))
    return tuple(found)


def _most_requests(shape: Shape, free_gb: float, choices: _Choices) -> float:
    """Requests whose keys and values fit beside the weights; never below the least batch of the prior. No limit without a cache."""
    if choices.context_tokens is None or shape.kv_bytes_per_token <= 0:
        return math.inf
    return max(free_gb * BYTES_PER_GB / (shape.kv_bytes_per_token * choices.context_tokens), choices.least_batch)


def fleet_shares(factors: FactorSet, names: Sequence[str]) -> list[tuple[str, float]]:
    """The factor rows `fleet.<name>_share` of generations or precisions, made to sum to 1."""
    shares = [factors[f"fleet.{name}_share"].value for name in names]
    whole = math.fsum(shares)
    return [(name, share / whole) for name, share in zip(names, shares, strict=True)]
