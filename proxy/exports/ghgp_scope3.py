"""Makes a data sheet for a GHG Protocol inventory: scope 3 category 1, and scope 2 of one's own machines. It must never net anything."""

from proxy.exports.gather import Gathered
from proxy.exports.inventory_parts import (
    category1_body,
    category1_section,
    data_quality_section,
    factors_section,
    handover_body,
    handover_section,
    imported_body,
    intensities,
    models_body,
    places_body,
    places_section,
    quality_body,
    scope2_body,
    scope2_section,
)
from proxy.exports.sheet import Sheet
from proxy.exports.strata import counted
from proxy.exports.sums import sum_of
from proxy.reports.pages.language import Language


def ghgp_scope3(gathered: Gathered, language: Language) -> Sheet:
    """The sheet."""
    return Sheet(
        body={
            "scopes": places_body(gathered),
            "scope3_category1": category1_body(gathered),
            "scope2": scope2_body(gathered),
            "by_model": models_body(gathered),
            "handover": handover_body(gathered),
            "imported_apart": imported_body(gathered),
            "data_quality": quality_body(gathered),
            "grid_factors": intensities(gathered),
        },
        sections=(
            places_section(gathered, language),
            category1_section(gathered, language),
            scope2_section(gathered, language),
            handover_section(gathered, language),
            data_quality_section(gathered, language),
            factors_section(gathered, language),
        ),
        headline=sum_of(counted(gathered), "gco2e"),
        sources=("scope3", "scope3_guidance", "scope2"),
        remarks=("gross", "lifecycle", "capital_goods", "whose_rule", "score_scale"),
    )
