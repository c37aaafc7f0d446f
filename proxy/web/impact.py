"""POST /v1/impact: many calls weighed at once in the shape of Scope3's API. It must never let one bad row fail the others."""

import math
from functools import reduce
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from config.model_card import ModelMatch
from config.places import Place, Places
from estimators import prepare
from estimators.choose import NOT_COVERED
from estimators.estimate import Estimate
from estimators.hardware import UNKNOWN_HARDWARE
from estimators.physics_beyond import training_share
from estimators.physics_lines import KWH_PER_WH, embodied_water_ml_per_gpu_second
from estimators.prepared import Prepared
from estimators.quantity import add
from proxy.errors import BadRequest
from proxy.web.impact_rows import ImpactRow, RowFault, parts_of, read_row
from proxy.web.record import shown
from proxy.web.refusal import first_fault, refusal
from proxy.web.reply import figure
from proxy.web.rooms import Deployed, Machines, WebRooms

MOST_ROWS = 1000
METRICS = ("usage_energy_wh", "usage_emissions_gco2e", "usage_water_ml", "embodied_emissions_gco2e", "embodied_water_ml")
ONLY_READS = frozenset({"embeddings"})
Metrics = dict[str, float]


class ImpactRequest(BaseModel):
    """The body of POST /v1/impact; a bad row is answered as such and fails no other."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    rows: list[Any] = Field(description=f"Calls, at most {MOST_ROWS}, each an ImpactRow.")


class _Weighed(NamedTuple):
    estimates: tuple[Estimate, ...]
    machines: Machines


def read_impact_request(body: bytes) -> ImpactRequest:
    """The request in `body`. Raises BadRequest: malformed_json, invalid_type, too_many_rows."""
    try:
        asked = ImpactRequest.model_validate_json(body)
    except ValidationError as error:
        raise refusal(first_fault(error), 'send {"rows": [...]}, see /openapi.json.') from None
    if len(asked.rows) > MOST_ROWS:
        raise BadRequest(
            f"{len(asked.rows)} rows are more than {MOST_ROWS}; send them in several requests.", code="too_many_rows", param="rows"
        )
    return asked


def weigh_rows(asked: ImpactRequest, rooms: WebRooms, with_footprint: bool) -> dict[str, Any]:
    """The answer as JSON members; with_footprint adds range, tier, method and place to each row. Takes milliseconds: run it in a thread."""
    return _Scale(rooms).answer(asked.rows, with_footprint)


class _Scale:
    """Weighs the rows of one request; each model at each place is prepared once."""

    def __init__(self, rooms: WebRooms) -> None:
        self._rooms = rooms
        self._tables = rooms.tables
        self._prepared: dict[tuple[ModelMatch, Machines, str], Prepared] = {}
        self._water_ml_per_gpu_second: dict[str, float] = {}
        self._training_share = training_share(rooms.tables.factors).mean

    def answer(self, rows: list[Any], with_footprint: bool) -> dict[str, Any]:
        """Rows in the order they came, and what they sum to; a sum is null when rows came and none could be weighed."""
        wholes: list[Metrics] = []
        answered = [self._row(row, wholes, with_footprint) for row in rows]
        known = len(wholes) > 0 or not rows

        def summed(*names: str) -> Any:
            return figure(math.fsum(whole[name] for whole in wholes for name in names)) if known else None

        return {
            "rows": answered,
            "total_energy_wh": summed("usage_energy_wh"),
            "total_gco2e": summed("usage_emissions_gco2e", "embodied_emissions_gco2e"),
            "total_mlh2o": summed("usage_water_ml", "embodied_water_ml"),
            "has_errors": len(wholes) < len(rows),
        }

    def _row(self, sent: Any, wholes: list[Metrics], with_footprint: bool) -> dict[str, Any]:
        try:
            weighed = self._weigh(read_row(sent))
        except RowFault as fault:
            return _failed(fault)
        inference, training = self._inference(weighed), self._training(weighed)
        whole = {name: inference[name] + (training[name] if training else 0.0) for name in METRICS}
        wholes.append(whole)
        shown_row = {
            "total_impact": _shown(whole),
            "inference_impact": _shown(inference),
            "training_impact": _shown(training) if training else None,
            "fine_tuning_impact": None,
            "error": None,
        }
        return {**shown_row, "footprint": _footprint(weighed)} if with_footprint else shown_row

    def _weigh(self, row: ImpactRow) -> _Weighed:
        if not row.names:
            raise RowFault("missing_model", "the row names no model; add model_id.", "model_id")
        deployed = self._rooms.deployed(row.model_id) if row.model_id else None
        match = self._match(row, deployed)
        machines = self._machines(row, match, deployed)
        parts = parts_of(row, match.card.operations == ONLY_READS)
        prepared = self._prepare(match, machines, parts.operation)
        estimates = tuple(prepared.estimate(usage) for usage in parts.usages)
        if NOT_COVERED in estimates[0].warnings:
            raise RowFault("not_covered", f"no method weighs {parts.operation} of {match.card.id!r} yet.", "task")
        return _Weighed(estimates, machines)

    def _match(self, row: ImpactRow, deployed: Deployed | None) -> ModelMatch:
        """The first name that the catalogue knows: of the model that answered, of the deployment here, else as the row has them."""
        known = (row.model_used_id, deployed.weigh_as if deployed else None, *row.names)
        matches = [self._tables.catalogue.resolve(name) for name in known if name]
        return next((match for match in matches if match.match != "class"), matches[-1] if row.model_id is None else matches[0])

    def _machines(self, row: ImpactRow, match: ModelMatch, deployed: Deployed | None) -> Machines:
        """Cloud region, else country, else where and on what this proxy serves the alias, else the provider's default."""
        usual_prior = self._rooms.settings.weighing.operating_prior
        if deployed is not None and not (row.cloud_region or row.country or row.cloud_id):
            return Machines(deployed.place, deployed.hardware, deployed.operating_prior or usual_prior)
        return Machines(self._place(row, match), UNKNOWN_HARDWARE, usual_prior)

    def _place(self, row: ImpactRow, match: ModelMatch) -> Place:
        places = self._tables.places
        named = [name for name in (row.managed_service_id, row.cloud_id) if name]
        if row.cloud_region:
            for provider in (*named, *_only_cloud_of(row.cloud_region, places)):
                place = places.resolve(provider, region=row.cloud_region)
                if "region-unknown" not in place.warnings:
                    return place
        provider = named[0] if named else places.provider_of_vendor(match.card.vendor)
        return places.resolve(provider, region=row.cloud_region, zone=row.country)

    def _prepare(self, match: ModelMatch, machines: Machines, operation: str) -> Prepared:
        key = (match, machines, operation)
        if key not in self._prepared:
            weighing = self._rooms.settings.weighing
            self._prepared[key] = prepare(
                match.card,
                machines.place,
                self._tables.factors,
                operation=operation,
                operating_prior=machines.operating_prior,
                profile=weighing.profile,
                match_warnings=match.warnings,
                methods=tuple(weighing.methods),
                hardware=machines.hardware,
            )
        return self._prepared[key]

    def _embodied_water_ml(self, operating_prior: str, gpu_seconds: float) -> float:
        known = self._water_ml_per_gpu_second
        if operating_prior not in known:
            known[operating_prior] = embodied_water_ml_per_gpu_second(self._tables.factors, operating_prior).mean
        return known[operating_prior] * gpu_seconds

    def _inference(self, weighed: _Weighed) -> Metrics:
        """Serving alone, as headers and records show it: expected values."""
        estimates = weighed.estimates
        gpu_seconds = math.fsum(each.gpu_seconds.mean for each in estimates)
        return {
            "usage_energy_wh": math.fsum(each.facility_energy_wh.mean for each in estimates),
            "usage_emissions_gco2e": math.fsum(each.operational_gco2e.mean for each in estimates),
            "usage_water_ml": math.fsum(each.water_ml.mean for each in estimates),
            "embodied_emissions_gco2e": math.fsum(each.embodied_gco2e.mean for each in estimates),
            "embodied_water_ml": self._embodied_water_ml(weighed.machines.operating_prior, gpu_seconds),
        }

    def _training(self, weighed: _Weighed) -> Metrics | None:
        """The share of the training: grams split between electricity and machines; None where the method gives none."""
        grams = [each.training_gco2e.mean for each in weighed.estimates if each.training_gco2e is not None]
        if len(grams) < len(weighed.estimates):
            return None
        serving = self._inference(weighed)
        electricity = serving["usage_energy_wh"] * KWH_PER_WH * self._tables.factors["training.gco2e_per_kwh"].value
        made = serving["embodied_emissions_gco2e"]
        embodied = math.fsum(grams) * made / (electricity + made) if made else 0.0
        shared = {name: value * self._training_share for name, value in serving.items()}
        return {**shared, "usage_emissions_gco2e": math.fsum(grams) - embodied, "embodied_emissions_gco2e": embodied}


