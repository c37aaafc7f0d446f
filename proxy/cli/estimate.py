"""`grammage estimate`: weighs a call before it is made. It must never show a figure without its range, tier and method."""

import re
from typing import Annotated, NoReturn

import typer

from config.tables import Tables, load_tables
from estimators.hardware import Hardware
from estimators.planned import OPERATIONS, PlanIncomplete, Planned
from estimators.profiles import DEFAULT_PROFILE
from proxy.cli.estimate_show import show_many, show_one
from proxy.cli.estimate_weigh import CHOICES, Question, Weighed, weigh
from proxy.cli.hardware_hints import hardware_hints
from proxy.cli.output import Format, message
from proxy.cli.place_hints import place_hints

SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
OPTIONS = {"cached_input_tokens": "--cached-tokens", "width": "--size", "height": "--size"}
"""Fields of a plan that the command line calls by another word."""

Whole = int | None
Real = float | None
Word = str | None


def estimate(
    model: Annotated[list[str], typer.Option("--model", "-m", help="Model, as its provider names it; repeat it to compare several.")],
    input_tokens: Annotated[Whole, typer.Option("--input-tokens", "-i", min=0, help="Input tokens, cached ones included.")] = None,
    output_tokens: Annotated[Whole, typer.Option("--output-tokens", "-o", min=0, help="Output tokens, reasoning included.")] = None,
    cached_tokens: Annotated[int, typer.Option("--cached-tokens", min=0, help="Input tokens read from the provider's cache.")] = 0,
    operation: Annotated[Word, typer.Option("--operation", help=f"{', '.join(OPERATIONS)}; default: what the model does.")] = None,
    images: Annotated[Whole, typer.Option("--images", min=1, help="Pictures to make; default 1.")] = None,
    size: Annotated[Word, typer.Option("--size", help="Pixels of a picture or a clip, such as 1024x1536.")] = None,
    quality: Annotated[Word, typer.Option("--quality", help="The provider's word, such as low, high or hd.")] = None,
    steps: Annotated[Whole, typer.Option("--steps", min=1, help="Denoising steps of a diffusion model.")] = None,
    input_images: Annotated[int, typer.Option("--input-images", min=0, help="Pictures to read, edit or vary.")] = 0,
    video_seconds: Annotated[Real, typer.Option("--video-seconds", min=0.1, help="Length of the clip.")] = None,
    fps: Annotated[Real, typer.Option("--fps", min=1, help="Frames per second of the clip.")] = None,
    audio_seconds: Annotated[Real, typer.Option("--audio-seconds", min=0.1, help="Length of what is heard or spoken.")] = None,
    characters: Annotated[Whole, typer.Option("--characters", min=1, help="Length of the text to speak.")] = None,
    provider: Annotated[Word, typer.Option("--provider", help="Who serves it; default: the model's vendor.")] = None,
    region: Annotated[Word, typer.Option("--region", help="Cloud region, such as swedencentral.")] = None,
    zone: Annotated[Word, typer.Option("--zone", help="Grid zone, such as FR, when the region is unknown.")] = None,
    prior: Annotated[str, typer.Option("--prior", help=f"How busy the machines are: {', '.join(CHOICES['prior'])}.")] = "typical",
    gpu: Annotated[Word, typer.Option("--gpu", help="Accelerator that serves it, such as h100, where that is known.")] = None,
    gpus: Annotated[Whole, typer.Option("--gpus", min=1, help="Accelerators that serve one copy of the model together.")] = None,
    precision: Annotated[Word, typer.Option("--precision", help="Of the weights, such as bf16, fp8 or int4.")] = None,
    batch: Annotated[Real, typer.Option("--batch", min=1, help="Requests decoded together on one copy, on average.")] = None,
    profile: Annotated[str, typer.Option("--profile", help=f"Boundary: {', '.join(CHOICES['profile'])}.")] = DEFAULT_PROFILE,
    method: Annotated[Word, typer.Option("--method", help=f"One of {', '.join(CHOICES['method'])}; default: by operation.")] = None,
    beside: Annotated[list[str] | None, typer.Option("--beside", help="Method to show beside; may be repeated.")] = None,
    exact: Annotated[bool, typer.Option("--exact", help="The counts are the provider's own, not a forecast.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Weigh a call before it is made: energy, gCO2e with its range, water, and how well each part is known."""
    width, height = _pixels(size)
    planned = Planned(
        operation=operation, input_tokens=input_tokens, cached_input_tokens=cached_tokens, output_tokens=output_tokens,
        images=images, input_images=input_images, width=width, height=height, quality=quality, steps=steps,
        video_seconds=video_seconds, fps=fps, audio_seconds=audio_seconds, characters=characters,
        source="provider" if exact else "estimated",
    )  # fmt: skip
    others = tuple(beside or ())
    machines = Hardware(gpu=gpu, gpus=gpus, precision=precision, batch=batch)
    question = Question(
        provider=provider, region=region, zone=zone, prior=prior, profile=profile, method=method, beside=others, hardware=machines
    )
    _check_choices(question)
    tables = load_tables()
    for field, hint in hardware_hints(machines, tables.factors):
        raise typer.BadParameter(hint, param_hint=f"--{field}")
    found = [_weighed(tables, name, planned, question) for name in _names(model)]
    if len(found) == 1:
        show_one(found[0], form)
    else:
        show_many(found, form)
    for hint in dict.fromkeys(hint for one in found for hint in _hints(tables, one, question)):
        message(hint)


def _weighed(tables: Tables, model: str, planned: Planned, question: Question) -> Weighed:
    try:
        return weigh(tables, model, planned, question)
    except PlanIncomplete as problem:
        option = OPTIONS.get(problem.field, f"--{problem.field.replace('_', '-')}")
        raise typer.BadParameter(f"{model}: {problem}", param_hint=option) from problem
    except ValueError as problem:
        raise typer.BadParameter(f"{model}: {problem}", param_hint="--method") from problem


def _names(models: list[str]) -> list[str]:
    """The models, each once."""
    if not all(name.strip() for name in models):
        raise typer.BadParameter("is empty; name a model, such as gpt-4o-mini", param_hint="--model")
    return list(dict.fromkeys(models))


def _pixels(size: str | None) -> tuple[int, int] | tuple[None, None]:
    if size is None:
        return None, None
    found = SIZE.fullmatch(size.strip().lower())
    if found is None or not int(found[1]) or not int(found[2]):
        raise typer.BadParameter(f"{size!r} is no size; write width x height, such as 1024x1536", param_hint="--size")
    return int(found[1]), int(found[2])


def _check_choices(question: Question) -> None:
    """Names what exists where a word does not."""
    for option, words in (
        ("prior", (question.prior,)),
        ("profile", (question.profile,)),
        ("method", (question.method,) if question.method else ()),
        ("beside", question.beside),
    ):
        for word in words:
            if word not in CHOICES[option]:
                _refuse_choice(option, word)


def _refuse_choice(option: str, word: str) -> NoReturn:
    raise typer.BadParameter(f"{word!r} does not exist; known: {', '.join(CHOICES[option])}", param_hint=f"--{option}")


def _hints(tables: Tables, weighed: Weighed, question: Question) -> list[str]:
    place = weighed.place
    served_by = question.provider or ("" if "provider-unknown" in place.warnings else place.provider)
    return list(place_hints(tables.places, provider=served_by, region=question.region, zone=question.zone, warnings=place.warnings))
