"""`grammage report --full`: the whole report, in the terminal or as a file. It must never print a total without its range and basis."""

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from config.load import load_settings
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import message
from proxy.cli.report_pages import hand_over, may_print, show_report, write_page
from proxy.clock import Clock

if TYPE_CHECKING:
    from proxy.reports.document import Report


class ReportFormat(StrEnum):
    """How a report is printed. html, pdf, xlsx and parquet are of the whole report."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    HTML = "html"
    PDF = "pdf"
    XLSX = "xlsx"
    PARQUET = "parquet"


class Lang(StrEnum):
    """Languages of a whole report."""

    EN = "en"
    FR = "fr"


FILES: Final = frozenset({ReportFormat.HTML, ReportFormat.PDF, ReportFormat.XLSX, ReportFormat.PARQUET})
"""Forms that are of the whole report alone."""


def show_full(words: Mapping[str, str | None], tags: Sequence[str], form: ReportFormat, lang: Lang, out: Path | None,
              config: Path | None, ledger: str | None) -> None:  # fmt: skip
    """Prints the report, or writes it to a file. words: what is asked for, as the API has it. Raises typer.BadParameter, StartError."""
    if form is ReportFormat.TABLE and out is not None:
        raise typer.BadParameter(f"a table is for the terminal; --output {out} needs a --format, such as html or pdf")
    may_print(form.value, out)
    report = _composed({name: word for name, word in words.items() if word is not None}, tags, config, ledger)
    _summary(report, lang)
    if form is ReportFormat.TABLE:
        show_report(report, lang.value)
    elif form is ReportFormat.JSON:
        from proxy.reports.as_json import json_report  # not for the help

        hand_over((json_report(report) + "\n").encode(), out)
    else:
        write_page(report, form.value, lang.value, out)


def _composed(words: Mapping[str, str], tags: Sequence[str], config: Path | None, ledger: str | None) -> "Report":
    from config.tables import load_tables  # slow; not for the help
    from proxy.reports.asked import asked_for
    from proxy.reports.compose import compose

    settings = load_settings(config, os.environ)
    try:
        request = asked_for(words, tag_pairs(tags), Clock().now_ms())
        return compose(ledger_url(ledger, config), request, settings, load_tables())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def tag_pairs(pairs: Sequence[str]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Names of tags with their values, of NAME=VALUE. Raises typer.BadParameter."""
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"--tag {pair!r} is not NAME=VALUE, such as campaign=noel-26")
        found.setdefault(name, []).append(value)
    return tuple((name, tuple(values)) for name, values in found.items())


def _summary(report: "Report", lang: Lang) -> None:
    """One line for people, on standard error: data alone goes to standard output."""
    from proxy.reports.pages.language import Language

    language, grams = Language(code=lang.value), report.total.gco2e
    period = language.period(report.basis.since, report.basis.until)
    calls = language.count(report.total.calls)
    weight = "-" if grams is None else f"{language.amount('g', grams.mean)} CO2e ({language.between('g', grams)})"
    message(f"{period}: {weight}, {calls} {WORDS[lang]}")


WORDS: Final = {Lang.EN: "calls", Lang.FR: "appels"}