def _only_cloud_of(region: str, places: Places) -> tuple[str, ...]:
    """The one cloud that has a region of this name; empty when none or several do."""
    clouds = {known.provider for known in places.regions() if known.region == region.strip().lower()}
    return tuple(clouds) if len(clouds) == 1 else ()


def _shown(metrics: Metrics) -> dict[str, Any]:
    return {name: figure(metrics[name]) for name in METRICS}


def _failed(fault: RowFault) -> dict[str, Any]:
    """A row that was not weighed. The shape demands numbers in total_impact: they are zero and belong to no sum; `error` says why."""
    return {
        "total_impact": dict.fromkeys(METRICS, 0.0),
        "inference_impact": None,
        "training_impact": None,
        "fine_tuning_impact": None,
        "error": {"code": fault.code, "message": fault.message, "details": {"field": fault.field, "reason": None}},
    }


def _footprint(weighed: _Weighed) -> dict[str, Any]:
    """What the shape has no room for: the range and on what it rests, of serving within the profile."""
    lines = ("gco2e", "facility_energy_wh", "operational_gco2e", "embodied_gco2e", "water_ml")
    first = weighed.estimates[0]
    return {
        **shown(*(reduce(add, [getattr(each, line) for each in weighed.estimates]) for line in lines)),
        "quality": max(each.quality for each in weighed.estimates),
        "method": f"{first.method}@{first.method_version}",
        "profile": first.profile,
        "factor_set": first.factor_set,
        "zone": first.zone,
        "place_assumed": weighed.machines.place.assumed,
        "warnings": sorted({code for each in weighed.estimates for code in each.warnings}),
    }
