"""Makes a data sheet for ESRS E1: what these calls add to its datapoints. It must never answer for the rest of an undertaking."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from proxy.exports.columns import listing
from proxy.exports.gather import Gathered
from proxy.exports.inventory_parts import (
    category1_body,
    category1_section,
    data_quality_section,
    factors_section,
    handover_body,
    handover_section,
    imported_body,
    places_body,
    places_section,
    quality_body,
    scope2_body,
)
from proxy.exports.scopes import category1, cells_of, scope2
from proxy.exports.sheet import Sheet
from proxy.exports.strata import counted, primary_share
from proxy.exports.sums import G_PER_T, both, sum_of
from proxy.reports.line import Spread
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Section
from proxy.reports.sums import times

WH_PER_MWH: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Datapoint:
    """One datapoint: where the standard asks for it, and what these calls add, in `unit`. unknown: why there is no value."""

    id: str
    reference: str
    unit: str
    value: Spread | float | None
    unknown: str | None = None


def esrs_e1(gathered: Gathered, language: Language) -> Sheet:
    """The sheet."""
    points = datapoints(gathered)
    return Sheet(
        body={
            "datapoints": points,
            "scopes": places_body(gathered),
            "scope3_category1": category1_body(gathered),
            "scope2": scope2_body(gathered),
            "handover": handover_body(gathered),
            "imported_apart": imported_body(gathered),
            "data_quality": quality_body(gathered),
        },
        sections=(
            _section(points, language),
            places_section(gathered, language),
            category1_section(gathered, language),
            handover_section(gathered, language),
            data_quality_section(gathered, language),
            factors_section(gathered, language),
        ),
        headline=sum_of(counted(gathered), "gco2e"),
        sources=("esrs", "omnibus", "scope3", "scope2"),
        remarks=("gross", "esrs_numbers", "lifecycle", "capital_goods", "whose_rule", "score_scale"),
    )


def datapoints(gathered: Gathered) -> tuple[Datapoint, ...]:
    """Every datapoint that calls to models can add to, in the order of the standard."""
    electricity, bought = scope2(gathered), category1(gathered).whole
    capital = sum_of(cells_of(gathered, "own"), "embodied_gco2e")
    market = electricity.market_based_gco2e
    has_own = electricity.location_based_gco2e is not None
    scope3 = both(bought, capital)
    no_own, no_factor = None if has_own else "no_own_machines", None if market is not None else "no_market_factor"
    return (
        Datapoint(id="energy", reference="E1-5, 37", unit="MWh", value=_in(electricity.energy_wh, WH_PER_MWH), unknown=no_own),
        Datapoint(id="scope1", reference="E1-6, 44(a)", unit="tCO2e", value=None, unknown="no_combustion_told"),
        Datapoint(
            id="scope2_location",
            reference="E1-6, 49(a)",
            unit="tCO2e",
            value=_in(electricity.location_based_gco2e, G_PER_T),
            unknown=no_own,
        ),
        Datapoint(id="scope2_market", reference="E1-6, 49(b)", unit="tCO2e", value=_in(market, G_PER_T), unknown=no_own or no_factor),
        Datapoint(id="scope3_1", reference="E1-6, 51", unit="tCO2e", value=_in(bought, G_PER_T), unknown=_none(bought)),
        Datapoint(id="scope3_2", reference="E1-6, 51", unit="tCO2e", value=_in(capital, G_PER_T), unknown=no_own),
        Datapoint(id="scope3", reference="E1-6, 44(c)", unit="tCO2e", value=_in(scope3, G_PER_T), unknown=_none(scope3)),
        _total("total_location", "E1-6, 52(a)", electricity.location_based_gco2e, scope3),
        _total("total_market", "E1-6, 52(b)", market, scope3) if market is not None or not has_own else _no_market(),
        Datapoint(id="primary", reference="E1-6, AR 46(g)", unit="ratio", value=primary_share(counted(gathered))),
    )


def _total(id: str, reference: str, electricity: Spread | None, scope3: Spread | None) -> Datapoint:
    found = both(electricity, scope3)
    return Datapoint(id=id, reference=reference, unit="tCO2e", value=_in(found, G_PER_T), unknown=_none(found))


def _no_market() -> Datapoint:
    return Datapoint(id="total_market", reference="E1-6, 52(b)", unit="tCO2e", value=None, unknown="no_market_factor")


def _in(spread: Spread | None, size: float) -> Spread | None:
    return None if spread is None else times(spread, 1 / size)


def _none(spread: Spread | None) -> str | None:
    return "nothing_weighed" if spread is None else None


def _section(points: Sequence[Datapoint], language: Language) -> Section:
    keys = ("datapoint", "reference", "unit", "value", "low_value", "high_value", "reason")
    table = listing(language, "datapoints", keys, [_row(each, language) for each in points])
    lead = language.say("export_leads", "esrs")
    return Section(id="datapoints", title=language.say("sections", "datapoints"), paragraphs=(lead,), tables=(table,))


def _row(each: Datapoint, language: Language) -> tuple[Cell, ...]:
    value: Any = each.value
    ends = (value.mean, value.p5, value.p95) if isinstance(value, Spread) else (value, None, None)
    why = "" if each.unknown is None else language.say("unknowns", each.unknown)
    return (language.say("datapoints", each.id), each.reference, language.code_name("units_of_datapoints", each.unit), *ends, why)
