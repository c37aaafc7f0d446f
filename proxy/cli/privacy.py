"""`grammage privacy`: what is kept of an end user or a key, shown and erased. It must never print whom it erased, nor change a figure."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.load import load_settings
from config.settings import Settings
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import Cell, Format, message, show_rows
from proxy.cli.policy_past import ConfigFile, LedgerUrl
from proxy.errors import StartError

if TYPE_CHECKING:
    from proxy.ledger.personal import Whom
    from proxy.ledger.personal_erase import Found

PROBLEM, UNREACHABLE = 1, 3
COLUMNS = ("scope", "calls", "verdicts", "keys", "reused_answers", "recorded_as")

privacy = typer.Typer(no_args_is_help=True, help="Export and erase what is kept of an end user or a key.")

User = Annotated[str | None, typer.Option("--user", help="What clients send as `user` or `safety_identifier`; - reads it from stdin.")]
KeyName = Annotated[str | None, typer.Option("--key", help="A key's name.")]
CallerId = Annotated[str | None, typer.Option("--caller", help="Any other caller's id in records, such as key:1f0c9a...")]
Secrets = Annotated[
    list[Path] | None,
    typer.Option("--secret-file", help="An earlier user_hash_secret, in a file; repeatable. The one in force is known."),
]


@privacy.command()
def export(
    user: User = None,
    key: KeyName = None,
    caller: CallerId = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file for JSON (default: standard output); a new folder for CSV.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="json or csv.")] = Format.JSON,
    secret_file: Secrets = None,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Write everything the ledger holds of them; exit code 1 where some of it could not be searched."""
    from proxy.cli.privacy_export import write_csv, write_json  # slow (SQLAlchemy); not for the help
    from proxy.ledger.changing import opened_to_change
    from proxy.ledger.personal_erase import found

    if form is Format.TABLE or (form is Format.CSV and output is None):
        raise typer.BadParameter("--format csv makes a file for each table: name a new folder with --output; --format json makes one file")
    url, whom, _ = _whom(user, key, caller, secret_file, config, ledger)
    _bring_in(url)
    with opened_to_change(url) as hands:
        there = found(hands, whom)
        if form is Format.CSV and output is not None:
            write_csv(hands, whom, there, output)
        else:
            write_json(hands, whom, there, output)
    message(f"{there.calls} calls; what is kept elsewhere stands in the file under `elsewhere`")
    if _warn(there):
        raise typer.Exit(PROBLEM)


