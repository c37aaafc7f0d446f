"""Forecasts what a call would weigh, before anything is spent. It must never call a provider or keep what it is sent."""

from typing import Any

from config.catalogue import ModelMatch
from config.evidence import Evidence
from estimators import Estimate, Usage, prepare
from estimators.choose import known_methods
from estimators.hardware import UNKNOWN_HARDWARE, Hardware, stated, strange_words
from estimators.planned import PlanIncomplete, operation_of, usage_of
from estimators.profiles import PROFILES
from proxy.errors import BadRequest
from proxy.web.estimate_request import EstimateRequest
from proxy.web.record import shown
from proxy.web.rooms import Deployed, Machines, WebRooms

COUNTS = ("input_tokens", "cached_input_tokens", "output_tokens")


def forecast(asked: EstimateRequest, rooms: WebRooms) -> dict[str, Any]:
    """The forecast as JSON members. Takes milliseconds: run it in a thread. Raises BadRequest: missing_input, invalid_type."""
    deployed = rooms.deployed(asked.model)
    match = rooms.tables.catalogue.resolve(deployed.weigh_as if deployed else asked.model)
    machines = _machines(asked, match, deployed, rooms)
    plan = asked.planned(match.card, rooms.usual_output_tokens(asked.model))
    try:
        usage = usage_of(plan, match.card)
    except PlanIncomplete as problem:
        raise BadRequest(f"{problem}.", code="missing_input", param=problem.field) from problem
    operation = operation_of(plan, match.card)
    estimate = _weighed(asked, rooms, match, machines, operation, usage)
    return _answer(asked, operation, usage, machines, estimate, rooms.tables.evidence_for(match.card.id))


def _weighed(asked: EstimateRequest, rooms: WebRooms, match: ModelMatch, machines: Machines, operation: str, usage: Usage) -> Estimate:
    weighing = rooms.settings.weighing
    _check_known("method", asked.method, known_methods())
    _check_known("profile", asked.profile, tuple(PROFILES))
    try:
        prepared = prepare(
            match.card,
            machines.place,
            rooms.tables.factors,
            operation=operation,
            operating_prior=machines.operating_prior,
            profile=asked.profile or weighing.profile,
            match_warnings=match.warnings,
            method=asked.method,
            methods=tuple(weighing.methods),
            hardware=machines.hardware,
        )
    except ValueError as problem:
        if asked.method is None:
            raise
        raise BadRequest(f"method {asked.method!r} cannot weigh this: {problem}.", code="invalid_type", param="method") from problem
    return prepared.estimate(usage)


def _check_known(field: str, word: str | None, known: tuple[str, ...]) -> None:
    if word is not None and word not in known:
        raise BadRequest(f"{field} {word!r} does not exist; known: {', '.join(known)}.", code="invalid_type", param=field)


def _answer(
    asked: EstimateRequest, operation: str, usage: Usage, machines: Machines, estimate: Estimate, published: tuple[Evidence, ...]
) -> dict[str, Any]:
    place = machines.place
    return {
        "object": "footprint.estimate",
        "model": asked.model,
        "operation": operation,
        **shown(estimate.gco2e, estimate.facility_energy_wh, estimate.operational_gco2e, estimate.embodied_gco2e, estimate.water_ml),
        "quality": estimate.quality,
        "quality_parts": estimate.quality_parts._asdict(),
        "method": f"{estimate.method}@{estimate.method_version}",
        "provider": place.provider,
        "region": place.region,
        "zone": estimate.zone,
        "place_assumed": place.assumed,
        "hardware": stated(machines.hardware),
        "operating_prior": machines.operating_prior,
        "profile": estimate.profile,
        "factor_set": estimate.factor_set,
        "usage": _usage(usage),
        "published": [_published(one) for one in published],
        "warnings": list(estimate.warnings),
    }


def _usage(usage: Usage) -> dict[str, Any]:
    """Counts that every call has, and what is stated of pictures, clips and sound."""
    media = usage.media.stated() if usage.media is not None else {}
    pictures = {"input_images": usage.input_images} if usage.input_images else {}
    return {**{name: getattr(usage, name) for name in COUNTS}, **pictures, **media, "source": usage.source}


def _published(one: Evidence) -> dict[str, Any]:
    """A figure that others published about this model, at its own boundary; it never changes ours."""
    return {
        "who": one.who,
        "system": one.system,
        "kind": one.kind,
        "unit": one.unit,
        "energy_wh": None if one.energy_wh is None else one.energy_wh.value,
        "gco2e": None if one.gco2e is None else one.gco2e.value,
        "boundary": one.boundary,
        "year": one.year,
        "url": one.url,
    }


def _machines(asked: EstimateRequest, match: ModelMatch, deployed: Deployed | None, rooms: WebRooms) -> Machines:
    """Where and on what the call would run; what the request says of the machines goes before what a deployment states.

    The alias's own deployment, unless another place is named; the vendor's where the proxy does not serve that name.
    """
    usual_prior = rooms.settings.weighing.operating_prior
    if deployed is not None and asked.provider is None and asked.region is None:
        place, hardware, prior = deployed.place, deployed.hardware, deployed.operating_prior or usual_prior
    else:
        usual = deployed.place.provider if deployed else rooms.tables.places.provider_of_vendor(match.card.vendor)
        provider = asked.provider or usual
        place, hardware, prior = rooms.tables.places.resolve(provider, region=asked.region), UNKNOWN_HARDWARE, usual_prior
    if asked.hardware is not None:
        hardware = asked.hardware.facts()
        _check_words(hardware, rooms)
    return Machines(place, hardware, asked.operating_prior or prior)


def _check_words(hardware: Hardware, rooms: WebRooms) -> None:
    """Refuses a word that no factor row has: the figure would be as wide as without it."""
    for field, word, ids in strange_words(hardware, rooms.tables.factors):
        _check_known(f"hardware.{field}", word, ids)
