"""`grammage score`: judges estimators on measured rows whose energy they do not see. It must never give two of them different rows."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from config.fitted import families_fitted
from config.tables import Tables, load_tables
from estimators.bench.ecologits_rows import EcologitsAsShipped, EcologitsWithTruth
from estimators.bench.judge import Sitting, Verdict, judge, sittings
from estimators.bench.protocol import OURS, OUTPUTS, Adapter, AdapterError, Kind, Setting
from estimators.bench.read import FILES, BenchDataError, MeasuredRow, read_rows
from estimators.bench.scores import Score
from estimators.methods.ecologits_adapter import ExtraMissing
from proxy.cli.output import Cell, Format, message, show_rows
from proxy.cli.score_adapter import FileAdapter

PROTOCOL = "1"
"""Version of the bench's protocol: rows, weights, settings and scores as METHODS.md states them."""

SCORES = tuple(field.name for field in dataclasses.fields(Score))
FACTS = ("kind", "setting", "breakdown", "part", "estimator")
HEADINGS: Mapping[str, str] = {
    "mdape_percent": "error_%",
    "median_factor": "median_x",
    "p90_factor": "P90_x",
    "bias_factor": "bias_x",
    "portfolio_bias_factor": "sum_x",
    "answered": "answered_%",
    "coverage": "in_range_%",
    "worst": "worst_family",
    "median_high_over_low": "high/low",
    "interval_score": "interval_score",
}
"""What a table shows, and under which heading."""

FORMS: Mapping[Kind, str] = {"llm": "text", "image": "diffusion", "video": "diffusion"}
"""The fit that each kind rests on."""

TITLES: Mapping[tuple[Kind, Setting], str] = {
    ("llm", "known"): "Text, deployment known",
    ("llm", "blind"): "Text, only model, sizes, task and output tokens known",
    ("image", "known"): "Images, deployment known",
    ("image", "blind"): "Images, deployment unknown",
    ("video", "known"): "Video, deployment known",
    ("video", "blind"): "Video, deployment unknown",
}


class Peer(StrEnum):
    """Estimators to stand beside the judged one."""

    ECOLOGITS = "ecologits"
    GRAMMAGE = "grammage"


class By(StrEnum):
    """Breakdowns of a table."""

    FAMILY = "family"
    ARCH = "arch"
    DATASET = "dataset"
    GPUS = "gpus"
    TASK = "task"


def score(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help=f"Folder with {', '.join(FILES.values())} (any of them).")
    ],
    adapter: Annotated[Path | None, typer.Option("--adapter", help="Python file of the estimator to judge; default: ours.")] = None,
    against: Annotated[list[Peer] | None, typer.Option("--against", help="What to show beside it; default: all there is.")] = None,
    only: Annotated[bool, typer.Option("--only", help="Show nothing beside it.")] = False,
    by: Annotated[list[By] | None, typer.Option("--by", help="Break the tables down as well; JSON and CSV always are.")] = None,
    form: Annotated[Format, typer.Option("--format", help="How to print.")] = Format.TABLE,
) -> None:
    """Judge an estimator of GPU energy on measured rows: error, bias, how often the truth lies in its range, and how wide that is.

    The estimator sees neither energy nor power, throughput or latency. Exit codes: 0 judged, 1 a file or the adapter is at fault.
    """
    try:
        rows = _read(folder)
        adapters = _adapters(adapter, () if only else tuple(against or ()), asked=bool(against), only=only)
        verdicts = _judge(sittings(adapters, rows))
    except (AdapterError, BenchDataError, ExtraMissing) as error:
        message(f"grammage score: {error}")
        raise typer.Exit(1) from None
    told = _told_in_sample(rows, verdicts)
    if told:
        message(told)
    if form is Format.JSON:
        print(json.dumps(_as_json(rows, verdicts), indent=2, ensure_ascii=False))
    elif form is Format.CSV:
        show_rows([_flat(verdict) for verdict in verdicts], (*FACTS, *SCORES), form)
    else:
        _show_tables(rows, verdicts, {"all", *(each.value for each in by or ())})


