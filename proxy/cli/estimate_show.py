"""Shows what a planned call would weigh, as words, tables and JSON. It must never show a figure without its range, tier and method."""

import json
from collections.abc import Iterator, Sequence

from config.evidence import Evidence
from estimators import Estimate
from estimators.hardware import Hardware, stated
from estimators.quantity import LogVariance, Quantity
from estimators.usage import Usage
from proxy.cli.estimate_weigh import Beside, Weighed, compare
from proxy.cli.output import Cell, Format, message, show_rows, two_digits

LINES = (
    ("gco2e", "gCO2e", "gco2e"),
    ("  operational", "gCO2e", "operational_gco2e"),
    ("  embodied", "gCO2e", "embodied_gco2e"),
    ("facility energy", "Wh", "facility_energy_wh"),
    ("IT energy", "Wh", "it_energy_wh"),
    ("water", "mL", "water_ml"),
)
COLUMNS = ("line", "unit", "expected", "p5", "p95")
SIDE_BY_SIDE = ("model", "weighed_as", "gco2e", "gco2e_low", "gco2e_high", "facility_energy_wh", "water_ml", "quality", "method", "zone")
SCOPES = {
    "method": "how the calculation itself fits servers in use",
    "provider": "how the provider runs its machines",
    "model": "how large the model is",
    "zone": "how much carbon the electricity carries where it runs",
    "call": "how much the call will take",
}
TIERS = {
    "A": "metered, or a reviewed disclosure",
    "B": "the same model measured in a public benchmark",
    "C": "an open architecture, modelled",
    "D": "a closed model or an assumed place, inferred",
    "E": "a class default or a guess, for want of facts",
}


def show_one(weighed: Weighed, form: Format) -> None:
    """The lines of one estimate with their ranges, then in a table what they rest on and what others say."""
    if form is Format.JSON:
        print(json.dumps(as_json(weighed), indent=2, ensure_ascii=False))
    else:
        show_rows(_rows(weighed.estimate, indented=form is Format.TABLE), COLUMNS, form)
    if form is Format.TABLE:
        print("\n".join([*_facts(weighed), *_others(weighed), "", *_meaning(weighed.estimate)]))
    elif weighed.estimate.warnings:
        message(f"warnings: {', '.join(weighed.estimate.warnings)}")


def show_many(weighed: Sequence[Weighed], form: Format) -> None:
    """Several models side by side, lightest first, and how sure their order is."""
    ordered = sorted(weighed, key=lambda one: one.estimate.gco2e.mean)
    if form is Format.JSON:
        print(json.dumps([as_json(one) for one in ordered], indent=2, ensure_ascii=False))
        return
    show_rows([_side_by_side(one) for one in ordered], SIDE_BY_SIDE, form)
    if form is Format.TABLE:
        print("\n".join(_ranking(ordered)))


def as_json(weighed: Weighed) -> dict[str, object]:
    """Every fact of one estimate."""
    result, place = weighed.estimate, weighed.place
    return {
        "model": weighed.model,
        "weighed_as": weighed.match.card.id,
        "match": weighed.match.match,
        "operation": weighed.operation,
        **_figures(result),
        "quality": result.quality,
        "quality_parts": result.quality_parts._asdict(),
        "method": f"{result.method}@{result.method_version}",
        "profile": result.profile,
        "factor_set": result.factor_set,
        "provider": place.provider,
        "region": place.region,
        "zone": place.zone,
        "place_assumed": place.assumed,
        "hardware": stated(weighed.hardware),
        "gco2e_per_kwh": result.gco2e_per_kwh,
        "intensity_source": result.intensity_source,
        "intensity_year": result.intensity_year,
        "usage": _usage(weighed.usage),
        "beside": [_beside_json(one) for one in weighed.beside],
        "published": [_published_json(one) for one in weighed.published],
        "warnings": list(result.warnings),
    }


def _figures(result: Estimate) -> dict[str, object]:
    quantities: dict[str, Quantity] = {field: getattr(result, field) for _, _, field in LINES}
    return {field: {"expected": each.mean, "p5": each.p5, "p95": each.p95} for field, each in quantities.items()}


def _usage(usage: Usage) -> dict[str, object]:
    """The counts that are not zero and the media that are stated."""
    counts = ("input_tokens", "cached_input_tokens", "output_tokens", "input_images")
    media = usage.media.stated() if usage.media is not None else {}
    return {**{name: value for name in counts if (value := getattr(usage, name))}, **media, "source": usage.source}


def _beside_json(beside: Beside) -> dict[str, object]:
    if beside.estimate is None:
        return {"method": beside.method, "problem": beside.problem}
    return {"method": f"{beside.method}@{beside.estimate.method_version}", **_figures(beside.estimate)}


def _published_json(published: Evidence) -> dict[str, object]:
    return {
        "who": published.who,
        "system": published.system,
        "kind": published.kind,
        "unit": published.unit,
        "energy_wh": None if published.energy_wh is None else published.energy_wh.value,
        "gco2e": None if published.gco2e is None else published.gco2e.value,
        "boundary": published.boundary,
        "year": published.year,
        "source": published.source,
        "url": published.url,
    }


