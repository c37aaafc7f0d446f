"""`grammage retag`: gives recorded calls another tag, by rule. It must never change what was recorded: the newest word on a tag counts."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.problem import ConfigError, Problem, dotted
from config.retags import RetagRule, RetagWhere, retag_faults
from proxy.cli.ledger_url import ledger_url
from proxy.cli.output import Format, message, show_rows
from proxy.cli.policy_past import ConfigFile, LedgerUrl, Since, Until, period_ms
from proxy.errors import StartError
from proxy.keys.moment import shown

if TYPE_CHECKING:
    from proxy.ledger.retagging import Act

COLUMNS = ("rule", "tag", "before", "after", "calls", "act")
ACT_COLUMNS = ("act", "at", "rule", "where", "to", "rows")
FIELDS = ("key", "alias", "model", "operation")
TAG = "tag."


def retag(
    where: Annotated[
        list[str] | None,
        typer.Option("--where", help="key=, alias=, model=, operation= or tag.NAME=; repeatable: all names must hold, of each one value."),
    ] = None,
    to: Annotated[list[str] | None, typer.Option("--set", help="name=value; repeatable. unassigned takes the tag away.")] = None,
    since: Since = None,
    until: Until = None,
    rules: Annotated[Path | None, typer.Option("--rules", help="A file with `retag_rules:`, run in order.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many calls would move.")] = False,
    undo: Annotated[int | None, typer.Option("--undo", help="Take an act back: its number, from --list.")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show what was done so far.")] = False,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
    config: ConfigFile = None,
    ledger: LedgerUrl = None,
) -> None:
    """Give recorded calls another tag, by rule: rows of their own say so, and the newest counts. Done twice, it moves nothing."""
    wishes = (bool(where or to or since or until), rules is not None, undo is not None, listed)
    if sum(wishes) != 1:
        raise typer.BadParameter("give either --where and --set, or --rules FILE, or --undo ACT, or --list")
    url = ledger_url(ledger, config)
    if listed:
        _show_acts(url, form)
    elif undo is not None:
        _undo(url, undo)
    else:
        _run(url, _rules(rules, where or [], to or [], since, until), dry_run, form)


def _rules(file: Path | None, where: list[str], to: list[str], since: str | None, until: str | None) -> list[RetagRule]:
    if file is not None:
        from config.load_retags import load_retags  # a file's grammar is needed only where there is a file

        return load_retags(file)
    fields: dict[str, list[str]] = {}
    tags: dict[str, list[str]] = {}
    for text in where:
        name, value = _pair(text, "--where")
        if name.startswith(TAG):
            tags.setdefault(name.removeprefix(TAG), []).append(value)
        elif name in FIELDS:
            fields.setdefault(name, []).append(value)
        else:
            raise typer.BadParameter(f"--where {text!r}: there is no {name!r}; known: {', '.join(FIELDS)}, {TAG}NAME")
    if not to:
        raise typer.BadParameter("--set is missing: which tag do the calls get? Such as --set campaign=noel-26")
    rule = RetagRule(since=since, until=until, where=RetagWhere(**fields, tags=tags), set=dict(_pair(text, "--set") for text in to))
    faults = [
        Problem(file="command line", line=0, column=0, key=dotted(each.path[2:]), message=each.message) for each in retag_faults([rule])
    ]
    if faults:
        raise ConfigError(faults)
    return [rule]


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise typer.BadParameter(f"{option} {text!r} is not name=value")
    return name.strip(), value.strip()


def _act(rule: RetagRule) -> "Act":
    from proxy.ledger.retagging import Act, Where  # slow (SQLAlchemy); not for the help

    since_ms, until_ms = period_ms(rule.since, rule.until)
    named = rule.where
    where = Where(
        since_ms=since_ms,
        until_ms=until_ms,
        keys=tuple(named.key or ()),
        aliases=tuple(named.alias or ()),
        models=tuple(named.model or ()),
        operations=tuple(named.operation or ()),
        tags={name: tuple(values) for name, values in named.tags.items()},
    )
    return Act(name=rule.name, where=where, to=dict(rule.set))


def _run(url: str, rules: list[RetagRule], dry_run: bool, form: Format) -> None:
    from proxy.clock import Clock  # as above
    from proxy.ledger.changing import opened_to_change
    from proxy.ledger.retagging import moves, retag

    rows: list[dict[str, str | int | float | None]] = []
    all_acts = [_act(rule) for rule in rules]
    with opened_to_change(url) as hands:
        for at, act in enumerate(all_acts, 1):
            number, found = (None, moves(hands, act)) if dry_run else retag(hands, act, Clock().now_ms())
            for moved in found:
                told = {"before": moved.before, "after": moved.after}
                rows.append({"rule": act.name or str(at), "tag": moved.tag, **told, "calls": moved.calls, "act": number})
    show_rows(rows, COLUMNS, form)
    if not rows:
        message("no call moves: none is like that, or all have these tags already")
    elif dry_run:
        others = "; a rule does not see here what the rules before it would move" if len(all_acts) > 1 else ""
        message(f"nothing was written{others}")
    else:
        message("reports count these tags from now on; a running proxy's budgets do once it is restarted. --undo ACT takes an act back")


def _undo(url: str, number: int) -> None:
    from proxy.clock import Clock  # as above
    from proxy.ledger.changing import opened_to_change
    from proxy.ledger.retagging import acts, undo

    with opened_to_change(url) as hands:
        if number not in {done.number for done in acts(hands)}:
            raise StartError(f"there is no act {number}; `grammage retag --list` shows those there are")
        begun, rows = undo(hands, number, Clock().now_ms())
    if begun is None:
        message(f"act {number} moves nothing any more: its calls were given other tags since, or it was taken back before")
        return
    message(f"act {begun} takes act {number} back: {rows} calls have again what they had before it; calls moved since were left alone")


def _show_acts(url: str, form: Format) -> None:
    from proxy.ledger.changing import opened_to_change  # as above
    from proxy.ledger.retagging import acts

    with opened_to_change(url) as hands:
        found = acts(hands)
    rows: list[dict[str, str | int | float | None]] = [
        {
            "act": done.number,
            "at": shown(done.number),
            "rule": done.act.name if done.act.undid is None else f"takes {done.act.undid} back",
            "where": _told(done.act),
            "to": " ".join(f"{name}={value}" for name, value in done.act.to.items()),
            "rows": done.rows,
        }
        for done in found
    ]
    show_rows(rows, ACT_COLUMNS, form)


def _told(act: "Act") -> str:
    where = act.where
    if where is None:
        return ""
    lists = {"key": where.keys, "alias": where.aliases, "model": where.models, "operation": where.operations}
    lists |= {f"{TAG}{name}": values for name, values in where.tags.items()}
    period = [f"{name}={shown(at)}" for name, at in (("since", where.since_ms), ("until", where.until_ms)) if at is not None]
    return " ".join([*period, *(f"{name}={'|'.join(values)}" for name, values in lists.items() if values)])
