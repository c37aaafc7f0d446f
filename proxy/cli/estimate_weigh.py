"""Weighs a planned call by every model and method that was asked for. It must never print."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from config.catalogue import ModelMatch
from config.evidence import Evidence
from config.place import Place
from config.tables import Tables
from estimators import Estimate, Usage, prepare
from estimators.choose import NOT_COVERED, OPERATING_PRIORS, known_methods
from estimators.hardware import UNKNOWN_HARDWARE, Hardware
from estimators.planned import Planned, operation_of, usage_of
from estimators.profiles import DEFAULT_PROFILE, PROFILES
from estimators.quantity import Difference, difference

CHOICES = {"prior": OPERATING_PRIORS, "profile": tuple(PROFILES), "method": known_methods(), "beside": known_methods()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Where, under which assumptions and by which methods to weigh; provider None: the model's vendor."""

    provider: str | None = None
    region: str | None = None
    zone: str | None = None
    prior: str = "typical"
    profile: str = DEFAULT_PROFILE
    method: str | None = None
    beside: tuple[str, ...] = ()
    hardware: Hardware = UNKNOWN_HARDWARE


class Beside(NamedTuple):
    """What another method says of the same call; `problem` where it says nothing."""

    method: str
    estimate: Estimate | None
    problem: str


class Weighed(NamedTuple):
    """One model's answer to the question, with what others say of it."""

    model: str
    match: ModelMatch
    operation: str
    place: Place
    usage: Usage
    estimate: Estimate
    beside: tuple[Beside, ...]
    published: tuple[Evidence, ...]
    hardware: Hardware


def weigh(tables: Tables, model: str, planned: Planned, question: Question) -> Weighed:
    """The plan as calls to `model`. Raises PlanIncomplete, and ValueError for a named method that cannot be used here."""
    match = tables.catalogue.resolve(model)
    card = match.card
    usage, operation = usage_of(planned, card), operation_of(planned, card)
    places = tables.places
    place = places.resolve(question.provider or places.provider_of_vendor(card.vendor), region=question.region, zone=question.zone)

    def by(method: str | None) -> Estimate:
        prepared = prepare(
            card,
            place,
            tables.factors,
            operation=operation,
            operating_prior=question.prior,
            profile=question.profile,
            match_warnings=match.warnings,
            method=method,
            hardware=question.hardware,
        )
        return prepared.estimate(usage)

    beside = tuple(_beside(by, name, operation) for name in question.beside)
    return Weighed(model, match, operation, place, usage, by(question.method), beside, tables.evidence_for(card.id), question.hardware)


def compare(lighter: Weighed, heavier: Weighed) -> Difference:
    """gCO2e of the first less the second; what both share of doubt cancels."""
    shared = ["method"]
    if lighter.place.provider == heavier.place.provider:
        shared.append("provider")
    if lighter.place.zone == heavier.place.zone:
        shared.append("zone")
    if lighter.match.card.id == heavier.match.card.id:
        shared.append("model")
    return difference(lighter.estimate.gco2e, heavier.estimate.gco2e, shared=shared)


def _beside(by: Callable[[str], Estimate], name: str, operation: str) -> Beside:
    """The figure of the method `name`, or why there is none."""
    try:
        estimate = by(name)
    except ValueError as problem:
        return Beside(name, None, str(problem))
    if NOT_COVERED in estimate.warnings:
        return Beside(name, None, f"does not weigh this model's {operation}")
    return Beside(name, estimate, "")
