"""`grammage import`: what never crossed the proxy, from files. It must never add what the ledger holds already."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import tzinfo
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from config.load import load_settings
from config.tag_rules import is_tag_name, is_tag_value
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import Format, message, show_rows
from proxy.cli.policy_past import ConfigFile, LedgerUrl

if TYPE_CHECKING:
    from config.settings import Settings
    from proxy.imports.context import Context
    from proxy.imports.told import Told

COLUMNS = ("file", "rows", "added", "calls", "matched", "skipped", "unweighed", "gco2e")
RULES = (
    "calls one by one are matched by their ids, else by provider, model and the very same counts within 5 minutes",
    "sums are imported less what the ledger holds of the same provider, model and time, live or imported; never below 0",
    "money is weighed by a ratio of a whole branch: tier E, an order of magnitude; energy and water are not known",
)
_RATE = re.compile(r"([A-Z]{3})=([0-9]+(?:\.[0-9]+)?)([A-Z]{3})")


class Kind(StrEnum):
    """What wrote the file."""

    LITELLM = "litellm"
    OPENAI_USAGE = "openai-usage"
    LANGFUSE = "langfuse"
    CSV = "csv"
    SEATS = "seats"
    INVOICE = "invoice"


def imports(
    files: Annotated[list[Path], typer.Argument(help="Exports: .csv, .json or .jsonl.", metavar="FILE...")],
    kind: Annotated[Kind, typer.Option("--kind", help="What wrote them.")],
    tags: Annotated[list[str] | None, typer.Option("--tag", help="A tag of every row, such as campaign=noel-26; can be repeated.")] = None,
    provider: Annotated[str | None, typer.Option("--provider", help="Provider or vendor of rows that state none.")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Currency of amounts that state none, such as EUR.")] = None,
    rates: Annotated[
        list[str] | None, typer.Option("--rate", help="Your rate of a currency without a factor: GBP=1.17EUR; can be repeated.")
    ] = None,
    time_zone: Annotated[str, typer.Option("--time-zone", help="Zone of times without one, such as Europe/Paris.")] = "UTC",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, match and weigh; write nothing.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Import usage exports, seats and invoices: marked as imported, matched with what was seen live, never added twice."""
    settings, url = load_settings(config, os.environ), ledger_url(ledger, config)
    context = context_of(settings, tags=tags, provider=provider, currency=currency, rates=rates, time_zone=time_zone)
    found = [(file, _one(file, kind, context, settings, url, dry_run=dry_run)) for file in files]
    _show(found, kind, form, dry_run=dry_run)


def context_of(
    settings: "Settings",
    *,
    tags: list[str] | None = None,
    provider: str | None = None,
    currency: str | None = None,
    rates: list[str] | None = None,
    time_zone: str = "UTC",
) -> "Context":
    """What is said beside the files. Raises BadParameter."""
    from proxy.imports.context import Context, declared_tags  # the help needs none of this

    return Context(
        declared=declared_tags(settings),
        zone=_zone(time_zone),
        tags=tuple(sorted(map(_tag, tags or ()))),
        provider=provider,
        currency=None if currency is None else currency.upper(),
        rates=dict(map(_rate, rates or ())),
    )


def _one(file: Path, kind: Kind, context: "Context", settings: "Settings", url: str, *, dry_run: bool) -> "Told":
    from config.tables import load_tables  # slow; the help needs none of these
    from proxy.clock import Clock, uuid7
    from proxy.imports.money import Purse
    from proxy.imports.run import BadFile, Job, run
    from proxy.imports.scales import Weigher
    from proxy.ledger.import_ledger import ImportLedger
    from proxy.ledger.store import Store

    now_ms = Clock().now_ms()
    job = Job(path=file, kind=kind.value, context=context, batch_id=uuid7(now_ms), now_ms=now_ms, dry_run=dry_run)
    tables = load_tables()
    with closing(Store(url)) as store:
        if not dry_run:
            store.upgrade()
            store.open_writer("commit")
        with closing(ImportLedger(url)) as opened, _progress(file.name) as advance:
            try:
                return run(job, opened, store, Weigher(settings, tables), Purse(tables, context), advance)
            except BadFile as bad:
                _refuse(file, bad.problems, bad.count)


def _refuse(file: Path, problems: tuple[str, ...], count: int) -> NoReturn:
    for problem in problems:
        message(problem)
    rest = f" ({len(problems)} shown)" if count > len(problems) else ""
    message(f"{file}: {count} rows cannot be read{rest}; nothing of this file was imported")
    raise typer.Exit(1)


def _show(found: "list[tuple[Path, Told]]", kind: Kind, form: Format, *, dry_run: bool) -> None:
    documents = [{"file": file.name, **told.figures()} for file, told in found]
    if form is Format.JSON:
        print(json.dumps({"kind": kind.value, "dry_run": dry_run, "rules": RULES, "files": documents}, indent=2))
        return
    rows = [{**document, "matched": _counts(document["matched"]), "skipped": _counts(document["skipped"])} for document in documents]
    show_rows(rows, COLUMNS, form)
    for document in documents:
        for what, count in document["taken_from_sums"].items():
            message(f"{document['file']}: {count} {what} of its sums are in the ledger already and were not added")
    for rule in RULES:
        message(rule)
    if dry_run:
        message("dry run: nothing was written")


def _counts(reasons: dict[str, int]) -> str | None:
    return " ".join(f"{reason}={count}" for reason, count in reasons.items() if count) or None


def _tag(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not is_tag_name(name) or not is_tag_value(value):
        raise typer.BadParameter(f"--tag {text!r} is no tag; write campaign=noel-26")
    return name, value


def _rate(text: str) -> tuple[str, tuple[float, str]]:
    found = _RATE.fullmatch(text.upper())
    if found is None or float(found[2]) == 0:
        raise typer.BadParameter(f"--rate {text!r} is no rate; write GBP=1.17EUR: one pound is 1.17 euros")
    return found[1], (float(found[2]), found[3])


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise typer.BadParameter(f"--time-zone {name!r} is no zone; write one such as Europe/Paris") from error


@contextmanager
def _progress(name: str) -> Iterator[Callable[[int], None]]:
    """A bar on standard error where that is a terminal, and what moves it."""
    from rich.console import Console  # slow to import, and not for the help
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}: {task.completed} rows added"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(name, total=None)
        yield lambda rows: bar.advance(task, rows)
