"""Writes the parts on how much: total, boundary, change, deliverables. It must never turn an unknown figure into 0."""

from collections.abc import Sequence

from proxy.reports.document import Change, Hourly, Report
from proxy.reports.line import Line, Spread
from proxy.reports.pages.columns import table
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Chart, Section, Table
from proxy.reports.pages.printable import printable


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
    if report.hourly:
        says.append(_hourly_text(report.hourly, language))
        tables.append(_hourly(report.hourly, language))
    return Section(id="total", title=language.say("sections", "total"), paragraphs=tuple(says), tables=tuple(tables))


def boundary(report: Report, language: Language) -> Section:
    """The profile and its lines, those in the total first said."""
    rows = [
        (language.say("lines", each.name), each.gco2e, language.say("words", "yes" if each.is_in_total else "no"), each.weighed_attempts)
        for each in report.boundary
    ]
    lines = table(language, "boundary", ("line", "gco2e", "in_total", "weighed"), rows)
    profile = printable(", ".join(report.basis.profiles)) or "-"
    return _section("boundary", language, (language.say("lead", "boundary", profile=profile),), (lines,))


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
            (language.say("units", each.name), each.gco2e_per_unit, each.quantity, each.calls, each.assumption) for each in report.units
        ]
        tables.append(table(language, "units", ("unit", "per_unit", "quantity", "calls", "assumption"), units))
    return _section("deliverables", language, (language.say("lead", "deliverables"),), tables)


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
