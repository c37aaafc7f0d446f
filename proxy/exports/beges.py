"""Makes a mapping to the posts of the French method and the categories of ISO 14064-1. It must never add a post that calls do not have."""

from typing import Any

from proxy.exports.columns import listing
from proxy.exports.gather import Gathered
from proxy.exports.inventory_parts import (
    category1_body,
    data_quality_section,
    factors_section,
    handover_section,
    imported_body,
    intensities,
    places_body,
    quality_body,
)
from proxy.exports.scopes import Placed, category1, own_beyond, placed
from proxy.exports.sheet import Sheet
from proxy.exports.strata import counted
from proxy.exports.sums import sum_of, tonnes
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Section
from proxy.reports.restated import YEARLY


def beges(gathered: Gathered, language: Language) -> Sheet:
    """The sheet."""
    intensity = gathered.report.basis.intensity
    return Sheet(
        body={
            "posts": places_body(gathered),
            "purchased_services": category1_body(gathered),
            "basis_of_electricity": intensity,
            "imported_apart": imported_body(gathered),
            "data_quality": quality_body(gathered),
            "grid_factors": intensities(gathered),
        },
        sections=(
            _posts(gathered, language),
            handover_section(gathered, language),
            data_quality_section(gathered, language),
            factors_section(gathered, language),
        ),
        headline=sum_of(counted(gathered), "gco2e"),
        sources=("beges", "iso14064"),
        remarks=(
            "gross",
            "beges_basis" if intensity == YEARLY else "beges_declared",
            "beges_upstream",
            "beges_hardware",
            "whose_rule",
            "score_scale",
        ),
    )


def _posts(gathered: Gathered, language: Language) -> Section:
    found = placed(gathered)
    keys = ("post", "iso_category", "gco2e", "tonnes", "weighed", "score", "reason")
    rows = [_row(each, language) for each in found]
    beside: Any = category1(gathered).beside
    says = [language.say("export_leads", "beges")]
    if beside is not None:
        says.append(language.say("export_leads", "beges_beside", grams=language.around("g", beside)))
    if (left := own_beyond(gathered)) is not None:
        says.append(language.say("export_leads", "own_beyond", grams=language.around("g", left)))
    if not rows:
        says.append(language.say("page", "none"))
    tables = (listing(language, "posts", keys, rows),) if rows else ()
    return Section(id="posts", title=language.say("sections", "posts"), paragraphs=tuple(says), tables=tables)


def _row(each: Placed, language: Language) -> tuple[Cell, ...]:
    named = f"{each.place.post} {language.say('beges_posts', each.place.post)}"
    post = language.say("words", "pair", name=named, what=language.say("places", each.place.id))
    return (
        post,
        f"{each.place.iso} {language.say('iso_categories', each.place.iso)}",
        each.gco2e,
        tonnes(each.gco2e),
        each.attempts,
        each.data_quality_score,
        language.say("beges_reasons", each.place.id),
    )
