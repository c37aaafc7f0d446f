"""`grammage simulate`: what a plan would weigh, plans compared, and the study of 2025. It must never weigh by itself."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from config.equivalences import Equivalence, read_equivalences
from config.load_scenario import load_scenario
from config.scenario import Scenario
from config.tables import Tables, load_tables
from proxy.cli.output import Format, message
from proxy.cli.place_hints import place_hints
from proxy.cli.simulate_document import Simulation
from proxy.cli.simulate_show import show_simulation
from proxy.cli.simulate_study import show_study
from proxy.cli.speech import Lang, Speech
from proxy.scenario.advise import advise
from proxy.scenario.compare import compare
from proxy.scenario.study import TODAY, Present, study_page
from proxy.scenario.weigh import TEXTS, Weighed, weigh

FLAGS: Mapping[str, str] = {
    "name": "name",
    "model": "model",
    "provider": "provider",
    "region": "region",
    "zone": "zone",
    "products": "products",
    "texts_per_product": "texts_per_product",
    "languages": "languages",
    "variants": "variants",
    "audiences": "audiences",
    "campaigns": "campaigns_per_year",
    "iterations": "iterations",
    "retries": "retries",
    "input_tokens": "input_tokens",
    "input_words": "input_words",
    "cached_tokens": "cached_input_tokens",
    "output_tokens": "output_tokens",
    "output_words": "output_words",
    "images": "images.per_product",
    "image_model": "images.model",
    "image_quality": "images.quality",
}
"""Option to key of a scenario; an option changes every scenario file."""

OF_THE_STUDY = frozenset({"model", "provider", "region", "images.model", "images.quality"})
"""What the study page can be asked to show beside its own; all but the model count only with one."""


class Preset(StrEnum):
    """Ready-made pages."""

    STUDY = "study"


def simulate(
    ctx: typer.Context,
    preset: Annotated[Preset | None, typer.Option(help="The study of May 2025 beside our own figures.")] = None,
    scenario: Annotated[
        list[Path] | None, typer.Option(help="Scenario file (YAML); several are compared, the first is the baseline.")
    ] = None,
    compare_with: Annotated[list[str] | None, typer.Option("--compare", help="key=a,b: the first scenario again with each value.")] = None,
    name: Annotated[str | None, typer.Option(help="What tables call it.")] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model that writes the texts.")] = None,
    provider: Annotated[str | None, typer.Option(help="Who serves it; default: the model's vendor.")] = None,
    region: Annotated[str | None, typer.Option(help="Cloud region, such as swedencentral.")] = None,
    zone: Annotated[str | None, typer.Option(help="Grid zone, such as FR.")] = None,
    products: Annotated[int | None, typer.Option(help="Products that get a text.")] = None,
    texts_per_product: Annotated[float | None, typer.Option(help="Texts per product and version; 0: pictures only.")] = None,
    languages: Annotated[int | None, typer.Option(help="Languages of each text.")] = None,
    variants: Annotated[int | None, typer.Option(help="Versions of each text and picture.")] = None,
    audiences: Annotated[int | None, typer.Option(help="Audiences with versions of their own.")] = None,
    campaigns: Annotated[float | None, typer.Option(help="How often a year all of that is made.")] = None,
    iterations: Annotated[float | None, typer.Option(help="Drafts for each text or picture kept.")] = None,
    retries: Annotated[float | None, typer.Option(help="Calls sent again, per call: 0.1 is one in ten.")] = None,
    input_tokens: Annotated[int | None, typer.Option("--input-tokens", "-i", help="Length of a prompt.")] = None,
    input_words: Annotated[float | None, typer.Option(help="The same in words.")] = None,
    cached_tokens: Annotated[int | None, typer.Option(help="Prompt tokens read from the provider's cache.")] = None,
    output_tokens: Annotated[int | None, typer.Option("--output-tokens", "-o", help="Length of an answer.")] = None,
    output_words: Annotated[float | None, typer.Option(help="The same in words.")] = None,
    images: Annotated[float | None, typer.Option(help="Pictures per product and version.")] = None,
    image_model: Annotated[str | None, typer.Option(help="Model that makes them.")] = None,
    image_size: Annotated[str | None, typer.Option(help="Their size, such as 1024x1024.")] = None,
    image_quality: Annotated[str | None, typer.Option(help="Their quality, in the provider's word.")] = None,
    lang: Annotated[Lang, typer.Option(help="Language of tables and notes.")] = Lang.EN,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """What a plan would weigh: texts and pictures for products, languages, variants and audiences, with what would weigh less."""
    tables, speech = load_tables(), Speech(lang)
    changes = _changes(ctx.params, image_size)
    if preset is Preset.STUDY:
        _refuse_unused(changes, scenario or compare_with)
        show_study(study_page(tables, units(), _today(changes)), tables, speech, form)
        return
    plans = _plans(scenario or [], compare_with or [], changes)
    weighed = [weigh(plan, tables, name=label) for label, plan in plans]
    for each in weighed:
        _hint(each, tables)
    show_simulation(
        Simulation(
            weighed=tuple(weighed),
            comparisons=tuple(compare(each, weighed[0]) for each in weighed[1:]),
            advice=advise(weighed[0], tables),
            units=units(),
        ),
        speech,
        form,
    )


def units() -> tuple[Equivalence, ...]:
    """ADEME's everyday units, as they ship."""
    return read_equivalences(files("config").joinpath("data"))


