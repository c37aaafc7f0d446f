"""Puts the parts that every export has around its own: what is apart, completeness, sources, claims, basis. It must never leave one out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.exports.columns import listing
from proxy.exports.gather import Gathered
from proxy.exports.sources import SOURCES
from proxy.exports.strata import STRATA, stratum
from proxy.exports.sums import attempts_of, mean_of, sum_of
from proxy.reports.as_json import plain
from proxy.reports.line import Spread
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Outline, Section
from proxy.reports.pages.phrases import listed
from proxy.reports.pages.trust import note_text, quality
from proxy.reports.pages.write import basis_facts, basis_section, claims_section, scope_text
from proxy.reports.sums import times

OBJECT: Final = "footprint.export"
LEAST_SHARE: Final = 1e-6
"""A share of the grams below which a difference is rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """What a template makes of the gathered: its own parts, as plain values and as titled tables.

    headline: the figure that stands on top. sources: ids of what the mapping rests on. remarks: keys of `remarks` that must be read.
    manifest: a document of a machine's own form, where the framework has one.
    """

    body: Mapping[str, Any]
    sections: Sequence[Section]
    headline: Spread | None
    sources: tuple[str, ...]
    remarks: tuple[str, ...] = ()
    manifest: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One export, ready to be written in any form: name of the template, plain values, page, manifest."""

    name: str
    gathered: Gathered
    document: Mapping[str, Any]
    outline: Outline
    manifest: Mapping[str, Any] | None


def made(name: str, gathered: Gathered, sheet: Sheet, language: Language) -> Export:
    """The export with everything around the template's own parts."""
    remarks = (*sheet.remarks, "mapping")
    return Export(
        name=name,
        gathered=gathered,
        document=_document(name, gathered, sheet, remarks, language),
        outline=_outline(name, gathered, sheet, remarks, language),
        manifest=sheet.manifest,
    )


def apart(gathered: Gathered) -> list[tuple[str, Spread | None, int | None]]:
    """What the report's total is made of: seen live, imported, simulated, and what is kept as sums alone; they add up to it."""
    found: list[tuple[str, Spread | None, int | None]] = []
    for name in STRATA:
        cells = [cell for cell in gathered.cells if stratum(cell) == name]
        found.append((name, sum_of(cells, "gco2e"), attempts_of(cells)))
    rest = kept_as_sums(gathered, "gco2e")
    return [*found, ("kept_as_sums", rest, None)] if rest is not None else found


def kept_as_sums(gathered: Gathered, line: str) -> Spread | None:
    """Grams of the total that no cell holds, with the total's own doubt; None where the cells hold all of it."""
    total: Spread | None = getattr(gathered.report.total, line)
    if total is None or total.mean <= 0:
        return None
    rest = 1 - mean_of(gathered.cells, line) / total.mean
    return times(total, rest) if rest > LEAST_SHARE else None


def completeness(gathered: Gathered) -> dict[str, Any]:
    """What is in the report and what is missing."""
    report = gathered.report
    total = report.total
    return {
        "calls": total.calls,
        "attempts": total.attempts,
        "weighed_attempts": total.weighed_attempts,
        "unweighed_attempts": dict(total.unweighed),
        "not_generated_attempts": total.not_generated,
        "pending_calls": report.pending_calls,
        "unmetered_calls": report.unmetered_calls,
        "imported_calls": report.imported_calls,
        "answered_without_provider": dict(report.instead),
        "simulated_share_of_attempts": total.simulated_share,
        "unassigned_share_of_grams": {note.values["tag"]: note.values["share"] for note in report.notes if note.code == "unassigned"},
        "coverage": plain(report.coverage),
    }


def _document(name: str, gathered: Gathered, sheet: Sheet, remarks: Sequence[str], language: Language) -> dict[str, Any]:
    report, code = gathered.report, language.code
    return {
        "object": OBJECT,
        "template": name,
        "language": code,
        "title": language.say("exports", name),
        "basis": plain(report.basis),
        "simulated_counted": gathered.with_simulated,
        "report_total_gco2e": plain(report.total.gco2e),
        "total_made_of": [{"part": part, "gco2e": plain(gco2e), "attempts": number} for part, gco2e, number in apart(gathered)],
        "proxy_itself_beside_gco2e": None if report.own is None else plain(report.own.gco2e),
        "body": plain(sheet.body),
        "completeness": completeness(gathered),
        "notes": [{"code": note.code, "text": note_text(note, language)} for note in report.notes],
        "remarks": [{"code": key, "text": language.say("remarks", key)} for key in remarks],
        "claims": {"may": list(listed(code, "may")), "may_not": list(listed(code, "may_not"))},
        "sources": [SOURCES[each].told() for each in sheet.sources],
    }


def _outline(name: str, gathered: Gathered, sheet: Sheet, remarks: Sequence[str], language: Language) -> Outline:
    report, code = gathered.report, language.code
    facts = basis_facts(report.basis, language)
    may, may_not = listed(code, "may"), listed(code, "may_not")
    grams = sheet.headline
    banner = (language.say("exports", "with_simulated"),) if gathered.with_simulated else ()
    return Outline(
        language=code,
        title=language.say("exports", name),
        subtitle=(language.period(report.basis.since, report.basis.until), scope_text(report.basis, language), *banner),
        headline=None if grams is None else (language.amount("g", grams.mean), language.between("g", grams)),
        sections=(
            *sheet.sections,
            _apart_section(gathered, language),
            quality(report, language),
            _sources_section(sheet, remarks, language),
            claims_section(may, may_not, language),
            basis_section(facts, language),
        ),
        basis=facts,
        may=may,
        may_not=may_not,
    )


def _apart_section(gathered: Gathered, language: Language) -> Section:
    rows: list[tuple[Cell, ...]] = [(language.say("parts", part), gco2e, number) for part, gco2e, number in apart(gathered)]
    rows.append((language.say("parts", "report_total"), gathered.report.total.gco2e, gathered.report.total.weighed_attempts))
    if (own := gathered.report.own) is not None:
        rows.append((language.say("parts", "own"), own.gco2e, None))
    found = listing(language, "apart", ("part", "gco2e", "weighed"), rows)
    lead = language.say("export_leads", "apart_counted" if gathered.with_simulated else "apart")
    return Section(id="apart", title=language.say("sections", "apart"), paragraphs=(lead,), tables=(found,))


def _sources_section(sheet: Sheet, remarks: Sequence[str], language: Language) -> Section:
    rows = [(each.name, language.code_name("editions", each.version), each.url) for each in (SOURCES[name] for name in sheet.sources)]
    found = listing(language, "sources", ("source", "edition", "address"), rows)
    says = tuple(language.say("remarks", key) for key in remarks)
    return Section(id="sources", title=language.say("sections", "sources"), paragraphs=says, tables=(found,))
