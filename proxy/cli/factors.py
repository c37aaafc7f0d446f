"""`grammage factors`: every number behind an estimate, with its source. It must never change a row."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from config.factor_audit import audit
from config.factor_compare import Difference, compare
from config.factor_files import NUMBERS, exported, read_factor_set
from config.factors import FACTOR_COLUMNS, FactorSet
from config.tables import load_tables
from proxy.cli.output import Format, message, show_rows

PROBLEM = 1
STALE_YEARS = 5
SHOWN = ("id", "value", "low", "high", "unit", "year", "source")
DIFFERENCES = ("id", "change", "column", "before", "after")
FINDINGS = ("id", "kind", "message")

factors = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help="The numbers behind an estimate, with their sources.")

Form = Annotated[Format, typer.Option("--format", help="How to print.")]
Place = Annotated[
    Path | None, typer.Option("--from", help="Another factor set: a folder, a .csv or an exported .json; default: the shipped one.")
]


@factors.command("list")
def list_factors(
    prefix: Annotated[str, typer.Argument(help="Only rows whose id begins with this, such as embodied.")] = "",
    unit: Annotated[str, typer.Option("--unit", "-u", help="Only rows of this unit.")] = "",
    source: Annotated[str, typer.Option("--source", "-s", help="Only rows whose source or note contains this.")] = "",
    place: Place = None,
    form: Form = Format.TABLE,
) -> None:
    """List the factor rows: value with p5 and p95, unit, year, source. JSON and CSV hold every column and can be compared again."""
    wanted = source.lower()
    rows = [
        factor
        for factor in _set_at(place).values()
        if factor.id.startswith(prefix) and unit in ("", factor.unit) and wanted in f"{factor.source} {factor.note}".lower()
    ]
    if not rows:
        message("no factor row is like that; `grammage factors list` shows all.")
        raise typer.Exit(PROBLEM)
    if form is Format.TABLE:
        show_rows([{**exported(row), **{name: f"{getattr(row, name):g}" for name in NUMBERS}} for row in rows], SHOWN, form)
    else:
        show_rows([exported(row) for row in rows], FACTOR_COLUMNS, form)


@factors.command()
def diff(
    before: Annotated[Path, typer.Argument(help="A folder with factors.csv, a .csv, or an exported .json.")],
    after: Annotated[Path | None, typer.Argument(help="The same; default: the shipped set.")] = None,
    form: Form = Format.TABLE,
) -> None:
    """Show how two factor sets differ: rows added and removed, and every changed value, range, unit, source, year and licence."""
    old, new = _set_at(before), _set_at(after)
    found = compare(old, new)
    message(f"{old.stamp} -> {new.stamp}: {_counted(found)}")
    rows = [
        {"id": each.factor_id, "change": each.change, "column": each.column, "before": each.before, "after": each.after} for each in found
    ]
    if rows or form is not Format.TABLE:
        show_rows(rows, DIFFERENCES, form)


@factors.command()
def verify(
    place: Place = None,
    stale_years: Annotated[int, typer.Option("--stale-years", min=0, help="Warn of sources this much older than the set.")] = STALE_YEARS,
    form: Form = Format.TABLE,
) -> None:
    """Check every row: source, address, year, licence, range, known unit, described in METHODS.md. Exit code 1 when one fails."""
    found_set = _set_at(place)
    page = files("estimators").joinpath("METHODS.md").read_text(encoding="utf-8") if place is None else None
    newest = max(factor.year for factor in found_set.values())
    found = audit(found_set, page, newest - stale_years)
    problems = [each for each in found if each.kind == "problem"]
    if found or form is not Format.TABLE:
        show_rows([{"id": each.factor_id, "kind": each.kind, "message": each.message} for each in found], FINDINGS, form)
    message(f"{found_set.stamp}: {len(found_set)} rows, {len(problems)} problems, {len(found) - len(problems)} warnings")
    message(f"sha256 {found_set.fingerprint}")
    if problems:
        raise typer.Exit(PROBLEM)


def _set_at(path: Path | None) -> FactorSet:
    """The set at `path`, or the shipped one; ends the command when it cannot be read."""
    try:
        return load_tables().factors if path is None else read_factor_set(path)
    except (OSError, ValueError) as error:
        why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) and error.strerror else error
        message(f"{path or 'the shipped tables'}: {why}")
        raise typer.Exit(PROBLEM) from None


def _counted(found: list[Difference]) -> str:
    rows = {change: len({each.factor_id for each in found if each.change == change}) for change in ("added", "removed", "changed")}
    return ", ".join(f"{count} {change}" for change, count in rows.items()) if found else "no difference"
