"""`grammage estimate`: weighs a call before it is made. It must never show a figure without its range, tier and method."""

import json
from typing import Annotated, NamedTuple

import typer

from config.catalogue import ModelMatch
from config.place import Place
from config.tables import Tables, load_tables
from estimators import Estimate, Usage, prepare
from estimators.quantity import LogVariance, Quantity
from proxy.cli.output import Cell, Format, message, show_rows, two_digits
from proxy.cli.place_hints import place_hints

LINES = (
    ("gco2e", "gCO2e", "gco2e"),
    ("  operational", "gCO2e", "operational_gco2e"),
    ("  embodied", "gCO2e", "embodied_gco2e"),
    ("facility energy", "Wh", "facility_energy_wh"),
    ("IT energy", "Wh", "it_energy_wh"),
    ("water", "mL", "water_ml"),
)
COLUMNS = ("line", "unit", "expected", "p5", "p95")
SCOPES = {
    "method": "how the calculation itself fits servers in use",
    "provider": "how the provider runs its machines",
    "model": "how large the model is",
    "zone": "how much carbon the electricity carries where it runs",
    "call": "how many tokens the call will take",
}
TIERS = {
    "A": "metered, or a reviewed disclosure",
    "B": "the same model measured in a public benchmark",
    "C": "an open architecture, modelled",
    "D": "a closed model or an assumed place, inferred",
    "E": "a class default, for want of facts",
}


class _Weighed(NamedTuple):
    match: ModelMatch
    place: Place
    usage: Usage
    estimate: Estimate


def estimate(
    model: Annotated[str, typer.Option("--model", "-m", help="Model, as its provider names it.")],
    input_tokens: Annotated[int, typer.Option("--input-tokens", "-i", min=0, help="Input tokens, cached ones included.")],
    output_tokens: Annotated[int, typer.Option("--output-tokens", "-o", min=0, help="Output tokens, reasoning included.")],
    provider: Annotated[str | None, typer.Option("--provider", help="Who serves it; default: the model's vendor.")] = None,
    region: Annotated[str | None, typer.Option("--region", help="Cloud region, such as swedencentral.")] = None,
    zone: Annotated[str | None, typer.Option("--zone", help="Grid zone, such as FR, when the region is unknown.")] = None,
    cached_tokens: Annotated[int, typer.Option("--cached-tokens", min=0, help="Input tokens read from the provider's cache.")] = 0,
    exact: Annotated[bool, typer.Option("--exact", help="The token counts are the provider's own, not a forecast.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Weigh a call before it is made: energy, gCO2e with its range, water, and how well each part is known."""
    if cached_tokens > input_tokens:
        raise typer.BadParameter("cached tokens are a part of the input tokens; they cannot be more", param_hint="--cached-tokens")
    usage = Usage(
        input_tokens=input_tokens,
        cached_input_tokens=cached_tokens,
        output_tokens=output_tokens,
        source="provider" if exact else "estimated",
    )
    if not model.strip():
        raise typer.BadParameter("is empty; name a model, such as gpt-4o-mini", param_hint="--model")
    tables = load_tables()
    weighed = _weigh(tables, model, provider, region, zone, usage)
    if form is Format.JSON:
        print(json.dumps(_as_json(model, weighed), indent=2, ensure_ascii=False))
    else:
        show_rows(_rows(weighed.estimate, indented=form is Format.TABLE), COLUMNS, form)
    if form is Format.TABLE:
        print("\n".join([*_facts(model, weighed), "", *_meaning(weighed.estimate)]))
    elif weighed.estimate.warnings:
        message(f"warnings: {', '.join(weighed.estimate.warnings)}")
    served_by = provider or ("" if "provider-unknown" in weighed.place.warnings else weighed.place.provider)
    for hint in place_hints(tables.places, provider=served_by, region=region, zone=zone, warnings=weighed.place.warnings):
        message(hint)


def _weigh(tables: Tables, model: str, provider: str | None, region: str | None, zone: str | None, usage: Usage) -> _Weighed:
    match = tables.catalogue.resolve(model)
    known = {row.provider for row in tables.places.providers()}
    vendor = match.card.vendor.lower()
    place = tables.places.resolve(provider or (vendor if vendor in known else "unknown"), region=region, zone=zone)
    operation = "embeddings" if match.card.operations == {"embeddings"} else "chat"
    prepared = prepare(match.card, place, tables.factors, operation=operation, match_warnings=match.warnings)
    return _Weighed(match, place, usage, prepared.estimate(usage))


def _rows(weighed: Estimate, *, indented: bool) -> list[dict[str, Cell]]:
    quantities: list[tuple[str, str, Quantity]] = [(name, unit, getattr(weighed, field)) for name, unit, field in LINES]
    return [
        {"line": name if indented else name.strip(), "unit": unit, "expected": each.mean, "p5": each.p5, "p95": each.p95}
        for name, unit, each in quantities
    ]


def _as_json(model: str, weighed: _Weighed) -> dict[str, object]:
    result, place = weighed.estimate, weighed.place
    quantities: dict[str, Quantity] = {field: getattr(result, field) for _, _, field in LINES}
    return {
        "model": model,
        "weighed_as": weighed.match.card.id,
        "match": weighed.match.match,
        **{field: {"expected": each.mean, "p5": each.p5, "p95": each.p95} for field, each in quantities.items()},
        "quality": result.quality,
        "quality_parts": result.quality_parts._asdict(),
        "method": f"{result.method}@{result.method_version}",
        "profile": result.profile,
        "factor_set": result.factor_set,
        "provider": place.provider,
        "region": place.region,
        "zone": place.zone,
        "place_assumed": place.assumed,
        "gco2e_per_kwh": result.gco2e_per_kwh,
        "intensity_source": result.intensity_source,
        "intensity_year": result.intensity_year,
        "warnings": list(result.warnings),
    }


def _facts(model: str, weighed: _Weighed) -> list[str]:
    result, place, card = weighed.estimate, weighed.place, weighed.match.card
    parts = ", ".join(f"{name} {tier}" for name, tier in result.quality_parts._asdict().items())
    where = f"{place.provider} {place.region or ''}".strip() + (" (assumed)" if place.assumed else "")
    named = "" if card.id == model else f", weighed as {card.id}"
    source = f"{result.intensity_source} {result.intensity_year}"
    return [
        f"model      {model}{named} ({card.vendor}, size {card.size_basis})",
        f"place      {where}, grid {place.zone}: {two_digits(result.gco2e_per_kwh)} gCO2e/kWh, {source}",
        f"quality    {result.quality} ({TIERS[result.quality]}); {parts}",
        f"method     {result.method}@{result.method_version}, profile {result.profile}, factor set {result.factor_set}",
        *([f"warnings   {', '.join(result.warnings)}"] if result.warnings else []),
    ]


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
