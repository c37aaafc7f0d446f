"""`grammage db`: the ledger's schema, checked or brought up to date. It must never change a call."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import message
from proxy.errors import StartError
from proxy.keys.moment import instant_ms
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.columns import REVISIONS
from proxy.ledger.store import Store

db = typer.Typer(no_args_is_help=True, help="Look after the ledger's database.")

Config = Annotated[Path | None, typer.Option("--config", help="Configuration that names the ledger; default: GRAMMAGE_CONFIG.")]
Ledger = Annotated[str | None, typer.Option("--ledger", help="The ledger's URL, instead of the configuration's.")]


@db.command()
def upgrade(config: Config = None, ledger: Ledger = None) -> None:
    """Make the schema, or bring it to this version's; a ledger that is up to date stays as it is."""
    url = ledger_url(ledger, config)
    with closing(Store(url)) as store:
        if store.revision() != REVISIONS[-1]:
            store.migrate()
        store.upgrade()
    message(f"the ledger's schema is {REVISIONS[-1]}, as this version needs it")


@db.command()
def check(config: Config = None, ledger: Ledger = None) -> None:
    """Say whether the schema is this version's: exit code 0 if so, 1 if not."""
    url = ledger_url(ledger, config)
    with closing(Store(url)) as store:
        revision = store.revision()
    if revision == REVISIONS[-1]:
        message(f"the ledger's schema is {revision}, as this version needs it")
        return
    message(f"the ledger's schema is {revision or 'missing'}, this version needs {REVISIONS[-1]}; run: grammage db upgrade")
    raise typer.Exit(1)


@db.command()
def rollup(config: Config = None, ledger: Ledger = None) -> None:
    """Sum up every hour and day that changed since it was last summed; a proxy does so by itself each minute."""
    from proxy.ledger.reading import check_schema  # slow (SQLAlchemy); not for the help
    from proxy.ledger.roll import roll  # as above; not for the help
    from proxy.ledger.turn import taken_turn  # as above

    url = ledger_url(ledger, config)
    check_schema(url)
    try:
        with taken_turn(url) as turn:
            if turn is None:
                message("another process is summing the ledger up right now")
                return
            message(f"summed up: {roll(turn)} calls in the hours that had changed")
    except LedgerUnavailable as error:
        raise StartError(f"the ledger cannot be summed up: {error}; run it again") from error


@db.command()
def prune(
    before: Annotated[str, typer.Option("--before", help="Calls of whole hours before this day (2026-11-01) or instant, UTC.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many calls that would be.")] = False,
    config: Config = None,
    ledger: Ledger = None,
) -> None:
    """Take old calls out; their sums by hour and day stay. Calls that are not summed up yet stay, and works that were booked late."""
    from proxy.ledger.prune import count_prunable  # slow (SQLAlchemy); not for the help
    from proxy.ledger.prune import prune as take_out
    from proxy.ledger.reading import check_schema  # as above
    from proxy.ledger.turn import taken_turn  # as above

    url = ledger_url(ledger, config)
    check_schema(url)
    try:
        before_ms = instant_ms(before, day_ends=False)
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"--before {before!r} is neither a day (2026-11-01) nor an instant (2026-11-01T08:00:00Z)") from error
    try:
        with taken_turn(url) as turn:
            if turn is None:
                raise StartError("another process is summing the ledger up right now; run it again in a moment")
            done = count_prunable(turn, before_ms) if dry_run else take_out(turn, before_ms)
    except LedgerUnavailable as error:
        raise StartError(f"the ledger cannot be pruned: {error}; run it again") from error
    message(f"{'would be ' if dry_run else ''}taken out: {done.calls} calls; {done.kept_calls} of that time stay")
