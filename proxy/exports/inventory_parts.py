"""Makes the parts that sheets for company inventories share. It must never show a figure without its method and its quality."""

from collections.abc import Sequence
from typing import Any

from proxy.exports.columns import listing
from proxy.exports.gather import Gathered
from proxy.exports.scopes import Category1, Placed, category1, own_beyond, placed, scope2
from proxy.exports.strata import counted, primary_share, scope3_method, score, stratum, told_share, whose
from proxy.exports.sums import attempts_of, beside_of, grouped, sum_of, tonnes
from proxy.ledger.inventory_cells import InventoryCell
from proxy.reports.pages.columns import key_name
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Section


def places_body(gathered: Gathered) -> list[dict[str, Any]]:
    """Lines by scope and category, as plain values."""
    return [
        {
            "id": each.place.id,
            "ghg_protocol": each.place.scope,
            "iso_14064_1_category": each.place.iso,
            "beges_post": each.place.post,
            "gco2e": each.gco2e,
            "tco2e": tonnes(each.gco2e),
            "attempts": each.attempts,
            "methods": each.methods,
            "data_quality_score": each.data_quality_score,
        }
        for each in placed(gathered)
    ]


def places_section(gathered: Gathered, language: Language) -> Section:
    """Lines by scope and category, with why each is where it is."""
    found = placed(gathered)
    keys = ("scope", "gco2e", "tonnes", "weighed", "method", "score")
    table = listing(language, "scopes", keys, [_place_row(each, language) for each in found])
    why = listing(
        language,
        "reasons",
        ("scope", "reason"),
        [(language.say("ghg_scopes", each.place.scope), language.say("place_reasons", each.place.id)) for each in found],
    )
    says = [language.say("export_leads", "scopes")]
    if not found:
        says.append(language.say("page", "none"))
    if (left := own_beyond(gathered)) is not None:
        says.append(language.say("export_leads", "own_beyond", grams=language.around("g", left)))
    return Section(id="scopes", title=language.say("sections", "scopes"), paragraphs=tuple(says), tables=(table, why) if found else ())


def _place_row(each: Placed, language: Language) -> tuple[Cell, ...]:
    methods = ", ".join(language.say("scope3_methods", method) for method in each.methods)
    return (
        language.say("words", "pair", name=language.say("ghg_scopes", each.place.scope), what=language.say("places", each.place.id)),
        each.gco2e,
        tonnes(each.gco2e),
        each.attempts,
        methods,
        each.data_quality_score,
    )


def category1_body(gathered: Gathered) -> dict[str, Any]:
    """Category 1: in the total, beside it, and both."""
    found: Category1 = category1(gathered)
    return {
        "in_total_gco2e": found.in_total,
        "training_and_network_beside_gco2e": found.beside,
        "cradle_to_gate_gco2e": found.whole,
        "cradle_to_gate_tco2e": tonnes(found.whole),
        "range_of_cradle_to_gate": "sum of the ends: the widest that it can be",
    }


def scope2_body(gathered: Gathered) -> dict[str, Any]:
    """Scope 2 by both methods."""
    found = scope2(gathered)
    return {
        "location_based_gco2e": found.location_based_gco2e,
        "market_based_gco2e": found.market_based_gco2e,
        "share_with_a_published_market_factor": found.market_share,
        "energy_wh": found.energy_wh,
    }


def quality_body(gathered: Gathered) -> dict[str, Any]:
    """Data quality of the counted figures."""
    cells = counted(gathered)
    return {
        "primary_data_share": primary_share(cells),
        "activity_data_told_by_provider_share": told_share(cells),
        "score": score(cells),
        "score_scale": "1 best to 5 worst, from the tiers A to E, weighted by grams",
        "share_by_tier": dict(sorted(_tiers(cells).items())),
    }


