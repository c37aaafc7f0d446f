"""`grammage export --calls FILE`: single calls for a warehouse. It must never leave half a file under the name that was asked for."""

import os
import time
from pathlib import Path

import typer

from proxy.cli.output import message
from proxy.errors import StartError
from proxy.keys.moment import instant_ms


def write_calls(into: Path, since: str, until: str, of_set: str | None, url: str) -> None:
    """The calls of the period, UTC. Raises typer.BadParameter, StartError."""
    from proxy.ledger.call_rows import call_pages  # slow (SQLAlchemy); not for the help
    from proxy.ledger.queries import Selection
    from proxy.reports.call_files import WRITERS

    if into.suffix not in WRITERS:
        raise typer.BadParameter(f"--calls {into} must end in one of {', '.join(WRITERS)}: that says how it is written")
    try:
        period = (instant_ms(since, day_ends=False), instant_ms(until, day_ends=True))
    except (ValueError, OverflowError) as error:
        raise typer.BadParameter(f"--since {since!r} or --until {until!r} is neither a day (2026-10-01) nor an instant") from error
    if period[0] >= period[1]:
        raise typer.BadParameter(f"--since {since} is not before --until {until}")
    selection = Selection(by="model", since_ms=period[0], until_ms=period[1], estimate_set=of_set)
    beside, rows = into.with_name(f".{into.name}.{os.getpid()}"), 0

    def told(some: int) -> None:
        nonlocal rows
        rows += some

    begun = time.perf_counter()
    try:
        WRITERS[into.suffix](call_pages(url, selection), beside, told)
        beside.replace(into)
    except OSError as error:
        raise StartError(f"cannot write {into}: {error.strerror}; choose another file") from error
    finally:
        beside.unlink(missing_ok=True)
    message(f"{into}: {rows:,} rows, an attempt each, in {time.perf_counter() - begun:.1f} s")
