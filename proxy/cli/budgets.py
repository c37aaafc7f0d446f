"""`grammage budgets`: what carbon budgets allow, and what is used of them. It must never count a call, nor change an account."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.output import Cell, Format, message, show_rows

if TYPE_CHECKING:
    from proxy.budgets.overview import Line

EXCEEDED = 1
UNREACHABLE = 3
KG_COLUMNS = ("limit_kgco2e", "used_kgco2e", "reserved_kgco2e")
COLUMNS = (
    "name",
    "match",
    "period",
    "begins",
    "ends",
    *KG_COLUMNS,
    "used_share",
    "soft_at",
    "on_exceed",
    "state",
    "unweighed",
    "pinned_method",
    "pinned_factor_set",
    "drift_share",
)
SHOWN = ("name", "match", "period", "ends", *KG_COLUMNS, "used_share", "soft_at", "state", "pinned_factor_set", "drift_share")
"""Of them, those that a table has."""


def budgets(
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 when a budget is exceeded.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="Configuration with the budgets; default: GRAMMAGE_CONFIG.")] = None,
    ledger: Annotated[str | None, typer.Option("--ledger", help="The ledger's URL, instead of the configuration's.")] = None,
) -> None:
    """Show each budget in its period of now: limit, use, state, and what it is pinned to; by the ledger, and by Redis where one counts."""
    from config.load import load_settings  # the ledger's packages wait until budgets are wanted
    from proxy.budgets.overview import overview
    from proxy.cli.ledger_url import ledger_url
    from proxy.clock import Clock
    from proxy.errors import StartError
    from proxy.ledger.base import LedgerUnavailable
    from proxy.ledger.store import Store  # as above, all of them

    settings = load_settings(config, os.environ)
    if not settings.budgets:
        message("the configuration has no budgets; add some under `budgets:`")
        _show([], form)
        return
    store = Store(ledger_url(ledger, config))
    try:
        if store.revision() is None:
            raise StartError("there is no ledger yet: no proxy has run; --config or --ledger names another")
        lines, is_shared = overview(settings, store.budgets(), Clock().now_ms())
    except LedgerUnavailable as error:
        message(f"the ledger cannot be reached now: {error}; try again.")
        raise typer.Exit(UNREACHABLE) from None
    finally:
        store.close()
    _show([_row(line) for line in lines], form)
    if settings.redis is not None and not is_shared:
        message("Redis cannot be reached: figures are the ledger's, and what is reserved is not known")
    if check and any(line.state == "exceeded" for line in lines):
        raise typer.Exit(EXCEEDED)


def _show(rows: list[dict[str, Cell]], form: Format) -> None:
    if form is Format.JSON:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        show_rows(rows, COLUMNS if form is Format.CSV else SHOWN, form)


def _row(line: "Line") -> dict[str, Cell]:
    from proxy.budgets.rule import MG_PER_KG  # as above

    return {
        "name": line.name,
        "match": line.match or "all calls",
        "period": line.period,
        "begins": line.begins,
        "ends": line.ends,
        "limit_kgco2e": line.limit_mg / MG_PER_KG,
        "used_kgco2e": line.used_mg / MG_PER_KG,
        "reserved_kgco2e": None if line.reserved_mg is None else line.reserved_mg / MG_PER_KG,
        "used_share": line.used_mg / line.limit_mg,
        "soft_at": line.soft_at,
        "on_exceed": line.on_exceed,
        "state": line.state,
        "unweighed": line.unweighed,
        "pinned_method": line.pinned_method,
        "pinned_factor_set": line.pinned_factor_set,
        "drift_share": line.drift_share,
    }
