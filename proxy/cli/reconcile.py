"""`grammage reconcile`: what a provider counted beside what the ledger holds. It must never pass an unknown gap off as covered."""

import asyncio
import json
import os
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from config.load import load_settings
from proxy.cli.imports import context_of
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import Format, message, show_rows
from proxy.cli.policy_past import ConfigFile, LedgerUrl, Since, Until, period_ms

if TYPE_CHECKING:
    from config.settings import Settings
    from proxy.imports.context import Context
    from proxy.imports.scales import Weigher
    from proxy.reconcile.compare import Line
    from proxy.reconcile.theirs import Counted

COLUMNS = (
    *("provider", "month", "model", "provider_tokens", "seen_tokens", "imported_tokens", "coverage", "gap_tokens"),
    *("provider_amount", "seen_amount", "currency", "money_coverage", "gap_amount"),
)
ADMIN_KEY = "OPENAI_ADMIN_KEY"
LEAST = 0.98
HOUR_MS = 3_600_000


class UsageKind(StrEnum):
    """What wrote the usage export."""

    OPENAI_USAGE = "openai-usage"
    LITELLM = "litellm"
    LANGFUSE = "langfuse"
    CSV = "csv"


def reconcile(
    usage: Annotated[list[Path] | None, typer.Option("--usage", help="The provider's usage export; can be repeated.")] = None,
    invoice: Annotated[list[Path] | None, typer.Option("--invoice", help="A CSV of its invoices; can be repeated.")] = None,
    from_api: Annotated[
        bool, typer.Option("--from-api", help="Ask OpenAI's usage API, with the key in OPENAI_ADMIN_KEY; needs --since.")
    ] = False,
    api_base: Annotated[str | None, typer.Option("--api-base", help="Where that API is; default: https://api.openai.com/v1.")] = None,
    save: Annotated[Path | None, typer.Option("--save", help="Keep what the API answered in this file, to be imported (.jsonl).")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Only this provider; it is that of rows that state none.")] = None,
    kind: Annotated[UsageKind, typer.Option("--kind", help="What wrote the usage export.")] = UsageKind.OPENAI_USAGE,
    least: Annotated[float, typer.Option("--least", min=0, max=1, help="Coverage below which the exit code is 1.")] = LEAST,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Compare; do not keep the result for reports.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Compare a period with the provider's own count or bill: coverage in tokens and money, and the gap, by model and month (UTC)."""
    if not usage and not invoice and not from_api:
        raise typer.BadParameter("name what to compare with: --usage FILE, --invoice FILE, --from-api, or several of them")
    from config.tables import load_tables  # slow; the help needs none of these
    from proxy.imports.run import BadFile
    from proxy.imports.scales import Weigher

    since_ms, until_ms = period_ms(since, until)
    asked = _asked(save, api_base, since_ms, until_ms) if from_api else None
    settings, url = load_settings(config, os.environ), ledger_url(ledger, config)
    weigher = Weigher(settings, load_tables())
    context = context_of(settings, provider=provider)
    try:
        counted = _counted(usage or [], invoice or [], kind.value, context, weigher)
        if asked is not None:
            counted += _from_pages(asked, save, context, weigher)
    except BadFile as bad:
        for problem in bad.problems:
            message(problem)
        message("nothing was compared")
        raise typer.Exit(1) from bad
    lines = _compared(counted, provider, (since_ms, until_ms), settings, url, weigher, "" if dry_run else kind.value)
    _show(lines, form, least)


def _counted(usage: list[Path], invoice: list[Path], kind: str, context: "Context", weigher: "Weigher") -> "list[Counted]":
    from proxy.reconcile.theirs import counted_invoices, counted_usage

    found: list[Counted] = []
    for path in usage:
        found += counted_usage(path, kind, context, weigher.who, weigher.provider_of)
    for path in invoice:
        found += counted_invoices(path, context)
    return found


def _asked(save: Path | None, api_base: str | None, since_ms: int | None, until_ms: int | None) -> list[bytes]:
    """The pages of the usage API. Raises BadParameter, StartError, Exit(3) where it cannot be reached."""
    from functools import partial

    from proxy.clock import Clock  # the help needs none of these
    from proxy.http_client import FetchError, close_session, fetch, open_session
    from proxy.reconcile.api import DEFAULT_BASE, usage_pages

    key = os.environ.get(ADMIN_KEY)
    if not key or since_ms is None:
        raise typer.BadParameter(f"--from-api needs --since, and the admin key in the environment ({ADMIN_KEY})")
    if save is not None and save.suffix != ".jsonl":
        raise typer.BadParameter(f"--save {str(save)!r}: the file's name must end in .jsonl")
    end_ms = Clock().now_ms() if until_ms is None else until_ms

    async def ask() -> list[bytes]:
        session = open_session()
        try:
            return await usage_pages(partial(fetch, session), api_base or DEFAULT_BASE, key, since_ms, end_ms)
        finally:
            await close_session(session)

    try:
        return asyncio.run(ask())
    except FetchError as error:
        message(f"the usage API {error}; is {ADMIN_KEY} an admin key of the organization?")
        raise typer.Exit(3) from error


def _from_pages(pages: list[bytes], save: Path | None, context: "Context", weigher: "Weigher") -> "list[Counted]":
    """What the pages count; they are read as a file of them is."""
    from proxy.reconcile.api import write_pages
    from proxy.reconcile.theirs import counted_usage

    with TemporaryDirectory(prefix="grammage-usage-") as folder:
        path = save or Path(folder) / "usage.jsonl"
        write_pages(path, pages)
        return counted_usage(path, "openai-usage", context, weigher.who, weigher.provider_of)


def _compared(
    counted: "list[Counted]",
    provider: str | None,
    bounds: tuple[int | None, int | None],
    settings: "Settings",
    url: str,
    weigher: "Weigher",
    kept_as: str,
) -> "list[Line]":
    """The lines; kept for reports under the kind of the file, empty: not kept."""
    from proxy.errors import StartError
    from proxy.ledger.import_ledger import ImportLedger  # slow (SQLAlchemy); not for the help
    from proxy.reconcile.compare import compare
    from proxy.reconcile.keep import keep
    from proxy.reconcile.prices import Prices
    from proxy.reconcile.theirs import only

    theirs = only(counted, provider, *bounds)
    if not theirs:
        message("the files tell nothing of this provider and period")
        raise typer.Exit(1)
    span = (min(each.start_ms for each in theirs), max(each.end_ms for each in theirs))
    since_ms, until_ms = bounds[0] if bounds[0] is not None else span[0], bounds[1] if bounds[1] is not None else span[1]
    prices = Prices(settings, weigher.who)
    with closing(ImportLedger(url)) as opened:
        if since_ms < opened.pruned_before_ms():
            raise StartError("calls of this period were pruned: what is left of them would pass for the whole; begin later, with --since")
        lines = compare(theirs, opened.seen_sums(since_ms, until_ms, HOUR_MS), prices, weigher.who)
        if kept_as:
            keep(opened, lines, kind=kept_as, since_ms=since_ms, until_ms=until_ms)
    if not prices.any and any(line.provider_amount is not None for line in lines):
        message("no deployment has a price: money cannot be compared; state `price` with the deployments")
    return lines


def _show(lines: "list[Line]", form: Format, least: float) -> None:
    """The lines on standard output, what is missing on standard error. Raises Exit(1) where a month is covered less than it must be."""
    rows = [line.figures() for line in lines]
    if form is Format.JSON:
        print(json.dumps({"least": least, "lines": rows}, indent=2))
    else:
        show_rows(rows, COLUMNS, form)
    short = [line for line in lines if not line.model and _is_short(line, least)]
    for line in lines:
        if line.model == "" or any(each.provider == line.provider and each.month == line.month for each in short):
            _tell(line)
    if short:
        raise typer.Exit(1)


def _is_short(line: "Line", least: float) -> bool:
    return any(share is not None and share < least for share in (line.coverage, line.money_coverage))


def _tell(line: "Line") -> None:
    """The unexplained part in words."""
    where = f"{line.provider} {line.month}, {line.model or 'all models'}"
    gap = line.gap_tokens
    if gap and line.provider_tokens:
        side = "counted by the provider and not in the ledger" if gap > 0 else "in the ledger and not counted by the provider"
        message(f"{where}: {abs(gap)} tokens {side} ({abs(gap) / line.provider_tokens:.1%} of its count)")
    elif gap:
        message(f"{where}: {abs(gap)} tokens in the ledger of which the provider tells nothing")
    if line.gap_amount is not None and not line.model:
        message(f"{where}: {line.gap_amount:.2f} {' '.join(line.currencies)} of {line.provider_amount:.2f} not explained by calls")
    if line.unpriced and line.provider_amount is not None:
        message(f"{where}: calls of models without a price are in no amount")
    if len(line.currencies) > 1:
        message(f"{where}: amounts in {', '.join(sorted(line.currencies))} cannot be compared with one sum")
