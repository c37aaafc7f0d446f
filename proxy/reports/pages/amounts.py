"""Writes the parts on how much: total, boundary, change, deliverables. It must never turn an unknown figure into 0."""

from collections.abc import Iterator, Sequence
from typing import Final

from proxy.reports.document import Change, Hourly, ImportedShare, OwnWeight, Report
from proxy.reports.line import Line, Spread
from proxy.reports.pages.columns import table
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Chart, Section, Table
from proxy.reports.pages.printable import printable

MOSTLY: Final = 0.99
"""From this share on, what was measured passes for all of it."""


def total(report: Report, language: Language) -> Section:
    """The absolute total with its range, on what it rests, and by the hour beside it."""
    line, basis = report.total, report.basis
    says = [language.say("lead", "total" if line.gco2e else "unweighed")]
    says.append(
        language.say("lead", "yearly")
        if basis.intensity == "yearly"
        else language.say("lead", "declared", basis=printable(basis.intensity))
    )
    tables = [_totals(line, language)]
    if report.imported:
        says.append(_imported_text(report.imported, line, language))
        tables.append(_imported(report.imported, line, language))
    if report.hourly:
        says.append(_hourly_text(report.hourly, language))
        tables.append(_hourly(report.hourly, language))
    return Section(id="total", title=language.say("sections", "total"), paragraphs=tuple(says), tables=tuple(tables))


def _imported_text(found: ImportedShare, total: Line, language: Language) -> str:
    share = _share(found.gco2e, total)
    return language.say(
        "lead",
        "imported",
        live="-" if found.live_gco2e is None else language.around("g", found.live_gco2e),
        imported="-" if found.gco2e is None else language.around("g", found.gco2e),
        share="-" if share is None else language.percent(share),
    )


def _imported(found: ImportedShare, total: Line, language: Language) -> Table:
    """What was seen live, then each kind of file; calls as the files tell."""
    seen = total.calls - sum(each.records for each in found.kinds)
    rows: list[tuple[Cell, ...]] = [(language.say("source_kinds", "live"), found.live_gco2e, _share(found.live_gco2e, total), seen, None)]
    rows += [
        (
            language.code_name("source_kinds", each.source),
            each.gco2e,
            _share(each.gco2e, total),
            each.calls or None,
            ", ".join(each.gco2e_by_tier),
        )
        for each in found.kinds
    ]
    return table(language, "imported", ("source_kind", "gco2e", "share", "calls", "tier"), rows)


def _share(part: Spread | None, total: Line) -> float | None:
    return part.mean / total.gco2e.mean if part is not None and total.gco2e is not None and total.gco2e.mean > 0 else None


def boundary(report: Report, language: Language) -> Section:
    """The profile and its lines, those in the total first said."""
    rows: list[tuple[Cell, ...]] = [
        (language.say("lines", each.name), each.gco2e, language.say("words", "yes" if each.is_in_total else "no"), each.weighed_attempts)
        for each in report.boundary
    ]
    if report.own is not None:
        rows.append((language.say("lines", "own"), report.own.gco2e, language.say("words", "no"), None))
    lines = table(language, "boundary", ("line", "gco2e", "in_total", "weighed"), rows)
    profile = printable(", ".join(report.basis.profiles)) or "-"
    says = [language.say("lead", "boundary", profile=profile), *_own_text(report.own, language)]
    return _section("boundary", language, says, (lines,) if rows else ())


def _own_text(own: OwnWeight | None, language: Language) -> Iterator[str]:
    """What the line of the proxy itself is, and how its power is known."""
    if own is None:
        return
    power = "measured" if own.measured_share > MOSTLY else "mixed" if own.measured_share > 0 else "modelled"
    yield language.say(
        "own",
        "per_call" if own.gco2e_per_call else "idle",
        grams=language.around("g", own.gco2e),
        each="" if own.gco2e_per_call is None else language.amount("g", own.gco2e_per_call.mean),
        processes=language.count(own.processes),
        hours=language.number(own.process_hours),
        power=language.say("own", power),
        zone=printable(", ".join(own.zones)),
    )


def change(report: Report, language: Language) -> Section:
    """The difference to the period before, in effects that add up to it."""
    found = report.change
    if found is None or found.previous.gco2e is None:
        return _section("change", language, (language.say("lead", "no_change"),))
    says = language.say(
        "lead",
        "change",
        previous=language.around("g", found.previous.gco2e),
        period=language.period(found.previous_since, found.previous_until),
        difference=language.signed("g", found.difference_gco2e),
    )
    return _section("change", language, (says,), (_effects(found, found.previous.gco2e, report.total.gco2e, language),))


def deliverables(report: Report, language: Language) -> Section:
    """Grams per accepted thing and per unit made."""
    tables = []
    if found := report.deliverables:
        weights = [
            (each.kind, each.gco2e_per_accepted, each.calls_per_accepted, each.gco2e, each.calls, each.minutes_saved) for each in found
        ]
        verdicts = [(each.kind, each.assets, each.accepted, each.rejected, each.undecided) for each in found]
        tables.append(table(language, "deliverables", ("kind", "per_accepted", "iterations", "gco2e", "calls", "minutes"), weights))
        tables.append(table(language, "verdicts", ("kind", "assets", "accepted", "rejected", "undecided"), verdicts))
    if report.units:
        units = [
            (language.say("units", each.name), each.gco2e_per_unit, each.quantity, each.calls, _assumption(each.assumption, language))
            for each in report.units
        ]
        tables.append(table(language, "units", ("unit", "per_unit", "quantity", "calls", "assumption"), units))
    return _section("deliverables", language, (language.say("lead", "deliverables"),), tables)


def _assumption(row: str | None, language: Language) -> str | None:
    return None if row is None else language.code_name("assumptions", row)


def _totals(line: Line, language: Language) -> Table:
    keys = ("gco2e", "facility_energy_wh", "water_ml", "calls", "input_tokens", "output_tokens")
    usage = (line.usage.get("input_tokens"), line.usage.get("output_tokens"))
    return table(language, "totals", keys, [(line.gco2e, line.facility_energy_wh, line.water_ml, line.calls, *usage)])


def _hourly_text(hourly: Hourly, language: Language) -> str:
    return language.say("lead", "hourly", share=language.percent(hourly.covered_share), grams=language.amount("g", hourly.gco2e))


def _hourly(hourly: Hourly, language: Language) -> Table:
    row = (hourly.covered_share, hourly.covered_yearly_gco2e, hourly.covered_hourly_gco2e, hourly.gco2e)
    return table(language, "hourly", ("covered_share", "covered_yearly", "covered_hourly", "hourly_total"), [row])


def _effects(found: Change, before: Spread, now: Spread | None, language: Language) -> Table:
    rows: list[tuple[str, float | None]] = [(language.say("words", "before"), before.mean)]
    rows += [(language.say("effects", effect), grams) for effect, grams in found.gco2e_by_effect.items()]
    rows.append((language.say("words", "now"), None if now is None else now.mean))
    return table(language, "change", ("effect", "change"), rows, chart=Chart(kind="waterfall", label="effect", value="change"))


def _section(id: str, language: Language, says: Sequence[str], tables: Sequence[Table] = ()) -> Section:
    return Section(id=id, title=language.say("sections", id), paragraphs=tuple(says), tables=tuple(tables))
