"""Writes the parts on what was and could be chosen: policies, and what would weigh less. It must never take a difference off a total."""

import re

from proxy.reports.document import Report
from proxy.reports.pages.columns import table
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Chart, Section

_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")
_POLICY = ("policy", "mode", "baseline", "choice", "difference", "probability", "difference_water")


def policies(report: Report, language: Language) -> Section:
    """Each policy against its baseline, water beside carbon, and what it did to calls."""
    rows: list[tuple[Cell, ...]] = [
        (
            each.policy,
            language.code_name("modes", each.mode),
            each.baseline_gco2e,
            each.choice_gco2e,
            each.difference_gco2e,
            each.probability_less,
            each.difference_water_ml,
        )
        for each in report.policies
    ]
    evidence = [(each.policy, each.modelled_calls, each.held_back_calls) for each in report.policies]
    actions = [
        (each.policy, language.code_name("actions", action), calls)
        for each in report.policies
        for action, calls in each.calls_by_action.items()
    ]
    unknown = sorted({each.water_unknown for each in report.policies if each.water_unknown})
    says = [language.say("lead", "policies")]
    says += [language.say("lead", "water_unknown", reason=language.code_name("water", code)) for code in unknown]
    tables = [
        table(language, "policies", _POLICY, rows),
        table(language, "evidence", ("policy", "modelled", "held_back"), evidence),
        table(language, "actions", ("policy", "action", "calls"), actions),
    ]
    return Section(
        id="policies",
        title=language.say("sections", "policies"),
        paragraphs=tuple(says),
        tables=tuple(each for each in tables if each.rows),
    )


def lighter(report: Report, language: Language) -> Section:
    """What would weigh less, with the range of the difference, heaviest first."""
    rows = [
        (
            language.say("kinds", each.kind, what=each.what, instead=_localised(each.instead, language)),
            each.difference_gco2e,
            each.gco2e,
            each.calls,
            each.probability_less,
        )
        for each in report.lighter
    ]
    chart = Chart(kind="bars", label="what", value="difference")
    found = table(language, "lighter", ("what", "difference", "now", "calls", "probability"), rows, chart=chart)
    return Section(
        id="lighter",
        title=language.say("sections", "lighter"),
        paragraphs=(language.say("lead", "lighter"),),
        tables=(found,) if rows else (),
    )


def _localised(text: str, language: Language) -> str:
    """A number as people of the language write it; any other text as it is."""
    return language.number(float(text)) if _NUMBER.fullmatch(text) else text
