"""`grammage export`: a period as a file for somebody else. It must never write a secret, nor a user's hash unless asked to.

What is to be written is an option of its own (`--audit-pack FILE`); each has its writer, and one run writes one thing.
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
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import message
from proxy.cli.policy_past import ConfigFile, LedgerUrl

PROBLEM = 1


def export(
    since: Annotated[str, typer.Option("--since", help="First day, such as 2026-10-01, UTC.")],
    until: Annotated[str, typer.Option("--until", help="Last day, included, UTC.")],
    audit_pack: Annotated[
        Path | None, typer.Option("--audit-pack", help="Write facts, estimates, tables and a verifier into this .zip.")
    ] = None,
    of_set: Annotated[str | None, typer.Option("--set", help="Estimates of this set; default: those made with the calls.")] = None,
    factor_set: Annotated[
        Path | None, typer.Option("--factor-set", help="Folder of the changed tables that the set was weighed by.", file_okay=False)
    ] = None,
    with_users: Annotated[bool, typer.Option("--with-users", help="Add the keyed hashes of users, in a file of their own.")] = False,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Write a period into a file. An audit pack holds what a stranger needs to check a total, offline: unzip it, run `python verify.py`."""
    first, last = _day(since, "--since"), _day(until, "--until")
    if first > last:
        raise typer.BadParameter(f"--since {since} is after --until {until}")
    if audit_pack is None:
        raise typer.BadParameter("say what to write: --audit-pack FILE.zip")
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
