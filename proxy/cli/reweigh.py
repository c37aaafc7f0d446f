"""`grammage reweigh`: recorded calls weighed anew, beside what was said of them. It must never change a recorded figure."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.load import load_settings
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import Format, message, show_rows
from proxy.cli.policy_past import ConfigFile, LedgerUrl, Until, period_ms

if TYPE_CHECKING:
    from proxy.ledger.set_ledger import SetLedger
    from proxy.ledger.weighed_past import Period
    from proxy.ledger.weighing_store import RulesInForce
    from proxy.reports.line import Line, Spread
    from proxy.restate.again import Restater
    from proxy.restate.run import Restated

COLUMNS = ("estimates", "weighed_attempts", "gco2e", "gco2e_low", "gco2e_high", "facility_energy_wh")


def reweigh(
    since: Annotated[str, typer.Option("--since", help="First day (2026-11-01) or instant (2026-11-01T08:00:00Z), UTC.")],
    until: Until = None,
    factor_set: Annotated[
        Path | None,
        typer.Option("--factor-set", help="Folder of changed tables, or a .csv or exported .json of factor rows; default: this version's."),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="One method for all; default: as configured when each call was made.")
    ] = None,
    named: Annotated[str | None, typer.Option("--set", help="Name of the set; default: the factor set's stamp, and the method.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Weigh recorded calls anew into a named set of estimates; can be stopped and started again, and writes nothing twice."""
    from proxy.ledger.set_ledger import SetLedger  # slow (SQLAlchemy); not for the help
    from proxy.ledger.set_store import SetTerms
    from proxy.ledger.weighed_past import Period
    from proxy.restate.again import Restater
    from proxy.restate.given import tables_at
    from proxy.restate.run import begin, method_for_sets, set_name

    since_ms, until_ms = period_ms(since, until)
    url, by = ledger_url(ledger, config), method_for_sets(method)
    tables = tables_at(factor_set)
    name = set_name(named, tables.factors.stamp, by)
    restater = Restater(tables, _rules(url, config), by)
    with closing(SetLedger(url)) as opened:
        period = Period(since_ms=since_ms, until_ms=until_ms)
        begin(opened, name, SetTerms(factor_set=restater.factor_set, method=by))
        done = _through(opened, period, name, restater)
    _show(url, period, name, done, form)


def _rules(url: str, config: Path | None) -> "list[RulesInForce]":
    """What was in force when; where the ledger does not say, what is configured now."""
    from proxy.ledger.base import LedgerUnavailable  # the help needs none of these
    from proxy.ledger.store import Store
    from proxy.ledger.weighing_store import RulesInForce

    try:
        with closing(Store(url)) as store:
            known = store.weighing().all() if store.revision() is not None else []
    except LedgerUnavailable as error:
        message(f"the ledger does not tell by what it was weighed: {error}")
        known = []
    if known:
        return known
    weighing = load_settings(config, os.environ).weighing
    message("the ledger does not say how its calls were to be weighed; the configuration of today is taken")
    methods = tuple(weighing.methods)
    return [RulesInForce(since_ms=0, operating_prior=weighing.operating_prior, profile=weighing.profile, methods=methods)]


def _through(ledger: "SetLedger", period: "Period", name: str, restater: "Restater") -> "Restated":
    """All of the period, with a bar on standard error where that is a terminal."""
    from proxy.clock import Clock
    from proxy.restate.run import Restated, restate

    done = Restated()
    with _progress(ledger.count(period)) as advance:
        before = 0
        for done in restate(ledger, period, name, restater, Clock().now_ms):
            advance(done.calls - before)
            before = done.calls
    return done


@contextmanager
def _progress(calls: int) -> Iterator[Callable[[int], None]]:
    """A bar of so many calls, and what moves it."""
    from rich.console import Console  # slow to import, and not for the help
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("calls weighed anew"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=calls)
        yield lambda done: bar.advance(task, done)


def _show(url: str, period: "Period", name: str, done: "Restated", form: Format) -> None:
    """The counts on standard error; on standard output what the period weighed before and weighs in the set."""
    from proxy.ledger.queries import Selection
    from proxy.reports.summary import summarise

    wholes = {
        label: summarise(
            url, Selection(by="model", since_ms=period.since_ms, until_ms=period.until_ms, estimate_set=of_set), exact=True
        ).whole
        for label, of_set in (("live", None), (name, name))
    }
    message(f"set {name}: {done.reweighed} attempts weighed anew, {done.already_there} there already, of {done.calls} calls")
    for reason, count in sorted(done.unweighable.items()):
        message(f"  {count} cannot be weighed: {reason}")
    rows = [_row(label, whole) for label, whole in wholes.items()]
    if form is Format.JSON:
        counts = {"calls": done.calls, "reweighed": done.reweighed, "already_there": done.already_there}
        document = {"object": "footprint.reweigh", "set": name, **counts, "unweighable": dict(done.unweighable), "totals": rows}
        print(json.dumps(document, indent=2))
        return
    show_rows(rows, COLUMNS, form)


def _row(label: str, whole: "Line") -> dict[str, str | int | float | None]:
    gco2e: Spread | None = whole.gco2e
    low, mean, high = (None, None, None) if gco2e is None else (gco2e.p5, gco2e.mean, gco2e.p95)
    energy = None if whole.facility_energy_wh is None else whole.facility_energy_wh.mean
    return {
        "estimates": label,
        "weighed_attempts": whole.weighed_attempts,
        "gco2e": mean,
        "gco2e_low": low,
        "gco2e_high": high,
        "facility_energy_wh": energy,
    }