@privacy.command()
def erase(
    user: User = None,
    key: KeyName = None,
    caller: CallerId = None,
    provider_ids: Annotated[
        bool,
        typer.Option("--provider-ids", help="Also the ids at the provider; a later import can then not tell these calls from new ones."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much there is.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Needed to erase: it cannot be taken back.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    secret_file: Secrets = None,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Take out what leads to them: hashes, names, kept answers. Calls and figures stay, and the ledger records that it was done."""
    from proxy.clock import Clock  # slow (SQLAlchemy); not for the help
    from proxy.ledger.changing import opened_to_change
    from proxy.ledger.personal import LiveKey
    from proxy.ledger.personal_erase import erase as erase_rows
    from proxy.ledger.personal_erase import found

    if not (dry_run or yes):
        raise typer.BadParameter("nothing was erased: see what there is with --dry-run, then give --yes")
    url, whom, secrets = _whom(user, key, caller, secret_file, config, ledger)
    settings = load_settings(config, os.environ)
    if key is not None and any(each.name == key for each in settings.keys) and not dry_run:
        raise StartError(f"key {key!r} stands in the configuration: take it out there and reload the proxy, then erase it")
    waits = _bring_in(url)
    with opened_to_change(url) as hands:
        there = found(hands, whom)
        if dry_run:
            _show(whom.scope, there.calls, there.verdicts, there.keys, None, None, form)
            message("nothing was erased")
            raise typer.Exit(PROBLEM if _warn(there) else 0)
        answers = _forget_answers(settings, secrets, there)
        try:
            number, done = erase_rows(hands, whom, Clock().now_ms(), provider_ids=provider_ids)
        except LiveKey as error:
            raise StartError(f"key {key!r} still works: revoke it first, with `grammage keys revoke {key}`") from error
    _show(whom.scope, done.calls, done.verdicts, done.keys, answers, number, form)
    message("a proxy that runs remembers recent objects, and answers kept in memory: ask each one to erase too (POST /admin/privacy/erase)")
    if _warn(there) or waits:
        raise typer.Exit(PROBLEM)


@privacy.command("list")
def erasures(
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Show the erasures that the ledger records: when, of what kind, how much; never of whom."""
    from proxy.keys.moment import shown  # as above
    from proxy.ledger.changing import opened_to_change
    from proxy.ledger.personal_erase import erasures as recorded

    with opened_to_change(ledger_url(ledger, config)) as hands:
        rows = recorded(hands)
    columns = ("recorded_as", "at", "scope", "calls", "verdicts", "keys", "provider_ids")
    show_rows(
        [{"recorded_as": at, "at": shown(at), **{name: getattr(row, name) for name in columns[2:]}} for at, row in sorted(rows.items())],
        columns,
        form,
    )


def _whom(
    user: str | None, key: str | None, caller: str | None, secret_files: list[Path] | None, config: Path | None, ledger: str | None
) -> "tuple[str, Whom, list[bytes]]":
    """The ledger, whom it is about, and the secrets that are known. Raises BadParameter, StartError."""
    from proxy.erasing import whom_of  # as above
    from proxy.ledger.store import sqlite_path
    from proxy.secret import known_secret

    given = {"user": user, "key": key, "caller": caller}
    named = [(scope, name) for scope, name in given.items() if name]
    if len(named) != 1:
        raise typer.BadParameter("name one: --user ID, --key NAME or --caller ID")
    scope, name = named[0]
    if scope == "user" and name == "-":
        name = sys.stdin.readline().rstrip("\r\n")
    url = ledger_url(ledger, config)
    current = known_secret(load_settings(config, os.environ), sqlite_path(url))
    secrets = [*([] if current is None else [current]), *(each for file in secret_files or () for each in _secrets_in(file))]
    if scope == "user" and not secrets:
        raise StartError(
            "the secret behind the hashes of users is not known here: run this beside the proxy's configuration and secret file, "
            "or name it with --secret-file"
        )
    return url, whom_of(scope, name, secrets), secrets  # type: ignore[arg-type]  # the three scopes, as above


def _secrets_in(file: Path) -> list[bytes]:
    """The secret, and the same without the line end that an editor may have added."""
    try:
        found = file.read_bytes()
    except OSError as error:
        raise StartError(f"cannot read --secret-file {file}: {error.strerror}") from error
    bare = found.rstrip(b"\r\n")
    return [found] if bare == found else [bare, found]


def _bring_in(url: str) -> bool:
    """Brings in what a spool holds; True where something waits that could not be."""
    from proxy.ledger.left_over import bring_in  # as above

    try:
        left = bring_in(url)
    except OSError as error:
        raise StartError(f"the spool beside the ledger cannot be read: {error}; run this as the user of the proxy") from error
    if left.brought_in:
        message(f"{left.brought_in} calls were brought in from a spool")
    for file in left.filled:
        message(f"{file} holds calls that are not in the ledger yet: let the proxy bring them in, then do this again")
    for file in left.unreadable:
        message(f"{file} holds calls of another version: bring them in with that version, or delete the file")
    return bool(left.filled or left.unreadable)


def _forget_answers(settings: Settings, secrets: list[bytes], there: "Found") -> int | None:
    from proxy.erasing import erase_shared_answers  # as above

    if settings.redis is None or not there.callers:
        return None
    try:
        return erase_shared_answers(settings.redis, secrets, there.callers)
    except ConnectionError as error:
        message(f"nothing was erased: answers may be kept in Redis, which cannot be reached ({error})")
        raise typer.Exit(UNREACHABLE) from error


def _warn(there: "Found") -> bool:
    """Says what was not searched; True where there is any."""
    for secret_id, calls in sorted(there.unsearched.items()):
        message(f"{calls} calls have users hashed with the secret {secret_id}, which is not known here: name it with --secret-file")
    return bool(there.unsearched)


def _show(scope: str, calls: int, verdicts: int, keys: int, answers: int | None, number: int | None, form: Format) -> None:
    row: dict[str, Cell] = {"scope": scope, "calls": calls, "verdicts": verdicts, "keys": keys}
    show_rows([{**row, "reused_answers": answers, "recorded_as": number}], COLUMNS, form)