def _read(folder: Path) -> dict[Kind, list[MeasuredRow]]:
    """The rows of every file of the folder that has a known name. Raises BenchDataError."""
    found: dict[Kind, list[MeasuredRow]] = {}
    for kind, name in FILES.items():
        file = folder / name
        if file.is_file():
            try:
                text = file.read_text(encoding="utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise BenchDataError(f"{file}: cannot be read: {error}") from error
            found[kind] = read_rows(kind, text, str(file))
    if not found:
        raise BenchDataError(f"{folder} holds none of {', '.join(FILES.values())}; METHODS.md says which columns they have")
    if not any(found.values()):
        raise BenchDataError(f"{folder} holds no measured rows, only headers")
    return found


def _adapters(file: Path | None, against: Sequence[Peer], *, asked: bool, only: bool) -> list[Adapter]:
    """The judged estimator first, then its peers. Raises AdapterError, ExtraMissing."""
    tables = load_tables()
    judged: list[Adapter] = [_ours(tables) if file is None else FileAdapter(file)]
    if only:
        return judged
    peers = against if asked else tuple(Peer)
    if Peer.GRAMMAGE in peers and file is not None:
        judged.append(_ours(tables))
    if Peer.ECOLOGITS in peers:
        try:
            judged += [EcologitsAsShipped(), EcologitsWithTruth()]
        except ExtraMissing as error:
            if asked:
                raise
            message(f"EcoLogits is not shown beside: {error}")
    return judged


def _ours(tables: Tables) -> Adapter:
    from estimators.bench.ours import Ours  # the physics of every method: needed only where we are judged

    return Ours(tables.catalogue, tables.factors)


def _judge(sat: Sequence[Sitting]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    with _progress(len(sat)) as advance:
        for sitting in sat:
            advance(f"{sitting.adapter.name}: {sitting.kind}, {sitting.setting}")
            verdicts += judge(sitting)
    return verdicts


@contextmanager
def _progress(steps: int) -> Iterator[Any]:
    """A bar on standard error, for people only."""
    from rich.console import Console  # slow to import; needed by this command only
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=steps)
        done = iter(range(steps))
        yield lambda text: bar.update(task, description=text, completed=next(done))


def _in_sample(rows: Mapping[Kind, Sequence[MeasuredRow]]) -> dict[str, float]:
    """By kind, the share of rows whose model family our own parameters were fitted on."""
    fitted = families_fitted(files("config").joinpath("data"))
    return {kind: sum(row.family in fitted.get(FORMS[kind], ()) for row in found) / len(found) for kind, found in rows.items() if found}


def _told_in_sample(rows: Mapping[Kind, Sequence[MeasuredRow]], verdicts: Sequence[Verdict]) -> str | None:
    """What our own figures are not, where rows are of families that they were fitted on."""
    shares = {kind: share for kind, share in _in_sample(rows).items() if share > 0}
    if not shares or all(verdict.estimator != OURS for verdict in verdicts):
        return None
    parts = ", ".join(f"{share:.0%} of the {kind} rows" for kind, share in shares.items())
    return f"{OURS} was fitted on model families of {parts}: that is no test of it; METHODS.md has the figures with families left out"


def _as_json(rows: Mapping[Kind, Sequence[MeasuredRow]], verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "object": "grammage.score",
        "protocol": PROTOCOL,
        "factor_set": load_tables().factors.stamp,
        "rows": {kind: len(found) for kind, found in rows.items()},
        "in_sample_ratio": _in_sample(rows),
        "unit": {kind: f"GPU joules per {OUTPUTS[kind]}, all GPUs together" for kind in rows},
        "estimators": list(dict.fromkeys(verdict.estimator for verdict in verdicts)),
        "scores": [_flat(verdict) for verdict in verdicts],
    }


def _flat(verdict: Verdict) -> dict[str, Cell]:
    return {**{fact: getattr(verdict, fact) for fact in FACTS}, **dataclasses.asdict(verdict.score)}


def _show_tables(rows: Mapping[Kind, Sequence[MeasuredRow]], verdicts: Sequence[Verdict], breakdowns: set[str]) -> None:
    for kind in rows:
        wanted = breakdowns if kind == "llm" else breakdowns | {"gpus"}
        for (of_kind, setting), title in TITLES.items():
            of_title = [verdict for verdict in verdicts if verdict.kind == kind == of_kind and verdict.setting == setting]
            shown = [verdict for verdict in of_title if _is_shown(verdict, wanted, breakdowns)]
            parts = list(dict.fromkeys((verdict.breakdown, verdict.part) for verdict in shown))
            shown.sort(key=lambda verdict: parts.index((verdict.breakdown, verdict.part)))
            if shown:
                whole = shown[0].score
                columns = ("part", "estimator", *HEADINGS.values())
                show_rows([_shown(each) for each in shown], columns, Format.TABLE, title=f"{title}: {whole.rows} rows")
    print(
        "error: median of |estimate / measured - 1|. x: factors, 1 is right: median miss, 9th of 10 misses, mean of the logarithm (bias),\n"
        "expected values over truths (sum). in range: truths inside the estimator's 90 % range, and where that is worst. interval score:\n"
        "width plus penalty for misses, on the logarithm, lower is better. Every cell (model, task, GPU, GPU count, precision, data set)\n"
        "counts once. Truth is the energy of the GPUs alone."
    )


def _is_shown(verdict: Verdict, wanted: set[str], asked: set[str]) -> bool:
    """Media are always shown for one GPU too: sharding one image over eight is a question of its own."""
    if verdict.breakdown == "gpus" and "gpus" not in asked:
        return "gpus" in wanted and verdict.part == "1"
    return verdict.breakdown in wanted


def _shown(verdict: Verdict) -> dict[str, Cell]:
    found = verdict.score
    worst = found.worst_family_coverage_ratio
    cells: dict[str, Cell] = {
        **{name: getattr(found, name) for name in HEADINGS if hasattr(found, name)},
        "answered": round(100 * found.answered_ratio),
        "coverage": None if found.coverage_ratio is None else round(100 * found.coverage_ratio),
        "worst": None if worst is None else f"{round(100 * worst)} {found.worst_family}",
    }
    part = "all" if verdict.breakdown == "all" else f"{verdict.part} GPU" if verdict.breakdown == "gpus" else verdict.part
    return {"part": part, "estimator": verdict.estimator, **{HEADINGS[name]: cell for name, cell in cells.items()}}
