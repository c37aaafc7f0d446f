"""Makes the creation line that media frameworks want beside media delivery. It must never pass for the footprint of a campaign."""

from collections.abc import Sequence
from typing import Any, Final

from proxy.exports.columns import listing
from proxy.exports.gather import Gathered
from proxy.exports.sheet import Sheet
from proxy.exports.strata import KINDS, counted, kind_of, score, stratum
from proxy.exports.sums import attempts_of, grouped, sum_of, tonnes
from proxy.ledger.inventory_cells import InventoryCell
from proxy.reports.pages.columns import key_name
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Section

PHASE: Final = "creation"
NOT_IN_IT: Final = ("people", "shoots", "licences", "distribution", "consumption", "product")
"""Codes of what a campaign has besides."""

FRAMEWORKS: Final = ("gmsf", "oneframe")


def media_creation(gathered: Gathered, language: Language) -> Sheet:
    """The sheet."""
    lines = lines_of(counted(gathered), gathered)
    imported = lines_of([cell for cell in gathered.cells if stratum(cell) == "imported"], gathered)
    return Sheet(
        body={
            "phase": PHASE,
            "activity": "calls to generative models",
            "lines": lines,
            "imported_lines": imported,
            "not_in_it": NOT_IN_IT,
            "frameworks": FRAMEWORKS,
        },
        sections=(
            _lines_section(lines, imported, language),
            _missing_section(language),
            _mapping_section(language),
        ),
        headline=sum_of(counted(gathered), "gco2e"),
        sources=FRAMEWORKS,
        remarks=("gross", "media_phase", "media_twice", "score_scale"),
    )


def lines_of(cells: Sequence[InventoryCell], gathered: Gathered) -> list[dict[str, Any]]:
    """One line for each brand and campaign, heaviest first; kinds of thing apart."""
    return [
        {
            "phase": PHASE,
            "brand": brand,
            "campaign": campaign,
            "purpose": gathered.report.purposes.get(campaign),
            "gco2e": sum_of(found, "gco2e"),
            "kgco2e": None if (grams := tonnes(sum_of(found, "gco2e"))) is None else grams * 1000,
            **{f"{kind}_gco2e": sum_of([cell for cell in found if kind_of(cell) == kind], "gco2e") for kind in KINDS},
            "facility_energy_wh": sum_of(found, "facility_energy_wh"),
            "images": sum(cell.usage["images"] for cell in found),
            "output_tokens": sum(cell.usage["output_tokens"] for cell in found),
            "attempts": attempts_of(found),
            "data_quality_score": score(found),
        }
        for (brand, campaign), found in grouped(cells, lambda cell: cell.tags).items()
    ]


def _lines_section(lines: Sequence[dict[str, Any]], imported: Sequence[dict[str, Any]], language: Language) -> Section:
    keys = ("brand", "campaign", "purpose", "gco2e", "text_gco2e", "image_gco2e", "other_gco2e", "facility_energy_wh", "weighed", "score")
    tables = [
        listing(language, id, keys, [_row(each, language) for each in found])
        for id, found in (("creation", lines), ("creation_imported", imported))
        if found
    ]
    says = (language.say("export_leads", "creation"), *(() if lines else (language.say("page", "none"),)))
    return Section(id="creation", title=language.say("sections", "creation"), paragraphs=says, tables=tuple(tables))


def _row(each: dict[str, Any], language: Language) -> tuple[Cell, ...]:
    figures = ("gco2e", "text_gco2e", "image_gco2e", "other_gco2e", "facility_energy_wh", "attempts", "data_quality_score")
    names = (key_name(language, each["brand"]), key_name(language, each["campaign"]), each["purpose"])
    return (*names, *(each[name] for name in figures))


def _missing_section(language: Language) -> Section:
    rows = [(language.say("creation_missing", code), language.say("creation_where", code)) for code in NOT_IN_IT]
    table = listing(language, "creation_missing", ("not_in_it", "where"), rows)
    lead = language.say("export_leads", "creation_missing")
    return Section(id="creation_missing", title=language.say("sections", "creation_missing"), paragraphs=(lead,), tables=(table,))


def _mapping_section(language: Language) -> Section:
    rows = [(language.say("framework_names", code), language.say("framework_places", code)) for code in FRAMEWORKS]
    table = listing(language, "frameworks", ("framework", "where"), rows)
    return Section(id="frameworks", title=language.say("sections", "frameworks"), tables=(table,))
