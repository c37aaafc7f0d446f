"""`grammage policy`: what policies make of described calls. It must never send one."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from config.load import load_settings
from config.policies import OperationName
from config.policy_cases import MOST_GCO2E_PER_KWH, Case, CaseCall, load_cases
from proxy.cli.output import Cell, Format, message, show_rows
from proxy.cli.policy_diff import diff
from proxy.cli.policy_evaluate import evaluate
from proxy.cli.policy_evidence import evidence
from proxy.cli.policy_replay import replay
from proxy.errors import GrammageError
from proxy.policy.expression import expression_faults

if TYPE_CHECKING:
    from proxy.cli.policy_try import Trial, Tried
    from proxy.policy.contender import Contender
    from proxy.policy.hours import Figures

CASES = ("case", "result", "policy", "action", "model", "region", "problem")
WHERE_KNOWN = ("cost", "live_gco2e_per_kwh")
COMPARED = (
    "turn",
    "alias",
    "provider",
    "model",
    "region",
    "zone",
    "gco2e_per_kwh",
    "quality",
    "gco2e",
    "gco2e_low",
    "gco2e_high",
    *WHERE_KNOWN,
    "note",
)
OK, WRONG = "ok", "wrong"
NONE = "none"
HOW = {"offer": "409 until its caller accepts or declines it; a locked policy takes no decline", "run": "it answers where it can"}

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration; default: GRAMMAGE_CONFIG.")]

policy = typer.Typer(help="What policies make of calls.", no_args_is_help=True, add_completion=False)
policy.command()(replay)
policy.command()(diff)
policy.command()(evidence)
policy.command()(evaluate)


@policy.callback()
def _group() -> None:
    """What policies make of described calls, and of those of the ledger; nothing is sent."""


@policy.command("test")
def hold_to_cases(
    file: Annotated[Path, typer.Argument(help="YAML file of cases: a call, and what is to come of it.")],
    config: ConfigFile = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Test policies by cases; exit code 1 when one comes out otherwise."""
    cases = load_cases(file)
    named = config if config is not None or cases.config is None else file.parent / cases.config
    trial = _trial(named)
    rows = [_judged(trial, case) for case in cases.cases]
    show_rows(rows, CASES, form)
    wrong = sum(row["result"] == WRONG for row in rows)
    message(f"{len(rows) - wrong} of {len(rows)} cases come out as expected.")
    if wrong:
        raise typer.Exit(1)


