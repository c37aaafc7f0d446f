"""Puts a method's energy, a place's factors and the labels together. It must never let an unknown pass without a warning."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from config.catalogue import ModelCard
from config.factors import FactorSet
from config.places import Place
from estimators.batch_api import BATCH_API, through_batch_api
from estimators.energy import Energy
from estimators.estimate import Tier
from estimators.hardware import UNKNOWN_HARDWARE, Hardware
from estimators.metered import MeterScales
from estimators.physics_beyond import within
from estimators.physics_lines import Lines, Serving, lines_per_gpu_j
from estimators.prepared import Labels, Meters, Prepared
from estimators.profiles import PROFILES

ASSUMED_HARDWARE: Tier = "D"
"""Tier of an assumed deployment."""

TRAINING = "training"
"""The operation that any model may undergo; what a card lists is what it does for callers."""

STATED_HARDWARE: Tier = "C"
"""Tier of a deployment whose accelerator and batch the owner states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to weigh, where, by which factors and under which assumptions. meters_count: a call's metered energy goes before the model.

    batched: the work went through the vendor's batch API.
    """

    card: ModelCard
    place: Place
    factors: FactorSet
    operation: str
    operating_prior: str
    profile: str
    match_warnings: tuple[str, ...] = ()
    hardware: Hardware = UNKNOWN_HARDWARE
    meters_count: bool = True
    batched: bool = False


def prepared_as_usual(energy: Energy, lines: Lines, labels: Labels, meters: Meters | None) -> Prepared:
    """A Prepared whose lines all follow from the energy."""
    return Prepared(energy, lines, labels, meters=meters)


def assemble(
    method: str,
    version: str,
    energy: Energy,
    request: Request,
    *,
    lines: Lines | None = None,
    warnings: tuple[str, ...] = (),
    build: Callable[[Energy, Lines, Labels, Meters | None], Prepared] = prepared_as_usual,
) -> Prepared:
    """The method's `energy` carried through the lines of the request's place, labelled and ready to weigh calls.

    lines: those of a method that has its own. warnings: what the method has to say of every call. build: makes the Prepared of a
    method that replaces lines afterwards.
    """
    place, factors = request.place, request.factors
    labels = Labels(
        method=method,
        method_version=version,
        factor_set=factors.stamp,
        profile=request.profile,
        model_tier=request.card.tier,
        hardware_tier=_hardware_tier(request.hardware),
        zone_tier=cast(Tier, place.tier),  # the places table admits A to E only
        gco2e_per_kwh=place.gco2e_per_kwh.value,
        intensity_source=place.intensity_source,
        intensity_year=place.intensity_year,
        zone=place.zone,
        warnings=(*_warnings(request), *warnings),
    )
    serving = Serving(place, factors, request.operating_prior, request.hardware)
    meters = MeterScales(serving, labels) if request.meters_count else None
    whole = within(PROFILES[request.profile], lines or lines_per_gpu_j(serving), factors, serves=request.operation != TRAINING)
    return build(through_batch_api(energy, request), whole, labels, meters)


def _hardware_tier(hardware: Hardware) -> Tier:
    """Known only when both the accelerator and the batch are: the batch alone moves energy per token tenfold."""
    return STATED_HARDWARE if hardware.gpu is not None and hardware.batch is not None else ASSUMED_HARDWARE


def _warnings(request: Request) -> tuple[str, ...]:
    """Warnings of the name, the place and the operation, each once, in that order."""
    found = [*request.match_warnings, *request.place.warnings]
    if request.operation not in (*request.card.operations, TRAINING):
        found.append("operation-not-of-model")
    if request.batched:
        found.append(BATCH_API)
    return tuple(dict.fromkeys(found))