def _changes(params: Mapping[str, object], image_size: str | None) -> dict[str, object]:
    """What the options set, by key of a scenario."""
    found = {key: params[option] for option, key in FLAGS.items() if params[option] is not None}
    if image_size is not None:
        width, _, height = image_size.lower().partition("x")
        if not (width.isdigit() and height.isdigit()):
            raise typer.BadParameter(f"{image_size!r} is not width x height in pixels, such as 1024x1024", param_hint="--image-size")
        found |= {"images.width": int(width), "images.height": int(height)}
    return found


def _plans(scenario_files: Sequence[Path], comparisons: Sequence[str], changes: Mapping[str, object]) -> list[tuple[str, Scenario]]:
    """Every scenario with its label; the first is the baseline."""
    if not scenario_files and "model" not in changes and not any(each.startswith("model=") for each in comparisons):
        raise typer.BadParameter("name a model, or a file with --scenario", param_hint="--model")
    sources: list[Path | None] = [*scenario_files] or [None]
    plans = []
    if scenario_files or "model" in changes:
        for file in sources:
            plan = load_scenario(file, changes)
            plans.append((plan.name or (file.stem if file is not None else _main_model(plan)), plan))
    for each in comparisons:
        key, _, values = each.partition("=")
        if not key or not values:
            raise typer.BadParameter(f"{each!r} is not key=value,value, such as model=gpt-4o-mini,mistral-small", param_hint="--compare")
        for value in (part.strip() for part in values.split(",")):
            plan = load_scenario(sources[0], {**changes, key: value})
            plans.append((value if key == "model" else f"{key} {value}", plan))
    return _told_apart(plans)


def _main_model(plan: Scenario) -> str:
    """The model of the texts, or of the pictures where no texts are made."""
    return plan.model if plan.texts_per_product or plan.images is None else plan.images.model


def _told_apart(plans: Sequence[tuple[str, Scenario]]) -> list[tuple[str, Scenario]]:
    """Labels that occur twice get their place in the row."""
    labels = [label for label, _ in plans]
    return [(f"{label} ({at})" if labels.count(label) > 1 else label, plan) for at, (label, plan) in enumerate(plans, start=1)]


def _refuse_unused(changes: Mapping[str, object], plans: object) -> None:
    """Ends the command for options that would change nothing on the study page."""
    unused = sorted(key for key in changes if key not in OF_THE_STUDY or "model" not in changes)
    if unused or plans:
        named = ", ".join([*unused, *(["a scenario or --compare"] if plans else [])])
        raise typer.BadParameter(
            f"the study's volumes are its own; without effect: {named}. It takes a model, with or without "
            "provider, region, image model and image quality",
            param_hint="--preset",
        )


def _today(changes: Mapping[str, object]) -> tuple[Present, ...]:
    """The usual ways to make it today, and the one that the options name."""
    if "model" not in changes:
        return TODAY
    own = Present(
        id="own",
        model=str(changes["model"]),
        image_model=str(changes.get("images.model", TODAY[0].image_model)),
        image_quality=str(changes.get("images.quality", TODAY[0].image_quality)),
        provider=str(changes["provider"]) if "provider" in changes else None,
        region=str(changes["region"]) if "region" in changes else None,
    )
    return (*TODAY, own)


def _hint(weighed: Weighed, tables: Tables) -> None:
    plan = weighed.scenario
    for part in weighed.parts:
        if part.kind == TEXTS:
            served_by = plan.provider or ("" if "provider-unknown" in part.place.warnings else part.place.provider)
            found = place_hints(tables.places, provider=served_by, region=plan.region, zone=plan.zone, warnings=part.place.warnings)
            for hint in found:
                message(hint)
