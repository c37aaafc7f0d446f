"""Method `ecologits`: the EcoLogits library's own figure beside ours. It must never be imported by the library's absence, nor be a default.

The library is the extra `ecologits`; it is imported when the method is used. Its formulas and constants are its own: none is written here.
"""

import importlib.metadata
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from config.catalogue import ModelCard
from config.places import Place
from config.ranges import Range
from estimators.assemble import Request, assemble
from estimators.energy import PerUnit, call_variances
from estimators.physics_lines import Lines
from estimators.prepared import Prepared
from estimators.quantity import Z95, LogVariance, Quantity
from estimators.usage import Usage, UsageSource

PACKAGE: Final = "ecologits"
J_PER_KWH: Final = 3.6e6
WH_PER_KWH: Final = 1000.0
PER_KILO: Final = 1000.0
"""Grams per kg, and mL per L (definition)."""

WARNINGS: Final = ("output-tokens-only",)
"""The library charges for output tokens alone; input, cached, image and audio tokens weigh nothing."""


class ExtraMissing(ValueError):
    """The EcoLogits library is not installed; the text names the extra."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputEnergy:
    """GPU joules of a call as the library charges them: per output token, alike for all."""

    per_output_token: Quantity
    variances: Mapping[tuple[UsageSource, bool], float]

    @property
    def per_unit_j(self) -> PerUnit:
        """Median joules per output token; everything else is free."""
        return PerUnit(output_token=self.per_output_token.p50)

    def gpu_energy_j(self, usage: Usage) -> Quantity:
        """Joules of all GPUs for one attempt; its mean does not depend on who counted."""
        call = self.variances[usage.source, usage.partial]
        each = self.per_output_token
        return Quantity(each.p50 * usage.output_tokens * math.exp(-call / 2), each.variance._replace(call=call))


class EcologitsMethod:
    """EcoLogits' published formulas with the card's size, the place's PUE, water and grid; METHODS.md, section on EcoLogits."""

    id = "ecologits"

    @property
    def version(self) -> str:
        """Version of the installed library. Raises ExtraMissing."""
        return library_version()

    def covers(self, operation: str, card: ModelCard) -> bool:
        """True for operations that write text."""
        return operation in ("chat", "completions")

    def prepare(self, request: Request) -> Prepared:
        """The library's figures per output token, at both ends of the card's size. Raises ExtraMissing."""
        ends = _ends(request.card, request.place)
        doubt = _doubt(ends, "request_energy")
        gpu = Quantity(_median(ends, "gpu_j"), doubt)
        energy = OutputEnergy(per_output_token=gpu, variances=call_variances(request.factors))
        return assemble(self.id, self.version, energy, request, lines=_lines(ends, gpu.p50, request.place), warnings=WARNINGS)


def library_version() -> str:
    """Version of the installed library. Raises ExtraMissing."""
    try:
        return importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError as error:
        raise ExtraMissing("the EcoLogits library is not installed; add the extra: pip install 'grammage[ecologits]'") from error


def states(active_params_b: float, total_params_b: float, place: Place | None = None, batch: float | None = None) -> dict[str, Any]:
    """Every intermediate figure of the library for one output token; sizes in billions, batch None: the library's own.

    Without a place, PUE is 1 and grid and water are 0: only what stands before them is of use then. Raises ExtraMissing.
    """
    library_version()
    from ecologits.impacts.llm import compute_llm_impacts_dag  # slow, and an extra: needed when the method is used

    given: dict[str, Any] = {} if batch is None else {"batch_size": batch}
    return compute_llm_impacts_dag(
        model_active_parameter_count=active_params_b,
        model_total_parameter_count=total_params_b,
        output_token_count=1,
        request_latency=math.inf,
        if_electricity_mix_adpe=place.adpe_kgsbeq_per_kwh.value if place else 0.0,
        if_electricity_mix_pe=place.primary_energy_mj_per_kwh.value if place else 0.0,
        if_electricity_mix_gwp=place.gco2e_per_kwh.value / PER_KILO if place else 0.0,
        if_electricity_mix_wue=place.water_offsite_l_per_kwh.value if place else 0.0,
        datacenter_pue=place.pue.value if place else 1.0,
        datacenter_wue=place.wue_onsite_l_per_kwh.value if place else 0.0,
        **given,
    )


