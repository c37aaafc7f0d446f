"""Makes an SCI report: (O + M) per functional unit, with E, I and M of each component. It must never take a market-based figure into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from estimators.profiles import DEFAULT_PROFILE, PROFILES
from proxy.exports.columns import listing
from proxy.exports.gather import Gathered
from proxy.exports.sheet import Sheet
from proxy.exports.strata import counted, kind_of, our_method, score, stratum
from proxy.exports.sums import WH_PER_KWH, attempts_of, grouped, it_energy_wh, mean_of, serving_of, sum_of
from proxy.ledger.inventory_cells import InventoryCell
from proxy.reports.line import Spread
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Section
from proxy.reports.sums import times

PER: Final = 1000
MEASURED: Final = "metered"
"""The method whose energy somebody measured; every other one calculates."""

CALL, TOKENS, IMAGE, ACCEPTED = "call", "1000_output_tokens", "image", "accepted"
SOURCE_IDS: Final = ("sci", "sci_ai")
Component = tuple[str, str, str | None, str, float, str, int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One functional unit: how many were made, and what one came to. sci: (O + M) / R. what: the kind of thing, where there are several."""

    unit: str
    quantity: float
    sci: Spread
    o_per_unit: Spread | None
    m_per_unit: Spread | None
    what: str | None = None


def sci(gathered: Gathered, language: Language) -> Sheet:
    """The report."""
    cells = [cell for cell in counted(gathered) if serving_of([cell]) is not None]
    serving, scores = serving_of(cells), scores_of(gathered, cells)
    components = [_component(key, found) for key, found in grouped(cells, _key).items()]
    body = {
        "equation": "SCI = (O + M) per R; O = E * I",
        "scores": scores,
        "carbon_gco2e": serving,
        "operational_gco2e": sum_of(cells, "operational_gco2e"),
        "embodied_gco2e": sum_of(cells, "embodied_gco2e"),
        "energy_kwh": _kwh(sum_of(cells, "facility_energy_wh")),
        "components": components,
        "boundary": _boundary(),
        "excluded": _excluded(gathered),
        "quantification": _quantification(cells),
    }
    return Sheet(
        body=body,
        sections=(
            _score_section(scores, language),
            _component_section(components, language),
            _boundary_section(gathered, cells, language),
        ),
        headline=serving,
        sources=SOURCE_IDS,
        remarks=("sci_location", "sci_training", "sci_idle"),
    )


def scores_of(gathered: Gathered, cells: Sequence[InventoryCell]) -> list[Score]:
    """The score for each functional unit that was made at all."""
    found = [_per(unit, quantity, own) for unit, (quantity, own) in quantities(gathered, cells).items() if quantity > 0]
    return [each for each in found if each is not None] + _accepted(gathered)


def quantities(gathered: Gathered, cells: Sequence[InventoryCell]) -> dict[str, tuple[float, Sequence[InventoryCell]]]:
    """Of each functional unit how many were made, and the cells that made them."""
    text = [cell for cell in cells if kind_of(cell) == "text"]
    images = [cell for cell in cells if kind_of(cell) == "image"]
    wanted = {False, gathered.with_simulated}
    calls = sum(each.calls for each in gathered.weighed if not each.imported and each.simulated in wanted)
    return {
        CALL: (float(calls), cells),
        TOKENS: (sum(cell.usage["output_tokens"] for cell in text) / PER, text),
        IMAGE: (sum(cell.usage["images"] for cell in images), images),
    }


def _per(unit: str, quantity: float, cells: Sequence[InventoryCell]) -> Score | None:
    whole = serving_of(cells)
    if whole is None:
        return None
    operational, embodied = sum_of(cells, "operational_gco2e"), sum_of(cells, "embodied_gco2e")
    return Score(
        unit=unit,
        quantity=quantity,
        sci=times(whole, 1 / quantity),
        o_per_unit=None if operational is None else times(operational, 1 / quantity),
        m_per_unit=None if embodied is None else times(embodied, 1 / quantity),
    )


def _accepted(gathered: Gathered) -> list[Score]:
    """Of finished things, where the report's sums of them hold nothing that this export leaves out."""
    if not deliverables_fit(gathered):
        return []
    return [
        Score(unit=ACCEPTED, what=each.kind, quantity=each.accepted, sci=each.gco2e_per_accepted, o_per_unit=None, m_per_unit=None)
        for each in gathered.report.deliverables
        if each.gco2e_per_accepted is not None
    ]


def deliverables_fit(gathered: Gathered) -> bool:
    """Whether sums by finished thing are of the same calls and lines as the export: nothing apart among them, and profile of serving."""
    kept = {"live", "simulated"} if gathered.with_simulated else {"live"}
    profiles = {cell.opinions.profile for cell in gathered.cells}
    return all(stratum(cell) in kept for cell in gathered.cells) and profiles <= {DEFAULT_PROFILE}


def _key(cell: InventoryCell) -> Component:
    return (
        cell.provider,
        cell.model,
        cell.region,
        cell.zone,
        cell.gco2e_per_kwh,
        cell.intensity_source,
        cell.intensity_year,
        cell.opinions.shared.method,
    )