@policy.command()
def explain(
    alias: Annotated[str, typer.Option("--alias", "-a", help="The model as callers write it.")],
    tag: Annotated[list[str] | None, typer.Option("--tag", "-t", help="A tag of the call, as stage=draft; may be repeated.")] = None,
    operation: Annotated[str, typer.Option("--operation", help=f"Kind of call: {', '.join(get_args(OperationName))}.")] = "chat",
    input_tokens: Annotated[int | None, typer.Option("--input-tokens", min=0, help="Length of the prompt.")] = None,
    output_tokens: Annotated[int | None, typer.Option("--output-tokens", min=0, help="Length of the answer; default: usual.")] = None,
    body: Annotated[str, typer.Option("--body", help='Further fields of the request as JSON, such as {"max_tokens": 900}.')] = "{}",
    key: Annotated[str | None, typer.Option("--key", help="Name of the key under `keys:` that it comes with.")] = None,
    live: Annotated[list[str] | None, typer.Option("--live", help="What live sources tell of a zone, as FR=21; may be repeated.")] = None,
    asked: Annotated[str | None, typer.Option("--policy", help="The caller's x-grammage-policy header: off, or a name.")] = None,
    call_id: Annotated[str, typer.Option("--id", help="The call's id, which draws for `holdback`.")] = "case",
    config: ConfigFile = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Show what the policies make of one call: who was compared, forecasts with their ranges, and why the others were not."""
    if operation not in get_args(OperationName):
        raise typer.BadParameter(f"{operation!r} does not exist; known: {', '.join(get_args(OperationName))}", param_hint="--operation")
    described = CaseCall.model_validate(
        {
            "alias": alias,
            "operation": operation,
            "tags": _tags(tag or ()),
            "input_tokens": input_tokens,
            "output_tokens": output_tokens,
            "body": _fields(body),
            "key": key,
            "live": _figures(live or ()),
            "policy": asked,
            "id": call_id,
        }
    )
    try:
        tried = _trial(config).run(described)
    except GrammageError as error:
        message(f"{error.code}: {error.message}")
        raise typer.Exit(1) from None
    if form is Format.JSON:
        print(json.dumps({**_summary(tried), "compared": _rows(tried), "rejected": _rejected(tried)}, indent=2, ensure_ascii=False))
        return
    if rows := _rows(tried):
        shown = [name for name in COMPARED if name not in WHERE_KNOWN or any(row[name] is not None for row in rows)]
        show_rows(rows, shown, form)
    for line in _rejected(tried):
        message(f"not compared: {line}")
    for line in _told(_summary(tried)):
        message(line)


def _trial(config: Path | None) -> "Trial":
    """The policies of the configuration, ready to be asked."""
    from config.tables import load_tables  # slow to import; the help needs none of it
    from proxy.cli.policy_try import Trial

    return Trial(load_settings(config, os.environ, [expression_faults]), load_tables())


def _tags(pairs: "list[str] | tuple[()]") -> dict[str, str]:
    found = dict(pair.partition("=")[::2] for pair in pairs)
    if not all(name and value for name, value in found.items()):
        raise typer.BadParameter("write a tag as name=value, such as stage=draft", param_hint="--tag")
    return found


def _figures(pairs: "list[str] | tuple[()]") -> dict[str, float]:
    try:
        found = {zone: float(figure) for zone, _, figure in (pair.partition("=") for pair in pairs)}
    except ValueError:
        found = {"": 0.0}
    if not all(zone and 0 < figure <= MOST_GCO2E_PER_KWH for zone, figure in found.items()):
        raise typer.BadParameter("write a zone and its gCO2e per kWh, such as FR=21", param_hint="--live")
    return found


def _fields(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"is not JSON: {error}", param_hint="--body") from None
    if not isinstance(found, dict):
        raise typer.BadParameter('must be a JSON object, such as {"max_tokens": 900}', param_hint="--body")
    return found


def _judged(trial: "Trial", case: Case) -> dict[str, Cell]:
    """The case as a row: what came of it, and what was expected instead."""
    try:
        found = _summary(trial.run(case.call))
    except GrammageError as error:
        found = {"policy": None, "action": None, "model": None, "region": None, "error": f"{error.code}: {error.message}"}
    expected = case.expect.model_dump(exclude_none=True)
    problems = [f"{name} is {_word(found.get(name))}, not {_word(value)}" for name, value in expected.items() if found.get(name) != value]
    problems += [found["error"]] if "error" in found else []
    return {
        "case": case.name,
        "result": WRONG if problems else OK,
        **{name: found[name] for name in ("policy", "action", "model", "region")},
        "problem": "; ".join(problems) or None,
    }


def _word(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _summary(tried: "Tried") -> dict[str, Any]:
    """What came of the call, in the words of headers and records."""
    verdict, decision = tried.verdict, tried.decision
    first = decision.attempts[0] if decision is not None else None
    return {
        "policy": None if decision is None else decision.policy,
        "matched": None if verdict is None else verdict.policy,
        "mode": None if verdict is None else verdict.mode,
        "action": "none" if verdict is None else verdict.action,
        "reason": verdict.reason or None if verdict is not None else None,
        "provider": None if first is None else first.provider,
        "model": None if first is None else first.name_of(tried.call.alias),
        "region": None if first is None else first.place.region,
        "altered": decision.altered.split(",") if decision is not None and decision.altered else [],
        "escalated": tried.escalated,
        "reuses": tried.reuses,
        "alternative": tried.beside.alternative,
        "iterations": tried.beside.iterations,
        "budgets": list(tried.beside.budgets),
        "plan": [] if decision is None else [f"{each.provider}/{each.name_of(tried.call.alias)}" for each in decision.attempts],
        "refused": tried.refused or None,
    }


def _rows(tried: "Tried") -> list[dict[str, Cell]]:
    """Who was compared, lowest forecast first, and the baseline whether it was or not."""
    verdict = tried.verdict
    if verdict is None:
        return []
    compared = [each for _, each in verdict.ranked]
    rows = [_row(tried, number, each) for number, each in enumerate(compared, 1)]
    return rows if verdict.baseline in compared else [*rows, _row(tried, None, verdict.baseline)]


def _row(tried: "Tried", number: int | None, each: "Contender") -> dict[str, Cell]:
    verdict, option, place = tried.verdict, each.option, each.option.candidate.place
    mean, low, high = each.prepared.estimate(tried.call.usage).gco2e.spread()
    is_choice = verdict is not None and verdict.choice is each
    notes = ("choice" if is_choice else "", "baseline" if verdict is not None and verdict.baseline is each else "")
    return {
        "turn": number,
        "alias": option.alias,
        "provider": option.candidate.provider,
        "model": option.model,
        "region": place.region,
        "zone": place.zone,
        "gco2e_per_kwh": place.gco2e_per_kwh.value,
        "quality": option.quality,
        "gco2e": mean,
        "gco2e_low": low,
        "gco2e_high": high,
        "cost": each.cost(tried.call.usage),
        "live_gco2e_per_kwh": None if verdict is None or verdict.figures is None else _live(verdict.figures, place.zone),
        "note": ", ".join(note for note in notes if note) or None,
    }


def _live(figures: "Figures", zone: str) -> float | None:
    return figures[zone].gco2e_per_kwh if zone in figures else None


def _rejected(tried: "Tried") -> list[str]:
    return [] if tried.verdict is None else list(tried.verdict.rejected)


def _told(summary: dict[str, Any]) -> list[str]:
    """The summary for people."""
    counted = [f"counted by budgets: {', '.join(summary['budgets'])}"] if summary["budgets"] else []
    if summary["matched"] is None:
        return [f"no policy is for this call; {_place(summary)} serves it.", *counted]
    reason = f" ({summary['reason']})" if summary["reason"] else ""
    lines = [f"policy {summary['matched']}, mode {summary['mode']}: {summary['action']}{reason}"]
    if summary["refused"]:
        return [*lines, summary["refused"]]
    if summary["alternative"] != NONE:
        lines.append(f"before a model is asked: {summary['alternative']} ({HOW[summary['alternative'].split()[0]]})")
    if summary["iterations"]:
        lines.append(f"counted: {summary['iterations']} answers at most")
    if summary["altered"]:
        lines.append(f"altered: {', '.join(summary['altered'])}")
    if summary["reuses"]:
        lines.append("an answer that was made for an identical call of the same key may serve it")
    return [*lines, f"x-grammage-policy: {summary['policy']}; asked first: {_place(summary)}", *counted]


def _place(summary: dict[str, Any]) -> str:
    return f"{summary['provider']}/{summary['model']}" + (f" in {summary['region']}" if summary["region"] else "")
