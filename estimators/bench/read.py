"""Measured rows from the text of a CSV file. It must never let a number pass that is none, nor guess a missing one."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from estimators.bench.protocol import TARGETS, VISIBLE, Kind, Setting, VisibleRow, number_in

FILES: Final[Mapping[Kind, str]] = {
    "llm": "measured_llm_energy.csv",
    "image": "measured_image_energy.csv",
    "video": "measured_video_energy.csv",
}

REQUIRED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "llm": (
        "model",
        "task",
        "total_params_b",
        "active_params_b",
        "precision",
        "gpu",
        "num_gpus",
        "avg_batch",
        "output_tokens_mean",
        "j_per_output_token",
    ),
    "image": ("model", "task", "params_b_denoiser", "precision", "gpu", "num_gpus", "batch", "height", "width", "steps", "j_per_output"),
    "video": (
        "model",
        "task",
        "params_b_denoiser",
        "precision",
        "gpu",
        "num_gpus",
        "batch",
        "height",
        "width",
        "frames",
        "steps",
        "j_per_output",
    ),
}
"""Columns a file must have; any other documented column may be missing."""

NUMBERS: Final = frozenset(
    {
        "total_params_b",
        "active_params_b",
        "params_b_denoiser",
        "num_gpus",
        "tp",
        "ep",
        "dp",
        "max_batch",
        "avg_batch",
        "batch",
        "output_tokens_mean",
        "height",
        "width",
        "frames",
        "fps",
        "steps",
        "median_itl_ms",
        "j_per_output_token",
        "j_per_output",
    }
)
"""Columns that hold numbers above 0; an empty cell is an unknown."""

NEVER_EMPTY: Final = ("model", "task", "gpu", "num_gpus", "precision")
"""What names the cell of a row, beside its target."""

DENSE_ABOVE: Final = 0.99
"""Active over total parameters above which a model is dense, where the file does not say (definition)."""


class BenchDataError(Exception):
    """A file cannot be judged; the text says where: file, line, column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRow:
    """One measured configuration. joules: GPU energy per output; columns: every cell of the line, by its column's name."""

    kind: Kind
    file: str
    line: int
    joules: float
    columns: Mapping[str, str]

    @property
    def place(self) -> str:
        """Where the row stands, for messages."""
        return f"{self.file}:{self.line}"

    def text(self, column: str) -> str:
        """The cell, empty when it is unknown."""
        return self.columns.get(column, "")

    def number(self, column: str) -> float | None:
        """The cell as a number, None when it is unknown."""
        return number_in(self.columns, column)

    @property
    def family(self) -> str:
        """The model's family, or the model itself where the file does not say."""
        return self.text("family") or self.text("model")

    def visible(self, setting: Setting) -> VisibleRow:
        """What an estimator is shown."""
        return {column: self.text(column) for column in VISIBLE[self.kind, setting]}


def read_rows(kind: Kind, text: str, file: str) -> list[MeasuredRow]:
    """The rows of one file, in its order. Raises BenchDataError naming file, line and column of the first fault."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [name.strip() for name in next(lines, [])]
        missing = [name for name in REQUIRED[kind] if name not in header]
        if missing:
            raise BenchDataError(f"{file}:1: the column {missing[0]} is missing; needed are {', '.join(REQUIRED[kind])}")
        return list(_rows(kind, file, header, lines))
    except csv.Error as error:
        raise BenchDataError(f"{file}:{lines.line_num}: this is no CSV line: {error}") from error


def _rows(kind: Kind, file: str, header: Sequence[str], lines: "Iterator[list[str]]") -> Iterator[MeasuredRow]:
    reader_line = 1
    for cells in lines:
        reader_line = getattr(lines, "line_num", reader_line + 1)
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{file}:{reader_line}"
        if len(cells) != len(header):
            raise BenchDataError(f"{where}: has {len(cells)} cells, the header has {len(header)}")
        columns = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        yield _row(kind, file, reader_line, columns)


def _row(kind: Kind, file: str, line: int, columns: dict[str, str]) -> MeasuredRow:
    target = TARGETS[kind]
    for column in (*NEVER_EMPTY, target):
        if not columns[column]:
            raise BenchDataError(f"{file}:{line}:{column}: is empty; it is needed to judge the row")
    for column in NUMBERS.intersection(columns):
        if columns[column] and not _is_above_zero(columns[column]):
            raise BenchDataError(f"{file}:{line}:{column}: must be a number above 0, got {columns[column][:40]!r}")
    if kind == "llm" and not columns.get("arch"):
        columns["arch"] = _arch(columns)
    return MeasuredRow(kind=kind, file=file, line=line, joules=float(columns[target]), columns=columns)


def _arch(columns: Mapping[str, str]) -> str:
    total_b, active_b = columns["total_params_b"], columns["active_params_b"]
    if not total_b or not active_b:
        return ""
    return "dense" if float(active_b) > DENSE_ABOVE * float(total_b) else "moe"


def _is_above_zero(cell: str) -> bool:
    try:
        number = float(cell)
    except ValueError:
        return False
    return math.isfinite(number) and number > 0