def _component(key: Component, cells: Sequence[InventoryCell]) -> dict[str, Any]:
    provider, model, region, zone, intensity, source, year, method = key
    energy_wh = mean_of(cells, "facility_energy_wh")
    it_wh = it_energy_wh(cells)
    return {
        "provider": provider,
        "model": model,
        "region": region,
        "zone": zone,
        "attempts": attempts_of(cells),
        "e_kwh": _kwh(sum_of(cells, "facility_energy_wh")),
        "it_energy_kwh": None if it_wh is None else it_wh / WH_PER_KWH,
        "pue": energy_wh / it_wh if it_wh else None,
        "i_gco2e_per_kwh": intensity,
        "i_source": source,
        "i_year": year,
        "o_gco2e": sum_of(cells, "operational_gco2e"),
        "m_gco2e": sum_of(cells, "embodied_gco2e"),
        "c_gco2e": serving_of(cells),
        "method": method,
        "quantification": _approach(cells[0]),
        "data_quality_score": score(cells),
    }


def _approach(cell: InventoryCell) -> str:
    return "measurement" if our_method(cell) == MEASURED else "calculation"


def _kwh(energy_wh: Spread | None) -> Spread | None:
    return None if energy_wh is None else times(energy_wh, 1 / WH_PER_KWH)


def _boundary() -> dict[str, Any]:
    profile = PROFILES[DEFAULT_PROFILE]
    return {"profile": profile.id, "lines": profile.lines, "included": INCLUDED, "excluded": EXCLUDED}


INCLUDED: Final = ("accelerators", "servers", "idle", "facility", "hardware", "gateway")
EXCLUDED: Final = ("clients", "storage", "network", "training", "offsets")
"""Codes of what is inside and outside the software boundary."""


def _excluded(gathered: Gathered) -> Mapping[str, int]:
    """Attempts with a figure that are in no score: from files, of the simulated provider, or without energy."""
    kept = {id(cell) for cell in counted(gathered)}
    left = [cell for cell in gathered.cells if id(cell) not in kept]
    without = [cell for cell in counted(gathered) if serving_of([cell]) is None]
    by_stratum: dict[str, int] = {name: attempts_of(found) for name, found in grouped(left, stratum).items()}
    return {**by_stratum, "without_energy": attempts_of(without)}


def _quantification(cells: Sequence[InventoryCell]) -> list[dict[str, Any]]:
    found = grouped(cells, lambda cell: (cell.opinions.shared.method, _approach(cell)))
    return [{"method": method, "approach": how, "attempts": attempts_of(own)} for (method, how), own in found.items()]


def _score_section(scores: Sequence[Score], language: Language) -> Section:
    rows: list[tuple[Cell, ...]] = [
        (_unit_name(each, language), each.quantity, each.sci, each.o_per_unit, each.m_per_unit) for each in scores
    ]
    found = listing(language, "sci_scores", ("unit", "units_made", "sci", "o_per_unit", "m_per_unit"), rows)
    says = (language.say("export_leads", "sci"), *(() if scores else (language.say("page", "none"),)))
    return Section(id="sci_scores", title=language.say("sections", "sci_scores"), paragraphs=says, tables=(found,) if rows else ())


def _unit_name(each: Score, language: Language) -> str:
    return language.say("sci_units", each.unit, what=each.what or "")


def _component_section(components: Sequence[Mapping[str, Any]], language: Language) -> Section:
    facts = ("model", "provider", "zone", "facility_energy_wh", "pue", "gco2e_per_kwh")
    keys = (*facts, "operational_gco2e", "embodied_gco2e", "serving_gco2e", "approach")
    rows = [_component_row(each, language) for each in components]
    grids = dict.fromkeys((each["zone"], each["i_gco2e_per_kwh"], each["i_source"], str(each["i_year"])) for each in components)
    tables = (
        listing(language, "sci_components", keys, rows),
        listing(language, "grid_factors", ("zone", "gco2e_per_kwh", "source", "year"), list(grids)),
    )
    lead = language.say("export_leads", "sci_components")
    return Section(id="sci_components", title=language.say("sections", "sci_components"), paragraphs=(lead,), tables=tables if rows else ())


def _component_row(each: Mapping[str, Any], language: Language) -> tuple[Cell, ...]:
    energy = each["e_kwh"]
    return (
        each["model"],
        each["provider"],
        each["zone"] if each["region"] is None else f"{each['zone']} ({each['region']})",
        None if energy is None else times(energy, WH_PER_KWH),
        each["pue"],
        each["i_gco2e_per_kwh"],
        each["o_gco2e"],
        each["m_gco2e"],
        each["c_gco2e"],
        f"{language.say('approaches', each['quantification'])} ({each['method']})",
    )


def _boundary_section(gathered: Gathered, cells: Sequence[InventoryCell], language: Language) -> Section:
    rows = [
        *((language.say("words", "inside"), language.say("components", code)) for code in INCLUDED),
        *((language.say("words", "outside"), language.say("components", code)) for code in EXCLUDED),
        *(
            (language.say("words", "outside"), language.say("left_out", name, attempts=language.count(number)))
            for name, number in _excluded(gathered).items()
            if number
        ),
    ]
    found = listing(language, "sci_boundary", ("kind", "statement"), rows)
    lead = language.say("export_leads", "sci_boundary", attempts=language.count(attempts_of(cells)))
    return Section(id="sci_boundary", title=language.say("sections", "sci_boundary"), paragraphs=(lead,), tables=(found,))
