"""Gathers what every export is made of: the report, and the ledger's sums as fine as an inventory needs them. It must never sum twice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from config.factor import Factor
from config.settings import Settings
from config.tables import Tables
from proxy.alternative.worth import PROVIDER as OWN_ALTERNATIVE
from proxy.ledger.inventory_cells import InventoryCell, Weighed, read_inventory
from proxy.ledger.report_read import read_extent
from proxy.reports.compose import compose
from proxy.reports.document import Report
from proxy.reports.period import Span, zone_named
from proxy.reports.request import BRAND, CAMPAIGN, ReportRequest, plan_of
from proxy.reports.restated import BASES, YEARLY, restated

TAGS: Final = (BRAND, CAMPAIGN)
"""Tags that cells of an export are told apart by, in this order."""

OWN: Final = "local"
"""The row of the places table that stands for machines of one's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What an export is made of. months: names of the months that `cell.month` counts. own_providers: whose machines are one's own.

    with_simulated: figures hold what the simulated provider answered, as if it had been real. factor_set: of the tables at hand.
    """

    report: Report
    cells: Sequence[InventoryCell]
    weighed: Sequence[Weighed]
    months: tuple[str, ...]
    own_providers: frozenset[str]
    factors: Mapping[str, Factor]
    factor_set: str
    with_simulated: bool = False


def gather(url: str, request: ReportRequest, settings: Settings, tables: Tables, *, with_simulated: bool = False) -> Gathered:
    """Everything. Blocks. Raises StartError when the ledger cannot be read, ValueError for an unknown time zone or basis."""
    plan = plan_of(request, settings, read_extent(url))
    starts, names = _months(plan.span, request.time_zone)
    found = read_inventory(url, plan.asked.selection, TAGS, starts)
    local = next(row for row in tables.places.providers() if row.provider == OWN)
    return Gathered(
        report=compose(url, request, settings, tables),
        cells=tuple(_by_basis(found.cells, request, tables)),
        weighed=found.weighed,
        months=names,
        own_providers=frozenset((local.provider, *local.aliases, OWN_ALTERNATIVE)),
        factors=tables.factors,
        factor_set=tables.factors.stamp,
        with_simulated=with_simulated,
    )


def _by_basis(cells: Sequence[InventoryCell], request: ReportRequest, tables: Tables) -> Sequence[InventoryCell]:
    """The cells by the declared basis where one was asked for; their intensity is that of the basis then."""
    if request.intensity == YEARLY:
        return cells
    basis = BASES[request.intensity]
    factor = tables.factors[basis.factor]
    return [_restated(cell, basis.zone, factor) for cell in cells]


def _restated(cell: InventoryCell, zone: str, factor: Factor) -> InventoryCell:
    moved = restated(cell.opinions, zone, factor)
    if moved is cell.opinions:
        return cell
    return replace(cell, opinions=moved, gco2e_per_kwh=factor.value, intensity_source=factor.source, intensity_year=factor.year)


def _months(span: Span, zone_name: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """When each month but the first begins, and the names of all; by the clock of the zone."""
    zone = zone_named(zone_name)
    first = datetime.fromtimestamp(span.since_ms / 1000, zone)
    starts: list[int] = []
    names = [f"{first:%Y-%m}"]
    at = first.year * 12 + first.month
    while (start := datetime(at // 12, at % 12 + 1, 1, tzinfo=zone)).timestamp() * 1000 < span.until_ms:
        starts.append(round(start.timestamp() * 1000))
        names.append(f"{start:%Y-%m}")
        at += 1
    return tuple(starts), tuple(names)