def _tiers(cells: Sequence[InventoryCell]) -> dict[str, float]:
    grams = {tier: sum_of(found, "gco2e") for tier, found in grouped(cells, lambda cell: cell.opinions.quality).items()}
    whole = sum(each.mean for each in grams.values() if each is not None)
    return {tier: each.mean / whole for tier, each in grams.items() if each is not None and whole > 0}


def category1_section(gathered: Gathered, language: Language) -> Section:
    """What was bought, line by line of the boundary, then by provider and model."""
    found = category1(gathered)
    rows = [
        (language.say("category1", "in_total"), found.in_total, tonnes(found.in_total)),
        (language.say("category1", "beside"), found.beside, tonnes(found.beside)),
        (language.say("category1", "whole"), found.whole, tonnes(found.whole)),
    ]
    tables = [listing(language, "category1", ("line", "gco2e", "tonnes"), rows)] if found.in_total is not None else []
    models = models_body(gathered)
    if models:
        keys = (
            "model",
            "provider",
            "whose",
            "gco2e",
            "operational_gco2e",
            "embodied_gco2e",
            "training_gco2e",
            "network_gco2e",
            "method",
            "score",
        )
        tables.append(listing(language, "inventory_models", keys, [_model_row(each, language) for each in models]))
    lead = language.say("export_leads", "category1")
    return Section(id="category1", title=language.say("sections", "category1"), paragraphs=(lead,), tables=tuple(tables))


def models_body(gathered: Gathered) -> list[dict[str, Any]]:
    """Lines by provider, model and whose machines."""
    found = grouped(counted(gathered), lambda cell: (cell.provider, cell.model, whose(cell, gathered)))
    return [
        {
            "provider": provider,
            "model": model,
            "machines": of,
            "gco2e": sum_of(cells, "gco2e"),
            "operational_gco2e": sum_of(cells, "operational_gco2e"),
            "embodied_gco2e": sum_of(cells, "embodied_gco2e"),
            "training_gco2e": beside_of(cells, "training_gco2e"),
            "network_gco2e": beside_of(cells, "network_gco2e"),
            "facility_energy_wh": sum_of(cells, "facility_energy_wh"),
            "attempts": attempts_of(cells),
            "methods": tuple(grouped(cells, scope3_method)),
            "data_quality_score": score(cells),
            "primary_data_share": primary_share(cells),
        }
        for (provider, model, of), cells in found.items()
    ]


def _model_row(each: dict[str, Any], language: Language) -> tuple[Cell, ...]:
    lines = ("gco2e", "operational_gco2e", "embodied_gco2e", "training_gco2e", "network_gco2e")
    methods = ", ".join(language.say("scope3_methods", method) for method in each["methods"])
    whose_name = language.say("whose", each["machines"])
    return (each["model"], each["provider"], whose_name, *(each[line] for line in lines), methods, each["data_quality_score"])


def scope2_section(gathered: Gathered, language: Language) -> Section:
    """Electricity of one's own machines by both methods."""
    found = scope2(gathered)
    says = [language.say("export_leads", "scope2")]
    if found.location_based_gco2e is None:
        return Section(id="scope2", title=language.say("sections", "scope2"), paragraphs=(*says, language.say("export_leads", "no_own")))
    row = (found.location_based_gco2e, found.market_based_gco2e, found.market_share, found.energy_wh)
    if found.market_based_gco2e is None:
        says.append(language.say("export_leads", "no_market"))
    keys = ("location_based_gco2e", "market_based_gco2e", "market_share", "facility_energy_wh")
    table = listing(language, "scope2", keys, [row])
    return Section(id="scope2", title=language.say("sections", "scope2"), paragraphs=tuple(says), tables=(table,))


