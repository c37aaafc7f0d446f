"""`grammage policy evaluate`: labelled calls through the policies, grams against quality. It must never send a call."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.load import load_settings
from config.problem import ConfigError, Problem
from config.text_file import read_text
from proxy.cli.output import Cell, Format, message, show_rows
from proxy.errors import GrammageError
from proxy.policy.expression import expression_faults

if TYPE_CHECKING:
    from config.settings import Settings
    from proxy.cli.policy_evaluated import Evaluation
    from proxy.labelled.rows import Row
    from proxy.labelled.ways import Served, Way

WAYS = (
    "way", "gco2e", "gco2e_low", "gco2e_high", "water_ml", "quality", "change", "change_low", "change_high", "moved",
    "escalated", "refused",
)  # fmt: skip
ADVICE = ("group", "calls", "alias", "change", "gco2e", "gco2e_before")
POLICIES, ORACLE, MIXED = "the policies", "oracle", "mixed at random, same quality"
PER_CENT = 100

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration; default: GRAMMAGE_CONFIG.")]


def evaluate(
    file: Annotated[
        Path, typer.Argument(help="CSV of labelled calls: alias, input_tokens, tag.stage, small.score, small.output_tokens ...")
    ],
    config: ConfigFile = None,
    large: Annotated[str | None, typer.Option("--large", help="The model to compare with; default: the heaviest that has scores.")] = None,
    small: Annotated[str | None, typer.Option("--small", help="The smallest model; default: the lightest that has scores.")] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", min=0, max=1, help="Score below the large one's that the oracle accepts.")
    ] = 0.0,
    by: Annotated[list[str] | None, typer.Option("--by", help="A tag: suggest a model for each of its values; may be repeated.")] = None,
    within: Annotated[float, typer.Option("--within", min=0, max=100, help="Mean quality that suggestions may give up, per cent.")] = 1.0,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Grams against mean quality of labelled calls: under the policies, always small, always large, mixed at random, by an oracle.

    Policies in mode shadow are looked at as if they acted.
    """
    from config.tables import load_tables  # slow to import; the help needs none of it
    from proxy.cli.policy_evaluated import Evaluation
    from proxy.labelled.rows import read_rows

    rows = read_rows(read_text(file, "name another file"), str(file))
    settings = _acting(load_settings(config, os.environ, [expression_faults]))
    try:
        evaluation = Evaluation(settings, load_tables(), rows, large=large, small=small)
        ways = _ways(evaluation, tolerance)
    except GrammageError as error:
        message(f"{error.code}: {error.message}")
        raise typer.Exit(1) from None
    except LookupError as error:
        raise ConfigError([Problem(file=str(file), line=0, column=0, key="", message=str(error.args[0]))]) from None
    tables: list[tuple[Sequence[Mapping[str, Cell]], Sequence[str]]] = [(ways, WAYS)]
    if by:
        _must_be_tags(by, rows)
        tables = [(_advice(rows, evaluation.tried, evaluation.large, by, within / PER_CENT), ADVICE)]
    for lines, columns in tables:
        show_rows(lines, columns, form, number=_four_digits)
    for line in _said(ways, evaluation.tried, evaluation.large, within) if not by else [_warning(within)]:
        message(line)


def _acting(settings: "Settings") -> "Settings":
    """The same with policies that only watch as if they acted."""
    watching = [policy.name for policy in settings.policies if policy.mode == "shadow"]
    if watching:
        message(f"looked at as if they acted: {', '.join(watching)}")
    policies = [policy.model_copy(update={"mode": "enforce"}) if policy.mode == "shadow" else policy for policy in settings.policies]
    return settings.model_copy(update={"policies": policies})


def _must_be_tags(by: Sequence[str], rows: "Sequence[Row]") -> None:
    known = sorted({name for row in rows for name in row.tags})
    for name in by:
        if name not in known:
            raise typer.BadParameter(f"no row has a column tag.{name}; tags there are: {', '.join(known) or 'none'}", param_hint="--by")


def _ways(evaluation: "Evaluation", tolerance: float) -> list[dict[str, Cell]]:
    """A row for each way of serving the calls."""
    from proxy.labelled.ways import mixed, oracle, way_of

    large, small = evaluation.large, evaluation.small
    always = {alias: [row[alias] for row in evaluation.tried] for alias in dict.fromkeys((large, small))}
    beside = always[large]
    found = {alias: way_of(f"always {alias}", rows, beside) for alias, rows in always.items()}
    policies = way_of(POLICIES, evaluation.under_policies(), beside)
    ideal = way_of(ORACLE, oracle(evaluation.lowest(), large, tolerance), beside)
    lines = [_line(way) for way in (found[large], found[small], policies, ideal)]
    share, grams = mixed(found[small], found[large], policies.quality)
    quality = share * found[large].quality + (1 - share) * found[small].quality
    between: dict[str, Cell] = {"way": MIXED, "gco2e": grams, "quality": quality, "change": quality - found[large].quality}
    return [*lines[:3], between, lines[3]]


def _line(way: "Way") -> dict[str, Cell]:
    return {"way": way.name, **{column: getattr(way, column) for column in WAYS[1:]}}


def _advice(
    rows: "Sequence[Row]", tried: "Sequence[Mapping[str, Served]]", large: str, by: Sequence[str], within: float
) -> list[dict[str, Cell]]:
    from proxy.labelled.advise import advise

    groups = [tuple(row.tags.get(name, "") for name in by) for row in rows]
    return [
        {
            "group": ", ".join(f"{name}={value or '-'}" for name, value in zip(by, each.group, strict=True)),
            "calls": each.calls,
            "alias": each.alias,
            "change": each.change,
            "gco2e": each.gco2e,
            "gco2e_before": each.gco2e_before,
        }
        for each in advise(groups, tried, large, within)
    ]


def _said(ways: Sequence[Mapping[str, Cell]], tried: "Sequence[Mapping[str, Served]]", large: str, within: float) -> list[str]:
    """What the table comes to, in words."""
    grams, quality = ({str(way["way"]): way[column] for way in ways} for column in ("gco2e", "quality"))
    base, under = float(grams[f"always {large}"] or 0), float(grams[POLICIES] or 0)
    change = f"{PER_CENT * (under / base - 1):+.1f} %" if base else "unknown"
    means = {alias: sum(row[alias].score for row in tried) / len(tried) for alias in tried[0]}
    weights = {alias: sum(row[alias].gco2e for row in tried) for alias in tried[0]}
    floor = means[large] * (1 - within / PER_CENT)
    enough = min((alias for alias in means if means[alias] >= floor), key=lambda alias: weights[alias])
    return [
        f"{len(tried)} calls; modelled difference in attributed emissions of the policies against always {large}: {change}, "
        f"mean quality {float(quality[POLICIES] or 0):.4f} against {means[large]:.4f}.",
        "mean scores, for `quality` of the aliases: " + ", ".join(f"{alias} {means[alias]:.4f}" for alias in means),
        f"one threshold for all calls that keeps mean quality within {within:g} %: quality_at_least: {int(means[enough] * 1000) / 1000} "
        f"({enough}); --by TAG suggests a model for each value of a tag.",
    ]


def _four_digits(number: float) -> str:
    """Qualities differ in the third digit."""
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.4g}"


def _warning(within: float) -> str:
    return (
        f"mean quality over all these rows stays within {within:g} %; the same rows suggested it: try it on others before you enforce it."
    )
