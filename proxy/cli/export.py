"""`grammage export`: a period as a file for somebody else. It must never write a secret, nor a user's hash unless asked to.

What is to be written is an option of its own (`--audit-pack FILE`, `--template NAME`, `--calls FILE`); each has its writer, and one run
writes one thing.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from config.load import load_settings
from proxy.cli.export_calls import write_calls
from proxy.cli.export_template import ExportFormat, TemplateName, write_template
from proxy.cli.known_set import must_be_known
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import message
from proxy.cli.policy_past import ConfigFile, LedgerUrl
from proxy.cli.report_full import Lang

PROBLEM = 1


def export(
    since: Annotated[str, typer.Option("--since", help="First day, such as 2026-10-01; with --template a month or a year too.")],
    until: Annotated[str, typer.Option("--until", help="Last day, included (UTC); with --template by --time-zone, a month or a year too.")],
    audit_pack: Annotated[
        Path | None, typer.Option("--audit-pack", help="Write facts, estimates, tables and a verifier into this .zip.")
    ] = None,
    calls: Annotated[
        Path | None, typer.Option("--calls", help="Write single calls into this file: .parquet, .csv or .jsonl; no user, no caller.")
    ] = None,
    template: Annotated[
        TemplateName | None, typer.Option("--template", help="Write a sheet for a framework that people report in.")
    ] = None,
    form: Annotated[ExportFormat | None, typer.Option("--format", help="Form of the sheet; default: the template's usual one.")] = None,
    lang: Annotated[Lang, typer.Option("--lang", help="Language of the sheet.")] = Lang.EN,
    time_zone: Annotated[str, typer.Option("--time-zone", help="Clock of the sheet's period and months, such as Europe/Paris.")] = "UTC",
    basis_name: Annotated[str, typer.Option("--basis", help="yearly factors, or a declared basis: ademe-annual.")] = "yearly",
    brand: Annotated[list[str] | None, typer.Option("--brand", help="Calls of this brand alone, in a sheet.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Calls with this tag alone: NAME=VALUE, in a sheet.")] = None,
    simulated: Annotated[
        bool, typer.Option("--with-simulated", help="A trial: count what the simulated provider answered, as if a model had run.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--output", "--out", help="The file to write the sheet to.")] = None,
    of_set: Annotated[str | None, typer.Option("--set", help="Estimates of this set; default: those made with the calls.")] = None,
    factor_set: Annotated[
        Path | None, typer.Option("--factor-set", help="Folder of the changed tables that the set was weighed by.", file_okay=False)
    ] = None,
    with_users: Annotated[bool, typer.Option("--with-users", help="Add the keyed hashes of users, in a file of their own.")] = False,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Write a period for somebody else: an audit pack, a sheet for a framework, or single calls for a warehouse.

    An audit pack holds what a stranger needs to check a total, offline: unzip it, run `python verify.py`.
    """
    if [audit_pack, template, calls].count(None) != 2:  # one of three
        raise typer.BadParameter("say what to write, one thing a run: --audit-pack FILE.zip, --template NAME, or --calls FILE")
    must_be_known(of_set, ledger_url(ledger, config))
    if calls is not None:
        write_calls(calls, since, until, of_set, ledger_url(ledger, config))
        return
    if template is not None:
        words = {"since": since, "until": until, "time_zone": time_zone, "basis": basis_name}
        words |= {} if of_set is None else {"set": of_set}
        tags = [*(f"brand={name}" for name in brand or ()), *(tag or ())]
        write_template(template, words, tags, form, lang, out, simulated, config, ledger)
        return
    first, last = _day(since, "--since"), _day(until, "--until")
    if first > last:
        raise typer.BadParameter(f"--since {since} is after --until {until}")
    if audit_pack is not None:
        _audit_pack(audit_pack, first, last, of_set, factor_set, with_users, config, ledger_url(ledger, config))


def _audit_pack(
    into: Path, first: date, last: date, of_set: str | None, tables: Path | None, with_users: bool, config: Path | None, url: str
) -> None:
    from importlib.metadata import version  # slow, and not for the help

    from proxy.audit.pack import Wanted, make_pack
    from proxy.audit.redact import redacted
    from proxy.clock import Clock

    wanted = Wanted(
        first=first,
        last=last,
        estimate_set=of_set,
        tables=tables,
        with_users=with_users,
        tool_version=version("grammage"),
        configuration=redacted(load_settings(config, os.environ)),
    )
    with _counting() as advance:
        packed = make_pack(url, wanted, into, Clock().now_ms, advance)
    message(f"{into}: {packed.calls} calls of {first} to {last}; keep the head elsewhere: a changed pack has another")
    print(f"head {packed.head}")
    for stamp in packed.unmatched:
        message(f"the tables of factor set {stamp} are not in the pack: they are not this version's; name theirs with --factor-set")
    for day in packed.changed:
        message(f"{day}: not the anchor of an earlier pack: records came (late bookings, a spool) or went (retention, erasure)")
    if packed.changed:
        raise typer.Exit(PROBLEM)


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{option} {text!r} is no day, such as 2026-10-01; this is of whole days, in UTC") from error


@contextmanager
def _counting() -> Iterator[Callable[[int], None]]:
    """A count of calls on standard error where that is a terminal."""
    from rich.console import Console  # slow to import
    from rich.progress import Progress, TextColumn

    columns = (TextColumn("calls packed"), TextColumn("{task.completed}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=None)
        yield lambda calls: bar.advance(task, calls)