def handover_body(gathered: Gathered, cells: Sequence[InventoryCell] | None = None) -> list[dict[str, Any]]:
    """One line for each brand, campaign, month and kind of machine: what a supplier hands over. cells: None: those that count."""
    found = grouped(
        counted(gathered) if cells is None else cells, lambda cell: (cell.tags[0], cell.tags[1], cell.month, whose(cell, gathered))
    )
    lines: list[dict[str, Any]] = [
        {
            "brand": brand,
            "campaign": campaign,
            "month": gathered.months[month],
            "machines": of,
            "gco2e": sum_of(cells, "gco2e"),
            "tco2e": tonnes(sum_of(cells, "gco2e")),
            "facility_energy_wh": sum_of(cells, "facility_energy_wh"),
            "attempts": attempts_of(cells),
            "methods": tuple(grouped(cells, scope3_method)),
            "data_quality_score": score(cells),
            "primary_data_share": primary_share(cells),
        }
        for (brand, campaign, month, of), cells in found.items()
    ]
    return sorted(lines, key=lambda line: (str(line["month"]), str(line["brand"]), str(line["campaign"])))


def handover_section(gathered: Gathered, language: Language) -> Section:
    """The same as a table."""
    keys = ("brand", "campaign", "month", "whose", "gco2e", "tonnes", "facility_energy_wh", "weighed", "method", "score", "primary_share")
    found = {"handover": handover_body(gathered), "handover_imported": imported_body(gathered)}
    tables = tuple(listing(language, id, keys, [_handover_row(each, language) for each in lines]) for id, lines in found.items() if lines)
    lead = language.say("export_leads", "handover")
    more = (language.say("export_leads", "handover_imported"),) if found["handover_imported"] else ()
    return Section(id="handover", title=language.say("sections", "handover"), paragraphs=(lead, *more), tables=tables)


def imported_body(gathered: Gathered) -> list[dict[str, Any]]:
    """The same of what was imported from files: category 1 too, and in no sum of the sheet."""
    return handover_body(gathered, [cell for cell in gathered.cells if stratum(cell) == "imported"])


def _handover_row(each: dict[str, Any], language: Language) -> tuple[Cell, ...]:
    return (
        key_name(language, each["brand"]),
        key_name(language, each["campaign"]),
        each["month"],
        language.say("whose", each["machines"]),
        *(each[name] for name in ("gco2e", "tco2e", "facility_energy_wh", "attempts")),
        ", ".join(language.say("scope3_methods", method) for method in each["methods"]),
        each["data_quality_score"],
        each["primary_data_share"],
    )


def data_quality_section(gathered: Gathered, language: Language) -> Section:
    """How good the figures are."""
    cells = counted(gathered)
    rows = [(score(cells), primary_share(cells), told_share(cells))]
    table = listing(language, "data_quality", ("score", "primary_share", "told_share"), rows)
    lead = language.say("export_leads", "data_quality")
    tables = (table,) if cells else ()
    return Section(id="data_quality", title=language.say("sections", "data_quality"), paragraphs=(lead,), tables=tables)


def intensities(gathered: Gathered) -> list[dict[str, Any]]:
    """Grid factors that the counted figures rest on."""
    found = grouped(
        counted(gathered), lambda cell: (cell.opinions.shared.zone, cell.gco2e_per_kwh, cell.intensity_source, cell.intensity_year)
    )
    return [
        {"zone": zone, "gco2e_per_kwh": value, "source": source, "year": year, "operational_gco2e": sum_of(cells, "operational_gco2e")}
        for (zone, value, source, year), cells in found.items()
        if sum_of(cells, "facility_energy_wh") is not None
    ]


def factors_section(gathered: Gathered, language: Language) -> Section:
    """The same as a table."""
    rows = [
        (each["zone"], each["gco2e_per_kwh"], each["source"], str(each["year"]), each["operational_gco2e"])
        for each in intensities(gathered)
    ]
    table = listing(language, "grid_factors", ("zone", "gco2e_per_kwh", "source", "year", "operational_gco2e"), rows)
    lead = language.say("export_leads", "grid_factors")
    return Section(id="grid_factors", title=language.say("sections", "grid_factors"), paragraphs=(lead,), tables=(table,) if rows else ())