def _rows(weighed: Estimate, *, indented: bool) -> list[dict[str, Cell]]:
    quantities: list[tuple[str, str, Quantity]] = [(name, unit, getattr(weighed, field)) for name, unit, field in LINES]
    return [
        {"line": name if indented else name.strip(), "unit": unit, "expected": each.mean, "p5": each.p5, "p95": each.p95}
        for name, unit, each in quantities
    ]


def _side_by_side(weighed: Weighed) -> dict[str, Cell]:
    result = weighed.estimate
    return {
        "model": weighed.model,
        "weighed_as": weighed.match.card.id,
        "gco2e": result.gco2e.mean,
        "gco2e_low": result.gco2e.p5,
        "gco2e_high": result.gco2e.p95,
        "facility_energy_wh": result.facility_energy_wh.mean,
        "water_ml": result.water_ml.mean,
        "quality": result.quality,
        "method": f"{result.method}@{result.method_version}",
        "zone": result.zone,
    }


def _ranking(ordered: Sequence[Weighed]) -> Iterator[str]:
    """The order in words."""
    lightest = ordered[0]
    for other in ordered[1:]:
        ratio = other.estimate.gco2e.mean / lightest.estimate.gco2e.mean if lightest.estimate.gco2e.mean > 0 else 0.0
        sure = compare(lightest, other).probability_a_is_less
        yield f"{other.model}: {two_digits(ratio)} times {lightest.model}; it weighs more with a probability of {two_digits(100 * sure)} %."
    for one in ordered:
        if one.estimate.warnings:
            yield f"warnings of {one.model}: {', '.join(one.estimate.warnings)}"


def _facts(weighed: Weighed) -> list[str]:
    result, place, card = weighed.estimate, weighed.place, weighed.match.card
    parts = ", ".join(f"{name} {tier}" for name, tier in result.quality_parts._asdict().items())
    where = f"{place.provider} {place.region or ''}".strip() + (" (assumed)" if place.assumed else "")
    named = "" if card.id == weighed.model else f", weighed as {card.id}"
    year = str(result.intensity_year)
    source = result.intensity_source if year in result.intensity_source else f"{result.intensity_source}, {year}"
    return [
        f"model      {weighed.model}{named} ({card.vendor}, size {card.size_basis})",
        f"place      {where}, grid {place.zone}: {two_digits(result.gco2e_per_kwh)} gCO2e/kWh, {source}",
        *([f"machines   {_machines(weighed.hardware)}, as stated"] if stated(weighed.hardware) else []),
        f"quality    {result.quality} ({TIERS[result.quality]}); {parts}",
        f"method     {result.method}@{result.method_version}, profile {result.profile}, factor set {result.factor_set}",
        *([f"warnings   {', '.join(result.warnings)}"] if result.warnings else []),
    ]


def _machines(hardware: Hardware) -> str:
    """The stated facts in words: `8 x h100, fp8, batch 64`."""
    accelerators = " x ".join(str(fact) for fact in (hardware.gpus, hardware.gpu or ("GPU" if hardware.gpus else None)) if fact is not None)
    batch = f"batch {hardware.batch:g}" if hardware.batch is not None else ""
    return ", ".join(fact for fact in (accelerators, hardware.precision or "", batch) if fact)


def _others(weighed: Weighed) -> Iterator[str]:
    """What other methods and published figures say; neither changes the estimate."""
    for beside in weighed.beside:
        yield f"beside     {_said(beside)}"
    for one in weighed.published:
        figures = [f"{two_digits(span.value)} {unit}" for span, unit in ((one.energy_wh, "Wh"), (one.gco2e, "gCO2e")) if span is not None]
        said = f"{one.who} on {one.system}, {one.kind} {one.year}; boundary: {one.boundary}"
        yield f"published  {' and '.join(figures)} per {one.unit} ({said})"


def _said(beside: Beside) -> str:
    if beside.estimate is None:
        return f"{beside.method}: {beside.problem}"
    result = beside.estimate
    low, high, expected = (two_digits(each) for each in (result.gco2e.p5, result.gco2e.p95, result.gco2e.mean))
    energy = two_digits(result.facility_energy_wh.mean)
    return f"{beside.method}@{result.method_version}: {expected} gCO2e ({low} to {high}), {energy} Wh"


def _meaning(weighed: Estimate) -> list[str]:
    """The range in plain language."""
    quantity = weighed.gco2e
    if quantity.p50 <= 0:
        return ["No tokens, no footprint: give the tokens that the call will take."]
    low, high, expected = (two_digits(each) for each in (quantity.p5, quantity.p95, quantity.mean))
    return [
        f"Expect about {expected} g; anything from {low} to {high} g is plausible under the stated assumptions.",
        f"Most of the doubt is about {SCOPES[_largest(quantity.variance)]}.",
    ]


def _largest(variance: LogVariance) -> str:
    return max(variance._fields, key=lambda scope: float(getattr(variance, scope)))
