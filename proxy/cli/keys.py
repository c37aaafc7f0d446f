"""`grammage keys`: issues, lists, replaces and ends the keys of a proxy. It must never print a key but once, when it is made."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.output import Cell, Format, message, show_rows

if TYPE_CHECKING:
    from proxy.keys.desk import Desk
    from proxy.keys.issue import IssuedKey, NewKey

COLUMNS = (
    "id",
    "name",
    "role",
    "state",
    "hint",
    "created",
    "expires",
    "revoked",
    "replaced_by",
    "tags",
    "models",
    "brands",
    "requests_per_minute",
    "tokens_per_minute",
    "note",
)
ALWAYS = ("id", "name", "role", "state", "hint", "created", "expires")
"""Columns that a table has even where no key fills them."""
UNREACHABLE = 3

keys = typer.Typer(no_args_is_help=True, help="Issue, list, rotate and revoke the proxy's own keys.")


class RoleName(StrEnum):
    """What a key is for."""

    CALLER = "caller"
    VIEWER = "viewer"
    OBSERVER = "observer"
    ADMIN = "admin"


Config = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration that names the ledger; default: GRAMMAGE_CONFIG.")]
Ledger = Annotated[str | None, typer.Option("--ledger", help="The ledger's URL, instead of the configuration's.")]
Form = Annotated[Format, typer.Option("--format", help="How to print.")]
Wanted = Annotated[str, typer.Argument(metavar="ID|NAME", help="The key's id, or its name.")]
Expires = Annotated[str | None, typer.Option("--expires", help="90d, 24h, a last day (2027-01-31, UTC) or an instant.")]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What records and reports call the key's holder; unique.")],
    role: Annotated[RoleName, typer.Option("--role", help="caller: makes calls; viewer: reads figures; admin: everything.")] = (
        RoleName.CALLER
    ),
    brand: Annotated[list[str] | None, typer.Option("--brand", help="For a viewer: sees this brand's figures alone; repeatable.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="name=value, bound to the key's calls; repeatable.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", help="Alias it may use, such as 'gpt-4o*'; repeatable; else all.")] = None,
    expires: Expires = None,
    rpm: Annotated[int | None, typer.Option("--rpm", help="Most requests per minute.")] = None,
    tpm: Annotated[int | None, typer.Option("--tpm", help="Most tokens per minute, in and out.")] = None,
    note: Annotated[str | None, typer.Option("--note", help="A word for whoever reads the list.")] = None,
    form: Form = Format.TABLE,
    config: Config = None,
    ledger: Ledger = None,
) -> None:
    """Issue a key. It is printed once, on standard output, and cannot be shown again."""
    from proxy.keys.issue import Terms  # the ledger's packages wait until a key is wanted

    terms = Terms(
        name=name,
        role=role.value,
        tags=tuple(_pair(each) for each in tag or ()),
        models=tuple(model) if model else None,
        brands=tuple(brand) if brand else None,
        requests_per_minute=rpm,
        tokens_per_minute=tpm,
        note=note,
    )
    with _desk(config, ledger) as desk:
        _show_new(desk.create(terms, _moment(expires)), form)


@keys.command("list")
def list_keys(
    everything: Annotated[bool, typer.Option("--all", help="Revoked and expired keys too.")] = False,
    form: Form = Format.TABLE,
    config: Config = None,
    ledger: Ledger = None,
) -> None:
    """List the keys: what each may do and until when; never the keys themselves."""
    with _desk(config, ledger, reading=True) as desk:
        rows = [_described(key) for key in desk.all()]
    shown = [row for row in rows if everything or row["state"] in ("active", "replaced")]
    _show(shown, [name for name in COLUMNS if form is not Format.TABLE or name in ALWAYS or any(row[name] for row in shown)], form)
    if not shown:
        message("no key is in force" + ("" if everything or not rows else "; --all shows those that have ended"))


@keys.command()
def revoke(wanted: Wanted, form: Form = Format.TABLE, config: Config = None, ledger: Ledger = None) -> None:
    """End a key, or every key of a name; a running proxy refuses it within seconds."""
    with _desk(config, ledger) as desk:
        over = desk.revoke(wanted)
    if form is not Format.TABLE:
        _show([_described(key) for key in over], COLUMNS, form)
    for key in over:
        message(f"key {key.key_id} ({key.terms.name}) is revoked; running proxies refuse it within 2 seconds")


@keys.command()
def rotate(
    wanted: Wanted,
    grace: Annotated[str, typer.Option("--grace", help="How long the old key works beside the new one: 24h, 7d, 0s.")] = "24h",
    expires: Expires = None,
    form: Form = Format.TABLE,
    config: Config = None,
    ledger: Ledger = None,
) -> None:
    """Issue a key that takes over from another, on the same terms. It is printed once."""
    from proxy.keys.moment import span_ms  # as above

    try:
        grace_ms = span_ms(grace)
    except ValueError as error:
        raise typer.BadParameter(f"--grace: {error}") from error
    with _desk(config, ledger) as desk:
        made = desk.rotate(wanted, grace_ms=grace_ms, expires_ms=_moment(expires))
    message(f"the key before it works for {grace} more, unless it ends earlier")
    _show_new(made, form)


@contextmanager
def _desk(config: Path | None, ledger: str | None, *, reading: bool = False) -> Iterator["Desk"]:
    """The desk of the configuration's ledger; what it refuses becomes a message and an exit code. reading: no ledger is made for it."""
    from config.load import load_settings
    from proxy.cli.ledger_url import ledger_url
    from proxy.clock import Clock  # as above, all of them
    from proxy.errors import StartError
    from proxy.keys.desk import Desk, UnknownKey
    from proxy.keys.issue import BadKey
    from proxy.ledger.base import LedgerUnavailable
    from proxy.ledger.store import Store

    settings = load_settings(config, os.environ)
    store = Store(ledger_url(ledger, config))
    if reading and store.revision() is None:
        raise StartError("there is no ledger yet: no proxy has run and no key was made; --config or --ledger names another")
    store.upgrade()
    try:
        yield Desk(store.keys(), Clock().now_ms, [key.name for key in settings.keys])
    except (BadKey, UnknownKey) as error:
        message(f"{error}.")
        raise typer.Exit(1) from None
    except LedgerUnavailable as error:
        message(f"the ledger cannot be reached now: {error}; try again.")
        raise typer.Exit(UNREACHABLE) from None
    finally:
        store.close()


