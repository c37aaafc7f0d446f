"""Writes the parts on where it comes from: everyday terms, groups, brands, teams. It must never speak of one person."""

from collections.abc import Iterator

from proxy.reports.document import Branch, Habit, Report
from proxy.reports.pages.columns import key_name, line_table, scaled, table
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Chart, Section, Table

_FIRST = {"model": "model", "provider": "provider", "zone": "zone", "operation": "operation", "policy": "policy"}
_DRAWN = frozenset({"model", "provider", "zone", "operation"})
TAG = "tag:"


def equivalences(report: Report, language: Language) -> Section:
    """The total as so many of everyday things, with sources."""
    total = report.total.gco2e
    rows: list[tuple[Cell, ...]] = [
        (
            each.label_fr if language.code == "fr" else each.label_en,
            scaled(total, each.count / total.mean) if total and total.mean else None,
            each.source,
            each.url,
            str(each.year),
        )
        for each in report.equivalences
    ]
    found = table(language, "equivalences", ("everyday", "count", "source", "address", "year"), rows)
    lead = language.say("lead", "equivalences")
    return Section(id="equivalences", title=language.say("sections", "equivalences"), paragraphs=(lead,), tables=(found,) if rows else ())


def details(report: Report, language: Language) -> Section:
    """Groups of the total: tags first, then models, grids and the rest; brands with what lies below them."""
    tables = [*_tags(report, language), *_groups(report, language)]
    if report.tree:
        rows = list(_branches(report.tree, 0, language))
        tables.append(table(language, "tree", ("name", "level", "gco2e", "calls", "not_listed"), rows))
    if report.purposes:
        tables.append(table(language, "purposes", ("campaign", "purpose"), list(report.purposes.items())))
    tables += _days(report, language)
    lead = language.say("lead", "details")
    return Section(id="details", title=language.say("sections", "details"), paragraphs=(lead,), tables=tuple(tables))


def habits(report: Report, language: Language) -> Section:
    """A page for each team on how it works, with tips and where they come from."""
    known = [habit for habit in report.habits if _is_known(habit)]
    parts = tuple(_team(habit, place, language) for place, habit in enumerate(known, start=1))
    return Section(
        id="habits",
        title=language.say("sections", "habits"),
        paragraphs=(language.say("lead", "habits"),),
        parts=parts,
        is_page=bool(parts),
    )


def _is_known(habit: Habit) -> bool:
    """Whether anything is known of how the team works: of seats that were imported nothing is but what they cost."""
    return any(figure is not None for figure in (habit.calls_per_accepted, habit.oversized_share, habit.long_answer_share))


def _team(habit: Habit, place: int, language: Language) -> Section:
    row = (habit.gco2e, habit.calls, habit.calls_per_accepted, habit.oversized_share, habit.long_answer_share)
    team = key_name(language, habit.team)
    tables = [table(language, "habits", ("gco2e", "calls", "iterations", "oversized", "long_answers"), [row], team=team)]
    if habit.tips:
        tips = [
            (language.spaced(tip.text_fr if language.code == "fr" else tip.text_en), tip.source, tip.url, str(tip.year))
            for tip in habit.tips
        ]
        tables.append(table(language, "tips", ("tip", "source", "address", "year"), tips, team=team))
    return Section(
        id=f"team-{place}",
        title=language.say("page", "team", dimension=language.code_name("tags", habit.dimension).capitalize(), team=team),
        tables=tuple(tables),
        is_page=place > 1,
    )


def _tags(report: Report, language: Language) -> Iterator[Table]:
    for name, lines in report.groups.items():
        if name.startswith(TAG) and lines:
            tag = language.code_name("tags", name.removeprefix(TAG))
            yield line_table(language, "by_tag", "name", lines, chart=Chart(kind="bars", label="name", value="gco2e"), tag=tag)


def _groups(report: Report, language: Language) -> Iterator[Table]:
    for name, first in _FIRST.items():
        if lines := report.groups.get(name):
            chart = Chart(kind="bars", label=first, value="gco2e") if name in _DRAWN and len(lines) > 1 else None
            yield line_table(language, f"by_{name}", first, lines, chart=chart)


def _days(report: Report, language: Language) -> Iterator[Table]:
    if days := report.groups.get("day"):
        rows = [(line.key, line.gco2e, line.facility_energy_wh, line.calls) for line in days]
        chart = Chart(kind="days", label="day", value="gco2e")
        yield table(language, "days", ("day", "gco2e", "facility_energy_wh", "calls"), rows, chart=chart)


def _branches(branches: tuple[Branch, ...], depth: int, language: Language) -> Iterator[tuple[Cell, ...]]:
    for branch in branches:
        name = "\N{EM SPACE}" * depth + key_name(language, branch.name)
        yield (name, language.say("levels", branch.level), branch.gco2e, branch.calls, branch.cut)
        yield from _branches(branch.below, depth + 1, language)
