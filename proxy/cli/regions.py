"""`grammage regions`: cloud regions and their grids as a table. It must never show an intensity without its source and year."""

import difflib
from enum import StrEnum
from typing import Annotated

import typer

from config.grid import Region
from config.places import Places
from config.tables import load_tables
from proxy.cli.output import Cell, Format, message, show_rows

COLUMNS = ("provider", "region", "name", "zone", "gco2e_per_kwh", "p5", "p95", "pue", "wue_onsite_l_per_kwh", "year")
DETAILS = (
    "provider",
    "region",
    "name",
    "zone",
    "gco2e_per_kwh",
    "pue",
    "wue_onsite_l_per_kwh",
    "intensity_year",
    "intensity_source",
    "gco2e_per_kwh_low",
    "gco2e_per_kwh_high",
    "market_based_gco2e_per_kwh",
    "intensity_licence",
    "region_source",
)


class Order(StrEnum):
    """What comes first."""

    NAME = "name"
    GCO2E = "gco2e"
    WATER = "water"


def regions(
    provider: Annotated[str, typer.Option("--provider", "-p", help="Only regions of this provider.")] = "",
    search: Annotated[str, typer.Option("--search", "-s", help="Only regions whose id, name or grid zone contains this.")] = "",
    below: Annotated[float | None, typer.Option("--below", min=0, help="Only grids below this many gCO2e/kWh.")] = None,
    order: Annotated[Order, typer.Option("--sort", help="By name, or lowest gCO2e/kWh or on-site water first.")] = Order.NAME,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """List the cloud regions: their grid zone, its yearly average intensity (lifecycle, location-based), PUE and on-site water."""
    places = load_tables().places
    wanted = _cloud(places, provider)
    rows = [_row(places, region) for region in places.regions() if wanted in ("", region.provider)]
    rows = [row for row in rows if search.lower() in f"{row['region']} {row['name']} {row['zone']}".lower()]
    rows = [row for row in rows if below is None or _number(row, "gco2e_per_kwh") < below]
    if not rows:
        message(
            f"no region of {provider or 'any provider'} matches; a region that is not listed is weighed by its grid zone, if one is named."
        )
        raise typer.Exit(1)
    if order is not Order.NAME:
        column = "gco2e_per_kwh" if order is Order.GCO2E else "wue_onsite_l_per_kwh"
        rows.sort(key=lambda row: _number(row, column))
    show_rows(rows, COLUMNS if form is Format.TABLE else DETAILS, form)
    if form is Format.TABLE:
        sources = dict.fromkeys(f"{row['intensity_source']} ({row['intensity_licence']})" for row in rows)
        print(f"gCO2e per kWh: yearly average, lifecycle, location-based. Sources: {'; '.join(sources)}.")


def _cloud(places: Places, provider: str) -> str:
    """The provider whose regions are meant, by its own name or another; leaves the command where nobody is."""
    named = {region.provider for region in places.regions()}
    if provider in ("", *named):
        return provider
    cloud = next((row.cloud for row in places.providers() if provider in (row.provider, *row.aliases)), None)
    if cloud in named:
        return str(cloud)
    near = difflib.get_close_matches(provider, named, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    message(f"no regions of provider {provider!r}; {meant}known: {', '.join(sorted(named))}.")
    raise typer.Exit(1)


def _number(row: dict[str, Cell], column: str) -> float:
    found = row[column]
    return float(found) if found is not None else float("inf")


def _row(places: Places, region: Region) -> dict[str, Cell]:
    place = places.resolve(region.provider, region=region.region)
    return {
        "provider": region.provider,
        "region": region.region,
        "name": region.name,
        "zone": place.zone,
        "gco2e_per_kwh": place.gco2e_per_kwh.value,
        "gco2e_per_kwh_low": place.gco2e_per_kwh.low,
        "gco2e_per_kwh_high": place.gco2e_per_kwh.high,
        "p5": place.gco2e_per_kwh.low,
        "p95": place.gco2e_per_kwh.high,
        "market_based_gco2e_per_kwh": place.market_based_gco2e_per_kwh,
        "pue": place.pue.value,
        "wue_onsite_l_per_kwh": place.wue_onsite_l_per_kwh.value,
        "year": place.intensity_year,
        "intensity_year": place.intensity_year,
        "intensity_source": place.intensity_source,
        "intensity_licence": place.intensity_licence,
        "region_source": region.source,
    }
