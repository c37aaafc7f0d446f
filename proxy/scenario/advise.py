"""What would weigh less in the user's own scenario, each computed as a what-if. It must never advise what it did not compute."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from config.relatives import lowest_region, smaller_relative
from config.scenario import Scenario
from config.tables import Tables
from proxy.scenario.compare import Comparison, compare
from proxy.scenario.weigh import PICTURES, TEXTS, Weighed, place_of, weigh

Kind = Literal["iterations", "retries", "model", "region", "answer", "pictures"]


class Advice(NamedTuple):
    """One change to the scenario, what it is about, and what it does. detail: the value changed to, as a reader knows it."""

    kind: Kind
    detail: str
    scenario: Scenario
    comparison: Comparison


def advise(weighed: Weighed, tables: Tables) -> tuple[Advice, ...]:
    """All what-ifs that lower the expected value, the largest modelled difference first."""
    found = []
    weighed = _at_these_lengths(weighed, tables)
    for kind, change in WHAT_IFS.items():
        changed = change(weighed, tables)
        if changed is None:
            continue
        scenario, detail = changed
        comparison = compare(weigh(scenario, tables, name=detail), weighed)
        if comparison.gco2e.mean < 0:
            found.append(Advice(kind, detail, scenario, comparison))
    return tuple(sorted(found, key=lambda advice: advice.comparison.gco2e.mean))


Changed = tuple[Scenario, str] | None


def _at_these_lengths(weighed: Weighed, tables: Tables) -> Weighed:
    """The same with its lengths taken as stated: whether a change helps does not hang on how long the texts are exactly."""
    lengths = weighed.lengths
    stated = {"input_tokens": lengths.input_tokens, "output_tokens": lengths.output_tokens, "input_words": None, "output_words": None}
    return weigh(weighed.scenario.model_copy(update=stated), tables, name=weighed.name)


def _fewer_iterations(weighed: Weighed, tables: Tables) -> Changed:
    scenario = weighed.scenario
    if scenario.iterations <= 1:
        return None
    fewer = max(1.0, scenario.iterations - 1)
    return scenario.model_copy(update={"iterations": fewer}), f"{fewer:g}"


def _no_retries(weighed: Weighed, tables: Tables) -> Changed:
    scenario = weighed.scenario
    return (scenario.model_copy(update={"retries": 0.0}), "0") if scenario.retries > 0 else None


def _smaller_model(weighed: Weighed, tables: Tables) -> Changed:
    part = next((part for part in weighed.parts if part.kind == TEXTS), None)
    smaller = smaller_relative(part.match.card, tables.catalogue.cards()) if part is not None else None
    return (weighed.scenario.model_copy(update={"model": smaller.id}), smaller.id) if smaller is not None else None


def _cleaner_region(weighed: Weighed, tables: Tables) -> Changed:
    part = next(iter(weighed.parts), None)
    if part is None:
        return None
    row = next((row for row in tables.places.providers() if row.provider == part.place.provider), None)
    region = lowest_region((row.provider, row.cloud) if row is not None else (), tables)
    if region is None:
        return None
    provider = part.place.provider if row is not None and region.provider in (row.provider, row.cloud) else region.provider
    place = {"provider": provider, "region": region.region, "zone": None}
    here = place_of(part.match.card, **place, tables=tables)
    if here.gco2e_per_kwh.value * here.pue.value >= part.place.gco2e_per_kwh.value * part.place.pue.value:
        return None
    images = weighed.scenario.images
    moved = {**place, "images": images.model_copy(update={"provider": None}) if images is not None else None}
    return weighed.scenario.model_copy(update=moved), f"{provider} {region.region}"


def _shorter_answers(weighed: Weighed, tables: Tables) -> Changed:
    tokens = round(weighed.lengths.output_tokens * tables.factors["scenario.shorter_answer_ratio"].value)
    if not tokens or all(part.kind != TEXTS for part in weighed.parts):
        return None
    return weighed.scenario.model_copy(update={"output_tokens": tokens}), f"{tokens}"


def _lower_quality(weighed: Weighed, tables: Tables) -> Changed:
    images = weighed.scenario.images
    if images is None or images.quality == "low" or all(part.kind != PICTURES for part in weighed.parts):
        return None
    return weighed.scenario.model_copy(update={"images": images.model_copy(update={"quality": "low"})}), "low"


WHAT_IFS: dict[Kind, Callable[[Weighed, Tables], Changed]] = {
    "iterations": _fewer_iterations,
    "retries": _no_retries,
    "model": _smaller_model,
    "region": _cleaner_region,
    "answer": _shorter_answers,
    "pictures": _lower_quality,
}
