"""Puts the parts of a report in the order of a page. It must never leave out the basis or what may not be claimed."""

from dataclasses import replace
from typing import Final

from proxy.reports.document import Basis, Report
from proxy.reports.pages.amounts import boundary, change, deliverables, total
from proxy.reports.pages.choices import lighter, policies
from proxy.reports.pages.columns import table
from proxy.reports.pages.language import Language
from proxy.reports.pages.origins import details, equivalences, habits
from proxy.reports.pages.outline import Outline, Section
from proxy.reports.pages.phrases import listed
from proxy.reports.pages.printable import printable
from proxy.reports.pages.trust import drivers, quality

_ORDER = (total, boundary, change, deliverables, quality, policies, lighter, drivers, equivalences, details, habits)

PRUNED: Final = frozenset({"total", "boundary", "deliverables", "policies", "lighter", "details", "habits"})
"""Parts that need single calls, or have lines that do."""


def write(report: Report, code: str) -> Outline:
    """The report in a language (`en` or `fr`); without everyday equivalents where the report has none."""
    language = Language(code=code)
    parts = [each(report, language) for each in _ORDER if report.equivalences or each is not equivalences]
    facts = basis_facts(report.basis, language)
    grams = report.total.gco2e
    may, may_not = listed(code, "may"), listed(code, "may_not")
    return Outline(
        language=code,
        title=language.say("page", "title"),
        subtitle=(language.period(report.basis.since, report.basis.until), scope_text(report.basis, language)),
        headline=None if grams is None else (language.amount("g", grams.mean), language.between("g", grams)),
        sections=(
            *(_told(each, report.single_calls_since, language) for each in parts),
            claims_section(may, may_not, language),
            basis_section(facts, language),
        ),
        basis=facts,
        may=may,
        may_not=may_not,
    )


def _told(section: Section, calls_since: str | None, language: Language) -> Section:
    """A part says what is not in it since single calls are gone; one without any figure says so; that on the change has said why."""
    if calls_since is not None and section.id in PRUNED:
        text = language.say("pruned", section.id, until=language.instant(calls_since))
        return replace(section, paragraphs=(*section.paragraphs, text))
    if section.tables or section.parts or section.id == "change":
        return section
    return replace(section, paragraphs=(*section.paragraphs, language.say("page", "none")))


def scope_text(basis: Basis, language: Language) -> str:
    """Whose calls are in it."""
    pairs = (f"{language.code_name('tags', name)} {value}" for name, value in basis.scope.items())
    return printable(", ".join(pairs)) or language.say("page", "scope_all")


def basis_facts(basis: Basis, language: Language) -> dict[str, str]:
    """Every line of the basis by its title; a line that nothing is known of says so."""
    lines = {
        "tool_version": f"grammage {basis.tool_version}",
        "config_sha256": basis.config_sha256,
        "factor_sets": ", ".join(basis.factor_sets),
        "methods": ", ".join(basis.methods),
        "estimate_set": basis.estimate_set or language.say("basis", "live"),
        "profiles": ", ".join(basis.profiles),
        "lines": ", ".join(language.code_name("columns", name) for name in basis.lines),
        "intensity": language.say("basis", "yearly") if basis.intensity == "yearly" else basis.intensity,
        "since": basis.since,
        "until": basis.until,
        "time_zone": basis.time_zone,
        "scope": scope_text(basis, language),
        "created": basis.created,
    }
    return {language.say("basis", key): printable(text) or "-" for key, text in lines.items()}


def claims_section(may: tuple[str, ...], may_not: tuple[str, ...], language: Language) -> Section:
    """What may and may not be said."""
    said = [(language.say("words", key), text) for key, texts in (("may", may), ("may_not", may_not)) for text in texts]
    found = table(language, "claims", ("kind", "statement"), said)
    return Section(id="claims", title=language.say("sections", "claims"), tables=(found,))


def basis_section(facts: dict[str, str], language: Language) -> Section:
    """The basis as a table."""
    found = table(language, "basis", ("item", "content"), list(facts.items()))
    return Section(id="basis", title=language.say("sections", "basis"), tables=(found,))
