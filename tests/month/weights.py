"""What every call of the month weighs at every model and place, by the estimator itself. It must never hold a factor of its own."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.settings import Settings
from config.tables import Tables
from estimators.columns import UNKNOWN, UsageColumns
from estimators.many import CALLS_AT_ONCE, estimate_many
from estimators.prepared import Prepared
from proxy.policy.candidates import Candidate, Candidates
from proxy.weigh import Scales
from tests.month.world import HOURS, MODELS, REGIONS, Floats, Month, Whole

SHAPES = Path(__file__).parent / "hourly_shapes.csv"
SCOPES = ("method", "provider", "model", "zone")
ML_PER_LITRE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """Of every call (first axis) at every choice (second axis), in the order of `choices`.

    gco2e: expected, by yearly intensities, as records have it. sd: standard deviation of its logarithm by scope (last axis) in
    SCOPES. hourly_gco2e: with the intensity of its hour. cost: in the currency of `price`.
    """

    choices: tuple[Candidate, ...]
    prepared: tuple[Prepared, ...]
    gco2e: Floats
    sd: Floats
    hourly_gco2e: Floats
    water_ml: Floats
    cost: Floats

    def index(self) -> dict[Candidate, int]:
        """Where each candidate stands on the second axis."""
        return {candidate: number for number, candidate in enumerate(self.choices)}


def choices_of(candidates: Candidates) -> tuple[Candidate, ...]:
    """All deployments, model by model, region by region."""
    return tuple(next(each for each in candidates.of(model) if each.place.region == region) for model in MODELS for region in REGIONS)


def shapes() -> dict[str, Floats]:
    """The hourly shape of each country's intensity, around 1."""
    lines = [line for line in SHAPES.read_text().splitlines() if not line.startswith("#")]
    names = lines[0].split(",")[1:]
    table = np.array([[float(cell) for cell in line.split(",")[1:]] for line in lines[1:]])
    if table.shape[0] != HOURS:
        raise ValueError(f"{SHAPES.name} has {table.shape[0]} hours, not {HOURS}")
    return {name: table[:, number] for number, name in enumerate(names)}


def shape_of(zone: str, known: dict[str, Floats]) -> Floats:
    """The shape of a zone: that of its country."""
    return known[zone.partition("-")[0]]


def weigh(month: Month, settings: Settings, tables: Tables, candidates: Candidates, scales: Scales) -> Weights:
    """All calls at all choices."""
    choices = choices_of(candidates)
    prepared = tuple(scales.prepare(each, each.name_of(each.pattern), "chat") for each in choices)
    known = shapes()
    calls, number = len(month), len(choices)
    found = Weights(
        choices=choices,
        prepared=prepared,
        gco2e=np.empty((calls, number)),
        sd=np.empty((calls, number, len(SCOPES)), dtype=np.float64),
        hourly_gco2e=np.empty((calls, number)),
        water_ml=np.empty((calls, number)),
        cost=np.empty((calls, number)),
    )
    for at, (candidate, method) in enumerate(zip(choices, prepared, strict=True)):
        model = at // len(REGIONS)
        shape = shape_of(candidate.place.zone, known)[month.hour]
        for start in range(0, calls, CALLS_AT_ONCE):
            rows = slice(start, start + CALLS_AT_ONCE)
            _weigh_rows(found, at, rows, method, usages_of(month, model, rows), shape[rows])
        price = candidate.deployment.price
        if price is None or price.input_per_million is None or price.output_per_million is None:
            raise ValueError(f"{candidate.pattern} has no price")
        found.cost[:, at] = (month.input_tokens * price.input_per_million + month.output_tokens[:, model] * price.output_per_million) / 1e6
    return found


def _weigh_rows(found: Weights, at: int, rows: slice, method: Prepared, usages: UsageColumns, shape: Floats) -> None:
    lines = estimate_many(method, usages).lines
    total, operational, water = lines["gco2e"], lines["operational_gco2e"], lines["water_ml"]
    if total is None or operational is None or water is None:
        raise ValueError(f"method {method.labels.method} does not say what it weighs")
    found.gco2e[rows, at] = total.mean
    for scope, variance in enumerate(total.variance[: len(SCOPES)]):
        found.sd[rows, at, scope] = np.sqrt(variance)
    found.hourly_gco2e[rows, at] = total.mean + operational.mean * (shape - 1)
    found.water_ml[rows, at] = water.mean


def usages_of(month: Month, model: int, rows: slice) -> UsageColumns:
    """The usages of these calls at one model, as its provider would tell them."""
    given, written = month.input_tokens[rows], month.output_tokens[rows, model]
    nothing: Whole = np.zeros_like(given)
    unknown = np.full_like(given, UNKNOWN)
    return UsageColumns(
        input_tokens=given,
        cached_input_tokens=nothing,
        image_input_tokens=nothing,
        input_images=nothing,
        output_tokens=written,
        source=nothing,
        partial=np.zeros(len(given), dtype=np.bool_),
        network_bytes=unknown,
        possible_output_tokens=unknown,
        calls=np.ones_like(given),
    )
