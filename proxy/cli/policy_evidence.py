"""`grammage policy evidence`: a policy beside the calls held back from it. It must never show an interval that too few assets carry."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import Format, message, show_rows
from proxy.cli.policy_past import ConfigFile, LedgerUrl, Since, Until, in_turn, period_ms

if TYPE_CHECKING:
    from proxy.reports.evidence import Evidence

COLUMNS = (
    *("policy", "arm", "calls", "unweighed", "assets", "accepted", "rejected", "gco2e"),
    *("gco2e_per_call", "gco2e_per_call_low", "gco2e_per_call_high"),
    *("gco2e_per_accepted_asset", "gco2e_per_accepted_asset_low", "gco2e_per_accepted_asset_high"),
)
WHAT = "attributed gCO2e, expected values; low and high are the 95 % confidence interval of chance alone, not the doubt of the factors"
NOTES = (
    "Calls are drawn by their id; the calls of one asset depend on each other, so that assets are the clusters of the interval.",
    "Treated are all calls that the policy was for and did not hold back, whatever it made of them; refused calls are not in the ledger.",
    "An asset counts as accepted in the arm of its newest call, by the last word on it; its calls count in the arms that they were in.",
)


def evidence(
    since: Since = None,
    until: Until = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Compare grams per call and per accepted asset under each policy with those of the calls that `holdback` left as they were."""
    from proxy.ledger.past import Past  # slow (SQLAlchemy); not for the help
    from proxy.reports import evidence as report
    from proxy.reports.ratio import LEAST_UNITS

    since_ms, until_ms = period_ms(since, until)
    past = Past(ledger_url(ledger, config), since_ms=since_ms, until_ms=until_ms)
    found = report.evidence(in_turn(past, "calls read"), report.Verdicts(past.verdicts()))
    rows = [row for each in found for row in report.shown(each)]
    if form is Format.JSON:
        print(json.dumps({"what": WHAT, "confidence": 0.95, "notes": NOTES, "lines": rows}, indent=2, ensure_ascii=False))
    else:
        if form is Format.TABLE:
            print(WHAT)
        show_rows(rows, COLUMNS, form)
    for each in found:
        _tell(each, LEAST_UNITS)
    if not found:
        message("no enforced policy of this period held calls back; write `holdback: 0.05` on one")
    elif form is not Format.JSON:
        for note in NOTES:
            message(note)


def _tell(found: "Evidence", least: int) -> None:
    """Where there is not enough to tell, how much there is."""
    for arm in found.arms:
        if arm.accepted < least:
            message(f"{found.policy}, {arm.name}: {arm.accepted} accepted assets are not enough for an interval; it takes {least}.")
        if arm.calls - arm.unweighed < least:
            message(f"{found.policy}, {arm.name}: {arm.calls - arm.unweighed} weighed calls are not enough for an interval.")
