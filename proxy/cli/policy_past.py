"""What the commands on past calls share: which configuration, which period, who called, how far one is. It must never judge a call."""

import os
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.load import load_settings
from config.settings import Settings
from config.text_file import read_text
from config.yaml_tree import read_yaml
from proxy.keys.moment import instant_ms

if TYPE_CHECKING:
    from proxy.call import Caller
    from proxy.ledger.past import Past, PastCall

WHOLE_CONFIGURATION = frozenset({"version", "models", "server", "ledger", "upstream"})
"""Keys by which a file is a configuration, and not one of policies alone."""

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration; default: GRAMMAGE_CONFIG.")]
LedgerUrl = Annotated[str | None, typer.Option("--ledger", help="The ledger's URL, instead of the configuration's.")]
Since = Annotated[str | None, typer.Option("--since", help="First day (2026-11-01) or instant (2026-11-01T08:00:00Z), UTC.")]
Until = Annotated[str | None, typer.Option("--until", help="Last day, included, or an instant, excluded; UTC.")]


def settings_with(policies: Path | None, config: Path | None) -> Settings:
    """The configuration, with the policies of another file where one is named; that may be a whole configuration itself.

    Raises ConfigError.
    """
    if policies is None:
        return load_settings(config, os.environ)
    found = read_yaml(read_text(policies, "name another file of policies"), str(policies)).value
    if isinstance(found, dict) and WHOLE_CONFIGURATION & found.keys():
        return load_settings(policies, os.environ)
    return load_settings(config, os.environ, policies_in=policies)


def period_ms(since: str | None, until: str | None) -> tuple[int | None, int | None]:
    """The period in ms since 1970. Raises BadParameter."""
    since_ms, until_ms = _instant_ms(since, "--since"), _instant_ms(until, "--until", whole_day=True)
    if since_ms is not None and until_ms is not None and since_ms >= until_ms:
        raise typer.BadParameter(f"--since {since!r} is not before --until {until!r}: no call can lie between them")
    return since_ms, until_ms


def callers_of(settings: Settings, url: str) -> "dict[str, Caller]":
    """Who may have called, by name: keys that were issued, and those of the configuration. Raises StartError."""
    from proxy.call import Caller  # the help needs none of these
    from proxy.errors import StartError
    from proxy.keys.desk import key_of
    from proxy.keys.issue import caller_of
    from proxy.ledger.base import LedgerUnavailable
    from proxy.ledger.store import Store

    try:
        with closing(Store(url)) as store:
            found = {key.terms.name: caller_of(key) for key in map(key_of, store.keys().all())}
    except LedgerUnavailable as error:
        raise StartError(f"cannot read the keys of the ledger: {error}") from error
    for key in settings.keys:
        models = None if key.models is None else frozenset(key.models)
        found[key.name] = Caller(id=key.name, role=key.role, tags=tuple(key.tags.items()), models=models, forwards_own_key=False)
    return found


def in_turn(past: "Past", doing: str) -> "Iterator[PastCall]":
    """Every call, with a bar on standard error where that is a terminal. The connections are given back at the end."""
    from rich.console import Console  # slow to import, and not for the help
    from rich.progress import Progress

    with closing(past), Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(doing, total=past.count())
        for batch in past.batches():
            yield from batch
            bar.advance(task, len(batch))


def _instant_ms(text: str | None, option: str, *, whole_day: bool = False) -> int | None:
    if text is None:
        return None
    try:
        return instant_ms(text, day_ends=whole_day)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"{option} {text!r} is neither a day (2026-11-01) nor an instant (2026-11-01T08:00:00Z)") from error
