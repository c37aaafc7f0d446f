"""`grammage report`: what the ledger sums up to. It must never print a total without its boundary, factors and range."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from config.settings import Campaign
from proxy.cli.known_set import must_be_known
from proxy.cli.ledger_url import declared_campaigns, ledger_url
from proxy.cli.output import Format, message, show_rows
from proxy.cli.report_compare import show_comparison
from proxy.cli.report_full import FILES, Lang, ReportFormat, show_full
from proxy.reports.period import MONTH_LETTERS, instant_in, zone_named

if TYPE_CHECKING:
    from proxy.ledger.queries import Dimension, Selection


class By(StrEnum):
    """What calls are grouped by."""

    MODEL = "model"
    TAG = "tag"
    DAY = "day"
    PROVIDER = "provider"
    ZONE = "zone"
    OPERATION = "operation"
    CAMPAIGN = "campaign"


def report(
    by: Annotated[By, typer.Option("--by", help="What to sum by.")] = By.MODEL,
    tag_name: Annotated[str | None, typer.Option("--tag-name", help="The tag, such as campaign; with --by tag.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Year, month (2026-11), day or instant (2026-11-01T08:00:00Z); UTC.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Last year, month or day, included, or an instant, excluded; UTC.")] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="Only estimates by this method; default: the newest of each attempt.")
    ] = None,
    of_set: Annotated[
        str | None, typer.Option("--set", help="Estimates of this set, made by `grammage reweigh`; default: those made with the calls.")
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option("--compare", help="Explain by factor how the second differs from the first: `live`, sets, or factor sets."),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="Read calls alone, not the sums of hours and days: the same, slower.")] = False,
    form: Annotated[ReportFormat, typer.Option("--format", help="How to print; html, pdf and xlsx are of the whole report.")] = (
        ReportFormat.TABLE
    ),
    full: Annotated[bool, typer.Option("--full", help="The whole report: boundary, change, deliverables, policies, doubt.")] = False,
    lang: Annotated[Lang, typer.Option("--lang", help="Language of the whole report.")] = Lang.EN,
    time_zone: Annotated[str, typer.Option("--time-zone", help="Clock of the whole report, such as Europe/Paris.")] = "UTC",
    brand: Annotated[list[str] | None, typer.Option("--brand", help="Calls of this brand alone, in the whole report.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Calls with this tag alone: NAME=VALUE, in the whole report.")] = None,
    compare_to: Annotated[str | None, typer.Option("--compare-to", help="Period to explain the change from; else the one before.")] = None,
    basis_name: Annotated[str, typer.Option("--basis", help="yearly factors, or a declared basis: ademe-annual.")] = "yearly",
    team: Annotated[str, typer.Option("--team", help="The tag that names teams, for pages on habits.")] = "tool",
    equivalences: Annotated[bool, typer.Option("--equivalences/--no-equivalences", help="Everyday equivalents.")] = True,
    out: Annotated[Path | None, typer.Option("--output", "--out", help="The file to write the whole report to.")] = None,
    config: Annotated[Path | None, typer.Option("--config", help="Configuration that names the ledger; default: GRAMMAGE_CONFIG.")] = None,
    ledger: Annotated[str | None, typer.Option("--ledger", help="The ledger's URL, instead of the configuration's.")] = None,
) -> None:
    """Sum the ledger by model, tag or day: energy, gCO2e with its range, water, tiers, and what could not be weighed."""
    must_be_known(of_set, ledger_url(ledger, config))
    if full or form in FILES:
        words = {"since": since, "until": until, "compare_to": compare_to, "time_zone": time_zone, "basis": basis_name, "set": of_set}
        words |= {"team": team, "equivalences": str(equivalences).lower(), "by": tag_name}
        show_full(words, [*(f"brand={name}" for name in brand or ()), *(tag or ())], form, lang, out, config, ledger)
        return
    selection = _selection(by, tag_name, since, until, method, of_set)
    if compare is not None:
        show_comparison(ledger_url(ledger, config), selection, *compare, Format(form.value))
        return
    _show_sums(selection, ledger_url(ledger, config), exact, form, declared_campaigns(config) if by is By.CAMPAIGN else None)


def _selection(by: By, tag_name: str | None, since: str | None, until: str | None, method: str | None, of_set: str | None) -> "Selection":
    """What to sum, and by what. Raises BadParameter for options that do not go together."""
    from proxy.ledger.queries import Selection  # slow (SQLAlchemy); not for the help

    if (by is By.TAG) != (tag_name is not None):
        raise typer.BadParameter("--by tag and --tag-name go together: --by tag --tag-name campaign")
    if since is not None and until is None and len(since) <= MONTH_LETTERS:
        until = since  # a month or a year alone is that month or year, as in the whole report
    since_ms, until_ms = _instant_ms(since, "--since"), _instant_ms(until, "--until", ends=True)
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise typer.BadParameter(f"--since {since!r} is not before --until {until!r}: no call can lie between them")
    grouped = cast("Dimension", "tag" if by is By.CAMPAIGN else by.value)  # By names these and campaign
    tag_name = by.value if by is By.CAMPAIGN else tag_name
    return Selection(by=grouped, tag_name=tag_name, since_ms=since_ms, until_ms=until_ms, method=method, estimate_set=of_set)


def _show_sums(selection: "Selection", url: str, exact: bool, form: ReportFormat, campaigns: dict[str, Campaign] | None) -> None:
    """Prints the sums; says so when there is nothing to sum."""
    from proxy.ledger.queries import UNASSIGNED  # slow (SQLAlchemy); not for the help
    from proxy.reports.render import DECLARED, TABLE_COLUMNS, basis, csv_document, json_document, table_rows  # as above
    from proxy.reports.summary import summarise  # as above

    summary = summarise(url, selection, exact=exact)
    if form is ReportFormat.JSON:
        print(json_document(summary, campaigns))
    elif form is ReportFormat.CSV:
        sys.stdout.write(csv_document(summary, campaigns))
    else:
        for line in basis(summary):
            print(line)
        columns = TABLE_COLUMNS if campaigns is None else (TABLE_COLUMNS[0], *DECLARED, *TABLE_COLUMNS[1:])
        show_rows(table_rows(summary, campaigns), columns, Format.TABLE)
    if not summary.whole.calls:
        message("the ledger holds no call of this period")
    elif selection.by == "tag" and [line.key for line in summary.lines] == [UNASSIGNED]:
        message(f"no call of this period has the tag {selection.tag_name!r}")


def _instant_ms(text: str | None, option: str, *, ends: bool = False) -> int | None:
    """A year, a month, a day or an instant in ms since 1970, UTC. With ends, what is named means its end."""
    if text is None:
        return None
    try:
        return instant_in(text, zone_named("UTC"), ends=ends)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(
            f"{option} {text!r} is no year (2026), month (2026-11), day (2026-11-01) or instant (2026-11-01T08:00:00Z)"
        ) from error
