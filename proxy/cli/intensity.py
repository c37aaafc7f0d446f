"""`grammage intensity`: asks the configured live sources once and shows what they say. It must never show a figure without its basis."""

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.load import load_settings
from config.places import Places
from config.settings import LiveIntensity
from config.tables import load_tables
from proxy.cli.output import Cell, Format, message, show_rows
from proxy.clock import Clock

if TYPE_CHECKING:
    from proxy.intensity.asker import Asker
    from proxy.intensity.keeper import Keeper
    from proxy.intensity.snapshot import Current

COLUMNS = ("zone", "source", "gco2e_per_kwh", "yearly_gco2e_per_kwh", "since", "age_s", "state", "kind", "basis")
PROBLEM, UNREACHABLE = 1, 3


def intensity(
    file: Annotated[Path | None, typer.Option("--config", "-c", help="Configuration; default: GRAMMAGE_CONFIG, else the defaults.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Ask the live sources of the configuration once: each grid's carbon intensity now, beside the yearly figure that totals use."""
    sources = load_settings(file, os.environ).intensity.sources
    if not sources:
        message("no live source is configured: name some under `intensity: {sources: [...]}`; totals use the yearly figures in any case.")
        raise typer.Exit(PROBLEM)
    keeper = asyncio.run(_asked(sources))
    places = load_tables().places
    rows = [_row(found, places) for found in keeper.now()]
    if rows:
        show_rows(rows, COLUMNS, form)
    problems = [(asker.settings.kind, line) for asker in keeper.askers for line in asker.lines if line.problem or not line.due_s]
    for kind, line in problems:
        message(f"{kind} {line.zone} ({line.page}): {line.problem or 'not asked: the source wants to be left alone'}")
    if problems:
        raise typer.Exit(PROBLEM if rows else UNREACHABLE)


async def _asked(sources: Sequence[LiveIntensity]) -> "Keeper":
    from proxy.http_client import close_session, fetch, open_session  # slow (aiohttp), needed to ask only
    from proxy.intensity.keeper import Keeper

    session = open_session()
    try:
        keeper = Keeper(sources, partial(fetch, session), Clock())
        await asyncio.gather(*(_ask_once(keeper, asker) for asker in keeper.askers))
    finally:
        await close_session(session)
    return keeper


async def _ask_once(keeper: "Keeper", asker: "Asker") -> None:
    """Each of the source's lines once, as far as it lets itself be asked."""
    from proxy.intensity.asker import SPACING_S  # as above

    for _ in asker.lines:
        wait_s = await keeper.step(asker)
        if wait_s > SPACING_S:
            return
        if not all(line.due_s for line in asker.lines):
            await asyncio.sleep(wait_s)


def _row(found: "Current", places: Places) -> dict[str, Cell]:
    zone = places.zone(found.zone)
    return {
        "zone": found.zone,
        "source": found.source,
        "gco2e_per_kwh": found.gco2e_per_kwh,
        "yearly_gco2e_per_kwh": zone.gco2e_per_kwh.value if zone is not None else None,
        "since": datetime.fromtimestamp(found.at_s, UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "age_s": round(found.age_s),
        "state": found.state,
        "kind": found.kind,
        "basis": f"{found.flow}-based, {found.basis}",
    }
