"""`grammage regions`: cloud regions and their grids as a table. It must never show an intensity without its source and year."""

from typing import Annotated

import typer

from config.grid import Region
from config.places import Places
from config.tables import load_tables
from proxy.cli.output import Cell, Format, message, show_rows

COLUMNS = ("provider", "region", "name", "zone", "gco2e_per_kwh", "pue", "wue_onsite_l_per_kwh", "intensity_year", "intensity_source")
DETAILS = ("gco2e_per_kwh_low", "gco2e_per_kwh_high", "market_based_gco2e_per_kwh", "intensity_licence", "region_source")


def regions(
    provider: Annotated[str, typer.Option("--provider", "-p", help="Only regions of this provider.")] = "",
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """List the cloud regions: their grid zone, its yearly average intensity (lifecycle, location-based), PUE and on-site water."""
    places = load_tables().places
    known = sorted({region.provider for region in places.regions()})
    rows = [_row(places, region) for region in places.regions() if provider in ("", region.provider)]
    if not rows:
        message(f"no regions of provider {provider!r}; known: {', '.join(known)}.")
        raise typer.Exit(1)
    show_rows(rows, COLUMNS if form is Format.TABLE else COLUMNS + DETAILS, form)


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
        "market_based_gco2e_per_kwh": place.market_based_gco2e_per_kwh,
        "pue": place.pue.value,
        "wue_onsite_l_per_kwh": place.wue_onsite_l_per_kwh.value,
        "intensity_year": place.intensity_year,
        "intensity_source": place.intensity_source,
        "intensity_licence": place.intensity_licence,
        "region_source": region.source,
    }