def gpu_j_per_token(active_params_b: float, total_params_b: float, *, batch: float | None = None, gpus: int | None = None) -> float:
    """GPU joules per output token, all GPUs together, as the library has it; batch and gpus None: its own assumptions."""
    found = states(active_params_b, total_params_b, batch=batch)
    count = gpus if gpus is not None else found["gpu_required_count"]
    return float(count * found["gpu_energy"] * J_PER_KWH)


def video_it_energy_j(model: str, width: int, height: int, frames: int) -> Range | None:
    """Joules of the server that makes one clip, by the library's video module; None for a model that it does not have.

    model: its name with the library. The range is the library's, around its own middle. Raises ExtraMissing.
    """
    library_version()
    from ecologits.estimations import video_impacts  # slow, and an extra

    duration_s = (frames - 0.5) / FRAMES_PER_SECOND  # the library counts int(24 s + 1) frames: half a frame less keeps the rounding out
    found = video_impacts(model, f"{width}x{height}", duration_s, with_audio=False, datacenter_pue=1.0, datacenter_wue=0.0)
    if found.energy is None:
        return None
    kwh = found.energy.value
    low, middle, high = (kwh, kwh, kwh) if isinstance(kwh, float | int) else (kwh.min, kwh.mean, kwh.max)
    return Range(middle * J_PER_KWH, low * J_PER_KWH, high * J_PER_KWH)


FRAMES_PER_SECOND: Final = 24
"""How the library turns a duration into frames; its rule, repeated here only to undo it."""


def _ends(card: ModelCard, place: Place) -> tuple[dict[str, Any], ...]:
    """The library's figures at the smallest and the largest size, once where both are the same."""
    active, total = card.active_params_b, card.total_params_b
    sizes = dict.fromkeys(((active.low, total.low), (active.high, total.high)))
    found = []
    for active_b, total_b in sizes:
        end = states(active_b, max(total_b, active_b), place)
        end["gpu_j"] = end["gpu_required_count"] * end["gpu_energy"] * J_PER_KWH
        end["gpu_seconds"] = end["gpu_required_count"] * end["generation_latency"] / end["batch_size"]
        found.append(end)
    return tuple(found)


def _median(ends: tuple[dict[str, Any], ...], *names: str) -> float:
    """Geometric middle of a figure, or of a sum of figures, over the ends."""
    return math.exp(math.fsum(math.log(math.fsum(end[name] for name in names)) for end in ends) / len(ends))


def _doubt(ends: tuple[dict[str, Any], ...], name: str) -> LogVariance:
    """The library's range read as p5 to p95; it is about the model's size. No doubt where the library gives none."""
    width = math.log(ends[-1][name] / ends[0][name])
    return LogVariance(model=(width / (2 * Z95)) ** 2)


def _lines(ends: tuple[dict[str, Any], ...], gpu_j: float, place: Place) -> Lines:
    """The library's lines per GPU joule; the doubt about size is with the joules."""

    def line(factor: float, *names: str) -> Quantity:
        return Quantity(_median(ends, *names) * factor / gpu_j, LogVariance())

    facility_wh = line(WH_PER_KWH, "request_energy")
    market = place.market_based_gco2e_per_kwh
    return Lines(
        it_energy_wh=line(WH_PER_KWH, "request_it_energy"),
        facility_energy_wh=facility_wh,
        gpu_seconds=line(1.0, "gpu_seconds"),
        operational_gco2e=line(PER_KILO, "request_usage_gwp"),
        embodied_gco2e=line(PER_KILO, "request_embodied_gwp"),
        gco2e=line(PER_KILO, "request_usage_gwp", "request_embodied_gwp"),
        water_ml=line(PER_KILO, "request_usage_wcf"),
        primary_energy_mj=line(1.0, "request_usage_pe", "request_embodied_pe"),
        adpe_kgsbeq=line(1.0, "request_usage_adpe", "request_embodied_adpe"),
        market_based_gco2e=None if market is None else Quantity(facility_wh.p50 * market / WH_PER_KWH, LogVariance()),
    )
