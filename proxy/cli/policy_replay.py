"""`grammage policy replay`: what policies would have made of the calls of the ledger. It must never show a difference without its range."""

import json
from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import Cell, Format, message, show_rows
from proxy.cli.policy_past import ConfigFile, LedgerUrl, Since, Until, callers_of, in_turn, period_ms, settings_with

if TYPE_CHECKING:
    from config.settings import Settings
    from proxy.replay.tally import Tally

UNASSIGNED = "unassigned"
STATEMENT = "modelled difference in attributed emissions against the alias's first deployment, at the calls' own usage"
NOTES = (
    "Baseline, would be and difference are of the calls that a policy is for; `was` is of all.",
    "Policies in mode shadow are taken as if they acted.",
    "A call that would be refused is in no sum but `was`: nothing tells what its caller would have done instead.",
    "An answer longer than its cap is taken to end there; what a line that asks for short answers would do is not modelled.",
    "Whether a call had tools, asked for JSON or referred to what a provider keeps is known as far as the ledger tells.",
    "Latencies, live intensities, budgets, reuse, alternatives and escalations are not played again.",
)
COUNTS = ("calls", "judged", "routed", "kept", "passthrough", "refused", "holdback")
LINES = ("gco2e", "water_ml")
FIGURES = tuple(
    f"{what}_{line}{end}" for line in LINES for what in ("was", "baseline", "would_be", "difference") for end in ("", "_low", "_high")
)
SHOWN = (
    *("key", "mode", *COUNTS, "was_gco2e", "baseline_gco2e", "would_be_gco2e"),
    *("difference_gco2e", "difference_gco2e_low", "difference_gco2e_high"),
    *("baseline_water_ml", "would_be_water_ml", "difference_water_ml", "difference_water_ml_low", "difference_water_ml_high"),
)
TOTAL = "total"


class By(StrEnum):
    """What calls are grouped by."""

    POLICY = "policy"
    TAG = "tag"


def replay(
    since: Since = None,
    until: Until = None,
    policies: Annotated[
        Path | None, typer.Option("--policies", help="A file of policies, or a configuration, in place of those in force.")
    ] = None,
    by: Annotated[By, typer.Option("--by", help="What to sum by.")] = By.POLICY,
    tag_name: Annotated[str | None, typer.Option("--tag-name", help="The tag, such as campaign; with --by tag.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Judge the calls of the ledger again: what they were, and what they would be beside the alias's first deployment."""
    if (by is By.TAG) != (tag_name is not None):
        raise typer.BadParameter("--by tag and --tag-name go together: --by tag --tag-name campaign")
    since_ms, until_ms = period_ms(since, until)
    settings, url = settings_with(policies, config), ledger_url(ledger, config)
    groups = _sums(settings, url, since_ms, until_ms, tag_name)
    rows = [_row(key, groups[key]) for key in sorted(groups, key=lambda key: (key[0] == TOTAL, -groups[key].calls, key))]
    if form is Format.JSON:
        document = {"what": STATEMENT, "by": tag_name or by.value, "since": since, "until": until, "notes": NOTES, "lines": rows}
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return
    if form is Format.TABLE:
        print(f"{STATEMENT}; g and ml, low and high are the 5th and 95th percentile")
    columns = _shown(rows) if form is Format.TABLE else ("key", "mode", *COUNTS, "not_judged", *FIGURES)
    show_rows([_flat(row) for row in rows], columns, form)
    _tell(groups)


def _sums(
    settings: "Settings", url: str, since_ms: int | None, until_ms: int | None, tag_name: str | None
) -> "dict[tuple[str, str], Tally]":
    """Tallies by policy and mode, or by the tag's value, and of all calls."""
    from config.tables import load_tables  # slow to import; the help needs none of it
    from proxy.ledger.past import Past
    from proxy.replay.again import Bench
    from proxy.replay.tally import Tally

    past = Past(url, since_ms=since_ms, until_ms=until_ms)
    bench = Bench(settings, load_tables(), callers_of(settings, url))
    groups: dict[tuple[str, str], Tally] = {(TOTAL, ""): Tally()}
    for call in in_turn(past, "calls judged"):
        judged = bench.judge(call)
        key = (judged.policy, judged.mode) if tag_name is None else (call.tags.get(tag_name, UNASSIGNED), "")
        for each in (key, (TOTAL, "")):
            groups.setdefault(each, Tally()).add(call, judged)
    return groups


def _row(key: tuple[str, str], tally: "Tally") -> dict[str, Any]:
    return {"key": key[0], "mode": key[1] or None, **tally.figures()}


def _shown(rows: list[dict[str, Any]]) -> list[str]:
    """The columns of a table: of what calls came to, only what there was."""
    idle = {name for name in COUNTS[2:] if not any(row[name] for row in rows)}
    return [name for name in SHOWN if name not in idle]


def _flat(row: dict[str, Any]) -> dict[str, Cell]:
    return {**row, "not_judged": " ".join(f"{why}={count}" for why, count in row["not_judged"].items()) or None}


def _tell(groups: "dict[tuple[str, str], Tally]") -> None:
    """What a reader must know of the sums."""
    whole = groups[TOTAL, ""]
    if not whole.calls:
        message("the ledger holds no call of this period")
        return
    reasons: Counter[str] = whole.why_not
    for why, count in sorted(reasons.items()):
        message(f"calls that could not be judged: {count} ({why})")
    for note in NOTES:
        message(note)
