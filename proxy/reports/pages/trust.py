"""Writes the parts on how sure: tiers, completeness, what the range is made of. It must never hide what is missing."""

from collections.abc import Callable, Iterator

from proxy.reports.document import Note, Report
from proxy.reports.line import Line
from proxy.reports.pages.columns import table
from proxy.reports.pages.language import Language
from proxy.reports.pages.outline import Cell, Chart, Section, Table
from proxy.reports.pages.printable import printable

_SHARES = frozenset({"share"})


def quality(report: Report, language: Language) -> Section:
    """Shares by tier, counts of what is in and what is missing, coverage, and the notes."""
    says = (language.say("lead", "quality"), *(note_text(note, language) for note in report.notes))
    found = (_tiers(report.total, language), _completeness(report, language), *_missing(report, language))
    tables = tuple(each for each in found if each.rows)
    return Section(id="quality", title=language.say("sections", "quality"), paragraphs=says, tables=tables)


def drivers(report: Report, language: Language) -> Section:
    """The tornado: each source of doubt with the total at its ends, widest first."""
    title, lead = language.say("sections", "drivers"), language.say("lead", "drivers")
    if report.total.gco2e is None or not report.drivers:
        return Section(id="drivers", title=title, paragraphs=(lead,))
    widest = sorted(report.drivers, key=lambda each: each.gco2e_low - each.gco2e_high)
    rows = [(_driver(each.scope, each.key, language), each.gco2e_low, each.gco2e_high) for each in widest]
    chart = Chart(kind="tornado", label="driver", value="low", high="high", middle=report.total.gco2e.mean)
    return Section(
        id="drivers", title=title, paragraphs=(lead,), tables=(table(language, "drivers", ("driver", "low", "high"), rows, chart=chart),)
    )


def note_text(note: Note, language: Language) -> str:
    """The sentence of a note with its values in the language."""
    values = {name: _note_value(name, value, language) for name, value in note.values.items()}
    return language.say("notes", note.code, **values)


def _note_value(name: str, value: Cell, language: Language) -> str:
    if name in _SHARES and isinstance(value, int | float):
        return language.percent(value)
    if name == "until" and isinstance(value, str):
        return language.instant(value)
    if isinstance(value, int) and name != "year":
        return language.count(value)
    if isinstance(value, float):
        return language.number(value)
    if name == "tag" and isinstance(value, str):
        return language.code_name("tags", printable(value))
    return printable(str(value))


def _driver(scope: str, key: str | None, language: Language) -> str:
    name = language.say("scopes", scope)
    if key is None:
        return name
    head, _, _ = name.partition(":")
    return f"{head.strip()} {key}"


def _tiers(line: Line, language: Language) -> Table:
    rows = sorted(line.gco2e_share_by_tier.items())
    return table(language, "tiers", ("tier", "share"), rows)


def _completeness(report: Report, language: Language) -> Table:
    line = report.total
    facts: tuple[tuple[str, int | None], ...] = (
        ("calls", line.calls),
        ("attempts", line.attempts),
        ("weighed", line.weighed_attempts),
        ("unweighed", sum(line.unweighed.values())),
        ("not_generated", line.not_generated),
        ("pending", report.pending_calls),
        ("unmetered", report.unmetered_calls),
        ("imported", report.imported_calls),
    )
    return table(language, "completeness", ("fact", "number"), [(language.say("facts", name), number) for name, number in facts])


def _missing(report: Report, language: Language) -> Iterator[Table]:
    named: Callable[[str, str], str] = language.code_name
    unweighed = [(named("reasons", reason), attempts) for reason, attempts in report.total.unweighed.items()]
    yield table(language, "unweighed", ("reason", "attempts"), unweighed)
    yield table(language, "instead", ("kind", "calls"), [(named("instead", kind), calls) for kind, calls in report.instead.items()])
    coverage: list[tuple[Cell, ...]] = [
        (
            each.provider,
            each.month,
            each.attempts,
            each.imported_calls,
            each.tokens,
            each.money,
            None if each.gap is None else named("gaps", each.gap),
        )
        for each in report.coverage
    ]
    keys = ("provider", "month", "attempts", "of_imports", "tokens_covered", "money_covered", "gap")
    yield table(language, "coverage", keys, coverage)
