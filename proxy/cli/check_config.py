"""`grammage check-config`: what a configuration leads to, or what is wrong with it. It must never start anything."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from config.check import start_refusals
from config.deployment import Deployment
from config.load import ConfigError, config_path, load_settings
from config.providers import public_base
from config.series import MOST_SERIES, SeriesForecast, expected_series
from config.settings import Settings
from config.tables import Tables, load_tables
from proxy.cli.hardware_hints import hardware_hints
from proxy.cli.output import Cell, Format, message, show_rows
from proxy.cli.place_hints import place_hints
from proxy.cli.policy_hints import policy_hints
from proxy.policy.candidates import stated_hardware
from proxy.policy.expression import expression_faults
from proxy.shadow import shadow_refusals

COLUMNS = ("alias", "provider", "model", "region", "zone", "place_assumed", "size_basis", "tier", "warnings")
TURN = ("order", "weight")
"""Shown in the table where an alias has several deployments."""

NAMED_BY_CALLER = "(the caller's)"


def check_config(
    file: Annotated[Path | None, typer.Argument(help="Configuration; default: GRAMMAGE_CONFIG, else the built-in defaults.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Check a configuration; show where each alias is served, how well it can be weighed, and how many metric series to expect."""
    path = config_path(file, os.environ)
    name = str(path) if path else "built-in defaults"
    try:
        settings = load_settings(path, os.environ, [expression_faults])
    except ConfigError as error:
        _refuse(error, form)
        raise typer.Exit(1) from None
    tables = load_tables()
    rows = list(_rows(settings, tables))
    forecast = expected_series(
        settings, [(str(row["alias"]), str(row["provider"]), str(row["zone"])) for row in rows if row["model"] != NAMED_BY_CALLER]
    )
    refusals = (*start_refusals(settings), *shadow_refusals(settings.weighing.shadow))
    if form is Format.JSON:
        _show_json(name, rows, forecast, refusals)
    elif rows or form is Format.CSV:
        shared = form is Format.CSV or any(len(entry.deployments) > 1 for entry in settings.models.values())
        show_rows(rows, (*COLUMNS[:3], *TURN, *COLUMNS[3:]) if shared else COLUMNS, form)
    for text in (*_hints(settings, tables), *policy_hints(settings, tables), *refusals):
        message(f"{name}: {text}")
    if refusals:
        raise typer.Exit(1)
    if form is Format.TABLE:
        if not rows:
            print(f"no aliases: every model goes to {settings.upstream or public_base('openai')}")
        print(_series_line(forecast))
        print(f"ok: {name}; auth: {settings.auth_mode}; listens on {settings.server.listen}")


def _rows(settings: Settings, tables: Tables) -> Iterator[dict[str, Cell]]:
    for alias, entry in settings.models.items():
        for deployment in entry.deployments:
            yield _row(alias, deployment, tables)


def _hints(settings: Settings, tables: Tables) -> Iterator[str]:
    for alias, entry in settings.models.items():
        for each in entry.deployments:
            place = tables.places.resolve(each.provider, region=each.region, zone=each.zone, api_host=each.api_base)
            hints = place_hints(tables.places, provider=each.provider, region=each.region, zone=each.zone, warnings=place.warnings)
            yield from (f"models.{alias}: {hint}" for hint in hints)
            unknown = hardware_hints(stated_hardware(each), tables.factors)
            yield from (f"models.{alias}: hardware: {hint}; until then it counts as not stated" for _, hint in unknown)


def _row(alias: str, deployment: Deployment, tables: Tables) -> dict[str, Cell]:
    place = tables.places.resolve(deployment.provider, region=deployment.region, zone=deployment.zone, api_host=deployment.api_base)
    weighed_as = deployment.catalogue_model or deployment.model or ("" if "*" in alias else alias)
    match = tables.catalogue.resolve(weighed_as) if weighed_as else None
    warnings = (match.warnings if match else ()) + place.warnings
    return {
        "alias": alias,
        "provider": deployment.provider,
        "model": weighed_as or NAMED_BY_CALLER,
        "order": deployment.order,
        "weight": int(deployment.weight) if deployment.weight.is_integer() else deployment.weight,
        "region": place.region,
        "zone": place.zone,
        "place_assumed": place.assumed,
        "size_basis": match.card.size_basis if match else None,
        "tier": match.card.tier if match else None,
        "warnings": ", ".join(warnings) or None,
    }


def _series_line(forecast: SeriesForecast) -> str:
    scope = f"aliases {forecast.models}" if forecast.models else "for each model in use"
    line = f"metric series to expect: {forecast.expected} ({scope}, tag combinations {forecast.tag_combinations})"
    return f"{line}; beyond {MOST_SERIES} new combinations are counted as `other`" if forecast.folds else line


def _show_json(name: str, rows: list[dict[str, Cell]], forecast: SeriesForecast, refusals: tuple[str, ...]) -> None:
    series = {
        "expected": forecast.expected,
        "limit": MOST_SERIES,
        "tag_combinations": forecast.tag_combinations,
        "aliases": forecast.models,
    }
    print(
        json.dumps(
            {"file": name, "ok": not refusals, "series": series, "aliases": rows, "problems": list(refusals)}, indent=2, ensure_ascii=False
        )
    )


def _refuse(error: ConfigError, form: Format) -> None:
    message(str(error))
    if form is Format.JSON:
        problems = [
            {"file": each.file, "line": each.line, "column": each.column, "key": each.key, "message": each.message}
            for each in error.problems
        ]
        print(json.dumps({"ok": False, "problems": problems}, indent=2, ensure_ascii=False))
