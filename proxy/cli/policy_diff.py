"""`grammage policy diff`: what another file of policies would change. It must never compare two files under two configurations unasked."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.policy_cases import load_cases
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import Cell, Format, message, show_rows
from proxy.cli.policy_past import ConfigFile, LedgerUrl, Since, Until, callers_of, in_turn, period_ms, settings_with
from proxy.errors import GrammageError

if TYPE_CHECKING:
    from config.policy_cases import CaseCall
    from config.settings import Settings
    from proxy.cli.policy_try import Trial

STATEMENT = "modelled difference in attributed emissions, new policies against old, at the calls' own usage"
STRUCTURE = ("policy", "change", "key", "old", "new")
CASES = ("case", "old", "new")
FIGURES = tuple(f"difference_{line}{end}" for line in ("gco2e", "water_ml") for end in ("", "_low", "_high"))
MOVES = ("old", "new", "calls", *FIGURES)


def diff(
    old: Annotated[Path, typer.Argument(help="File of policies, or a configuration.")],
    new: Annotated[Path, typer.Argument(help="The same, changed.")],
    since: Since = None,
    until: Until = None,
    cases: Annotated[Path | None, typer.Option("--cases", help="Compare on the calls of a file of cases.")] = None,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Show what differs between two files of policies.

    Alone: their text, policy by policy. With --since, --until or --ledger: which recorded calls they decide otherwise.
    """
    before, after = settings_with(old, config), settings_with(new, config)
    if cases is not None:
        _on_cases(before, after, cases, form)
    elif since is not None or until is not None or ledger is not None:
        _on_ledger(before, after, ledger_url(ledger, config), period_ms(since, until), form)
    else:
        _in_text(before, after, form)


def _in_text(before: "Settings", after: "Settings", form: Format) -> None:
    from proxy.replay.compare import changes  # the help needs none of it

    found = changes(before.policies, after.policies)
    show_rows([change._asdict() for change in found], STRUCTURE, form)
    message(f"{len(found)} differences; with --since DAY they are held against the calls of the ledger.")


def _on_ledger(before: "Settings", after: "Settings", url: str, period: tuple[int | None, int | None], form: Format) -> None:
    from config.tables import load_tables  # slow to import; the help needs none of it
    from proxy.ledger.past import Past
    from proxy.replay.again import Bench
    from proxy.replay.compare import Moves

    past, tables = Past(url, since_ms=period[0], until_ms=period[1]), load_tables()
    benches = [Bench(settings, tables, callers_of(settings, url)) for settings in (before, after)]
    moves = Moves()
    for call in in_turn(past, "calls judged twice"):
        moves.add(benches[0].judge(call), benches[1].judge(call))
    rows = moves.rows()
    if form is Format.JSON:
        document = {"what": STATEMENT, "calls": moves.calls, "decided_otherwise": moves.moved, "lines": rows}
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    if form is Format.TABLE:
        print(f"{STATEMENT}; g and ml, low and high are the 5th and 95th percentile")
    show_rows(rows, MOVES, form)
    message(f"{moves.moved} of {moves.calls} calls are decided otherwise; policies in mode shadow are taken as if they acted.")


def _on_cases(before: "Settings", after: "Settings", file: Path, form: Format) -> None:
    from config.tables import load_tables  # slow to import; the help needs none of it
    from proxy.cli.policy_try import Trial

    tables = load_tables()
    trials = [Trial(settings, tables) for settings in (before, after)]
    found = load_cases(file).cases
    rows: list[dict[str, Cell]] = []
    for case in found:
        old, new = (_said(trial, case.call) for trial in trials)
        if old != new:
            rows.append({"case": case.name, "old": old, "new": new})
    show_rows(rows, CASES, form)
    message(f"{len(rows)} of {len(found)} cases are decided otherwise.")


def _said(trial: "Trial", call: "CaseCall") -> str:
    """What becomes of the described call, in words."""
    try:
        tried = trial.run(call)
    except GrammageError as error:
        return error.code
    if tried.decision is None:
        return "refused"
    first: Any = tried.decision.attempts[0]
    place = first.place.region or first.place.zone
    action = "unchanged" if tried.verdict is None or tried.verdict.action in ("passthrough", "holdback") else tried.verdict.action
    altered = f" {tried.decision.altered}" if tried.decision.altered else ""
    return f"{action} {first.provider}/{first.name_of(tried.call.alias)}@{place}{altered}"