def _show_new(made: "NewKey", form: Format) -> None:
    """The key: alone on standard output, or as the first member of its description."""
    kept = _described(made.kept)
    if form is Format.TABLE:
        print(made.secret)
    elif form is Format.JSON:
        print(json.dumps({"key": made.secret, **kept}, indent=2, ensure_ascii=False))
    else:
        _show([{"key": made.secret, **kept}], ("key", *COLUMNS), form)
    until = f"until {kept['expires']}" if kept["expires"] else "until it is revoked"
    message(f"key {kept['id']} ({kept['name']}, {kept['role']}) works {until}; it is shown this once: keep it now")


def _show(rows: Sequence[dict[str, object]], columns: Sequence[str], form: Format) -> None:
    """Rows whose lists and tags are such in JSON, and one text elsewhere."""
    if form is Format.JSON:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        show_rows([{name: _cell(value) for name, value in row.items()} for row in rows], columns, form)


def _described(key: "IssuedKey") -> dict[str, object]:
    from proxy.keys.show import described  # as above

    return described(key, _now_ms())


def _cell(value: object) -> Cell:
    """Lists and tags as one text."""
    if isinstance(value, dict):
        return " ".join(f"{name}={text}" for name, text in value.items()) or None
    if isinstance(value, list):
        return " ".join(str(each) for each in value) or None
    return value if isinstance(value, str | int | None) else str(value)


def _moment(text: str | None) -> int | None:
    if text is None:
        return None
    from proxy.keys.moment import moment_ms  # as above

    try:
        return moment_ms(text, _now_ms())
    except ValueError as error:
        raise typer.BadParameter(f"--expires: {error}") from error


def _now_ms() -> int:
    from proxy.clock import Clock  # as above

    return Clock().now_ms()


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"--tag {text!r}: write name=value, such as campaign=noel-26")
    return name.strip(), value.strip()
