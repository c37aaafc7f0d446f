"""Which rows count together. It must never let a long sweep of one configuration outweigh another configuration."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from estimators.bench.protocol import Kind, Setting
from estimators.bench.read import MeasuredRow

CELL: Final = ("model", "task", "gpu", "num_gpus", "precision", "dataset")
"""Rows that agree in these share one unit of weight; `dataset` is empty where the file has none."""

CURRENT_STACK: Final = "mlenergy-v3"
"""The data set whose rows stand for how models are served today; 2025 stack."""

BLIND_BATCH: Final = (16.0, 512.0)
BLIND_MOST_ITL_MS: Final = 100.0
"""Operating points an interactive service may plausibly have: requests decoded together, and ms between two tokens."""

Group = tuple[str, str]


def weights(rows: Sequence[MeasuredRow]) -> list[float]:
    """Weight of each row: 1 shared equally among the rows of its cell."""
    cells = [cell_of(row) for row in rows]
    size = Counter(cells)
    return [1 / size[cell] for cell in cells]


def cell_of(row: MeasuredRow) -> tuple[str, ...]:
    """The row's cell."""
    return tuple(row.text(column) for column in CELL)


def judged(rows: Iterable[MeasuredRow], kind: Kind, setting: Setting) -> list[MeasuredRow]:
    """The rows of the kind that the setting is judged on. Blind text is judged at plausible operating points of the current stack only."""
    chosen = [row for row in rows if row.kind == kind]
    if kind != "llm" or setting == "known":
        return chosen
    of_today = [row for row in chosen if row.text("dataset") == CURRENT_STACK]
    has_datasets = any(row.text("dataset") for row in chosen)
    return [row for row in (of_today if has_datasets else chosen) if _is_plausible(row)]


def _is_plausible(row: MeasuredRow) -> bool:
    batch, itl_ms = row.number("avg_batch"), row.number("median_itl_ms")
    lowest, highest = BLIND_BATCH
    return batch is not None and lowest <= batch <= highest and (itl_ms is None or itl_ms <= BLIND_MOST_ITL_MS)


def groups(rows: Sequence[MeasuredRow]) -> dict[Group, list[int]]:
    """Indices of the rows by each breakdown and its value, `("all", "all")` first."""
    found: dict[Group, list[int]] = {("all", "all"): list(range(len(rows)))}
    for index, row in enumerate(rows):
        for breakdown, value in _groups_of(row).items():
            if value:
                found.setdefault((breakdown, value), []).append(index)
    order = {breakdown: place for place, breakdown in enumerate(BREAKDOWNS)}
    return dict(sorted(found.items(), key=lambda entry: (order[entry[0][0]], entry[0][1])))


BREAKDOWNS: Final = ("all", "gpus", "arch", "dataset", "task", "family")


def _groups_of(row: MeasuredRow) -> Mapping[str, str]:
    return {
        "gpus": "1" if row.number("num_gpus") == 1 else ">1",
        "arch": row.text("arch"),
        "dataset": row.text("dataset"),
        "task": row.text("task"),
        "family": row.family,
    }
