"""A whole report of a ledger, from its sums. It must never hold a figure that its basis does not explain."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from importlib.resources import files
from typing import Final

from config.equivalences import read_equivalences
from config.everyday import equivalents
from config.factor import Factor
from config.settings import Settings
from config.settings_hash import settings_hash
from config.tables import Tables
from config.tips import read_tips
from estimators.profiles import PROFILES
from proxy.call import PENDING
from proxy.ledger.cells import Cell
from proxy.ledger.queries import Opinions
from proxy.ledger.report_read import Read, read_extent, read_report
from proxy.reports.boundary import boundary_lines, hourly_of
from proxy.reports.change import explain
from proxy.reports.coverage import coverage
from proxy.reports.deliverables import LastWords, deliverables, units
from proxy.reports.document import Basis, Change, Likeness, Report
from proxy.reports.drivers import drivers
from proxy.reports.grouped import grouped_lines
from proxy.reports.habits import habits
from proxy.reports.imported import imported_lines
from proxy.reports.lighter import Bench, lighter
from proxy.reports.line import Line
from proxy.reports.notes import notes_of
from proxy.reports.own import own_weight
from proxy.reports.period import stamped, zone_named
from proxy.reports.policies import policy_lines
from proxy.reports.request import BRAND, CAMPAIGN, Plan, ReportRequest, plan_of
from proxy.reports.restated import BASES, YEARLY, restated, restated_cells
from proxy.reports.summary import WHOLE, line_of
from proxy.reports.sums import keyed
from proxy.reports.tree import tree

UNMETERED: Final = "unmetered"


def compose(url: str, request: ReportRequest, settings: Settings, tables: Tables) -> Report:
    """The report. Blocks. Raises StartError when the ledger cannot be read, ValueError for an unknown time zone or basis."""
    if request.intensity != YEARLY and request.intensity not in BASES:
        raise ValueError(f"{request.intensity!r} is no basis; known: {', '.join((YEARLY, *BASES))}")
    plan = plan_of(request, settings, read_extent(url))
    read = by_basis(read_report(url, plan.asked), request, tables)
    now, words, details = read.now, LastWords(read.words), read.details.cells
    opinions = [cell.opinions for cell in now.cells]
    total = line_of(WHOLE, now.whole, opinions, now.unweighed)
    team, kind = (plan.asked.detail_tags.index(name) for name in (request.team, request.kind))
    made = deliverables(read.assets.made.get(request.kind, {}), details, words, kind)
    groups = grouped_lines(read)
    data = files("config").joinpath("data")
    purposes = {name: campaign.purpose for name, campaign in settings.campaigns.items() if campaign.purpose}
    return Report(
        basis=_basis(request, plan, settings, opinions),
        total=total,
        hourly=hourly_of(details),
        boundary=boundary_lines(now.cells, None if read.pruned_before_ms else details),
        change=_change(read, plan, request),
        deliverables=made,
        units=units(details, tables.factors),
        unmetered_calls=next((line.calls for line in groups["operation"] if line.key == UNMETERED), 0),
        imported_calls=None if read.pruned_before_ms else sum(read.imported.calls_counted.values()),
        pending_calls=total.unweighed.get(PENDING, 0),
        instead=read.instead,
        coverage=coverage(read.compared, read.months),
        policies=policy_lines(read.policies),
        lighter=lighter(Bench(settings, tables), details, read.details.lengths, made),
        drivers=drivers(keyed(opinions, "gco2e")),
        equivalences=_likenesses(total) if request.equivalences else (),
        groups=groups,
        tree=tree(now.cells, read.assets.listed, *(plan.asked.cell_tags.index(name) for name in (BRAND, CAMPAIGN))),
        habits=habits(request.team, team, details, read.assets.made.get(request.team, {}), words, tables.catalogue, read_tips(data)),
        purposes=purposes,
        notes=notes_of(total, read, groups, request, tables.factors),
        own=own_weight(read.own, plan.asked.own, total.calls),
        imported=imported_lines(read.imported, opinions),
        single_calls_since=_stamped(read.pruned_before_ms, request),
    )


def _stamped(at_ms: int | None, request: ReportRequest) -> str | None:
    return None if at_ms is None else stamped(at_ms, zone_named(request.time_zone))


def by_basis(read: Read, request: ReportRequest, tables: Tables) -> Read:
    """What was read, by the declared basis where one was asked for."""
    if request.intensity == YEARLY:
        return read
    basis = BASES[request.intensity]
    factor: Factor = tables.factors[basis.factor]
    details = restated_cells(read.details.cells, basis.zone, factor)
    return replace(
        read,
        details=replace(read.details, cells=details),
        now=replace(read.now, cells=restated_cells(read.now.cells, basis.zone, factor)),
        before=None if read.before is None else replace(read.before, cells=restated_cells(read.before.cells, basis.zone, factor)),
        groups={
            name: replace(group, opinions=[restated(each, basis.zone, factor) for each in group.opinions])
            for name, group in read.groups.items()
        },
    )


def _basis(request: ReportRequest, plan: Plan, settings: Settings, opinions: Sequence[Opinions]) -> Basis:
    zone = zone_named(request.time_zone)
    profiles = tuple(sorted({each.profile for each in opinions}))
    lines = dict.fromkeys(line for profile in profiles if profile in PROFILES for line in PROFILES[profile].lines)
    return Basis(
        tool_version=version("grammage"),
        config_sha256=settings_hash(settings),
        factor_sets=tuple(sorted({each.factor_set for each in opinions})),
        methods=tuple(sorted({each.shared.method for each in opinions})),
        profiles=profiles,
        since=stamped(plan.span.since_ms, zone),
        until=stamped(plan.span.until_ms, zone),
        time_zone=request.time_zone,
        created=stamped(request.now_ms, zone),
        estimate_set=request.estimate_set,
        intensity=request.intensity,
        scope={name: ", ".join(values) for name, values in request.tags},
        lines=tuple(lines),
    )


def _change(read: Read, plan: Plan, request: ReportRequest) -> Change | None:
    """None where there is no period before, or nothing was weighed in it."""
    before, previous = read.before, plan.previous
    if before is None or previous is None or not before.cells:
        return None
    zone = zone_named(request.time_zone)
    effects = explain(before.cells, read.now.cells)
    return Change(
        previous=line_of(WHOLE, before.whole, [cell.opinions for cell in before.cells], before.unweighed),
        previous_since=stamped(previous.since_ms, zone),
        previous_until=stamped(previous.until_ms, zone),
        difference_gco2e=_grams(read.now.cells) - _grams(before.cells),
        gco2e_by_effect=effects,
    )


def _grams(cells: Sequence[Cell]) -> float:
    return sum(cell.opinions.lines["gco2e"].mean for cell in cells if "gco2e" in cell.opinions.lines)


def _likenesses(total: Line) -> tuple[Likeness, ...]:
    known = read_equivalences(files("config").joinpath("data"))
    found = equivalents(total.gco2e.mean, known) if total.gco2e is not None else ()
    return tuple(
        Likeness(
            id=each.unit.id,
            label_en=each.unit.label_en,
            label_fr=each.unit.label_fr,
            count=each.times,
            source=each.unit.source,
            url=each.unit.url,
            year=each.unit.year,
        )
        for each in found
    )
