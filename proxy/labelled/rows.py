"""Reads a CSV of labelled calls: what each asks for, and for each model its score and its lengths. It must never guess a score.

Columns: `alias`; `prompt` or `input_tokens`; `operation`; `tag.<name>`; `escalate_below`; and for each model that was tried
`<alias>.score`, `<alias>.output_tokens`, and if they differ or fell short `<alias>.input_tokens`, `<alias>.shortcoming`.
Lines before the heading that begin with `#` are notes.
"""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar, get_args

from config.explain import closest
from config.policies import OperationName, Shortcoming
from config.problem import ConfigError, Problem

NOTE = "#"
TAG = "tag."
OWN = ("alias", "operation", "prompt", "input_tokens", "escalate_below")
OF_MODEL = ("score", "input_tokens", "output_tokens", "shortcoming")
OPERATIONS = frozenset(get_args(OperationName))
SHORTCOMINGS = frozenset(get_args(Shortcoming))
BYTES_PER_TOKEN = 4
MOST_PROBLEMS = 20
MOST_TOKENS = 1 << 24

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one model made of a call. shortcoming: how its answer fell short, None: it did not."""

    score: float
    input_tokens: int
    output_tokens: int
    shortcoming: Shortcoming | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One labelled call. escalate_below: a score under which an answer counts as falling short, None: none."""

    line: int
    alias: str
    operation: str
    tags: Mapping[str, str]
    input_tokens: int
    answers: Mapping[str, Answer]
    escalate_below: float | None = None


def read_rows(text: str, name: str) -> tuple[Row, ...]:
    """The rows of the CSV. Raises ConfigError with every problem, its line and the number of its column; name: the file's, for these."""
    lines = text.splitlines(keepends=True)
    notes = next((number for number, line in enumerate(lines) if not line.startswith(NOTE)), len(lines))
    reader = csv.reader(io.StringIO("".join(lines[notes:]), newline=""))
    head = [cell.strip() for cell in next(reader, [])]
    sheet = _Sheet(name, head, notes + 1)
    models = sheet.models()
    rows = []
    for cells in reader:
        if any(cell.strip() for cell in cells) and len(sheet.problems) < MOST_PROBLEMS:
            rows.append(sheet.row(cells, notes + reader.line_num, models))
    if not rows and not sheet.problems:
        sheet.blame(notes + 1, "", "holds no rows; write one line for each call")
    if sheet.problems:
        raise ConfigError(sheet.problems)
    return tuple(row for row in rows if row is not None)


class _Sheet:
    """The heading, and what is wrong so far."""

    def __init__(self, name: str, head: list[str], line: int) -> None:
        self.problems: list[Problem] = []
        self._name, self._head, self._line = name, head, line

    def blame(self, line: int, column: str, message: str) -> None:
        """Notes a problem."""
        place = self._head.index(column) + 1 if column in self._head else 0
        self.problems.append(Problem(file=self._name, line=line, column=place, key=column, message=message))

    def models(self) -> tuple[str, ...]:
        """The aliases that have columns; blames what the heading lacks, repeats, or has and nobody reads."""
        of_models = [column.rpartition(".") for column in self._head if not column.startswith(TAG) and column not in OWN]
        for alias, _, what in of_models:
            column = f"{alias}.{what}" if alias else what
            if not alias or what not in OF_MODEL:
                known = [f"{alias}.{each}" for each in OF_MODEL] if alias else list(OWN)
                self.blame(self._line, column, f"unknown column{closest(column, known)}")
        for column in sorted({each for each in self._head if self._head.count(each) > 1}):
            self.blame(self._line, column, "stands twice in the heading; keep one")
        found = tuple(dict.fromkeys(alias for alias, _, what in of_models if alias and what in OF_MODEL))
        needed = ["alias", *(f"{alias}.{what}" for alias in found for what in ("score", "output_tokens"))]
        for column in needed:
            if column not in self._head:
                self.blame(self._line, column, "this column is missing")
        if "prompt" not in self._head and "input_tokens" not in self._head:
            self.blame(self._line, "input_tokens", "this column is missing; `prompt` can stand in its place")
        if not found:
            self.blame(self._line, "<alias>.score", "no model has a score; add columns such as `small.score` and `small.output_tokens`")
        return found

    def row(self, cells: list[str], line: int, models: tuple[str, ...]) -> Row | None:
        """One row; None where something is wrong with it, or with the heading."""
        if len(cells) != len(self._head):
            self.blame(line, "", f"has {len(cells)} cells, the heading {len(self._head)}; quote cells that hold a comma")
            return None
        before = len(self.problems)
        cell = dict(zip(self._head, (each.strip() for each in cells), strict=True))
        operation = cell.get("operation") or "chat"
        if operation not in OPERATIONS:
            self.blame(line, "operation", f"{operation!r} is no kind of call; known: {', '.join(sorted(OPERATIONS))}")
        if not cell.get("alias"):
            self.blame(line, "alias", "is empty; write the model that the caller asks for")
        given = self._input_tokens(cell, line)
        answers = {alias: self._answer(cell, line, alias, given) for alias in models}
        below = self._read(cell, line, "escalate_below", _score) if cell.get("escalate_below") else None
        tags = {column[len(TAG) :]: value for column, value in cell.items() if column.startswith(TAG) and value}
        if len(self.problems) > before:
            return None
        return Row(
            line=line,
            alias=cell.get("alias", ""),
            operation=operation,
            tags=tags,
            input_tokens=given,
            answers={alias: answer for alias, answer in answers.items() if answer is not None},
            escalate_below=below,
        )

    def _input_tokens(self, cell: Mapping[str, str], line: int) -> int:
        if cell.get("input_tokens") or "prompt" not in cell:
            return self._read(cell, line, "input_tokens", _count) or 0
        return -(-len(cell["prompt"].encode()) // BYTES_PER_TOKEN)

    def _answer(self, cell: Mapping[str, str], line: int, alias: str, given: int) -> Answer | None:
        score = self._read(cell, line, f"{alias}.score", _score)
        written = self._read(cell, line, f"{alias}.output_tokens", _count)
        own = self._read(cell, line, f"{alias}.input_tokens", _count) if cell.get(f"{alias}.input_tokens") else given
        word = cell.get(f"{alias}.shortcoming") or None
        if word is not None and word not in SHORTCOMINGS:
            self.blame(line, f"{alias}.shortcoming", f"{word!r} is unknown; write {', '.join(sorted(SHORTCOMINGS))}, or nothing")
            return None
        if score is None or written is None or own is None:
            return None
        fell = next((each for each in get_args(Shortcoming) if each == word), None)
        return Answer(score=score, input_tokens=own, output_tokens=written, shortcoming=fell)

    def _read(self, cell: Mapping[str, str], line: int, column: str, read: Callable[[str], _T]) -> _T | None:
        if column not in cell:
            return None
        try:
            return read(cell[column])
        except ValueError:
            wanted = "a whole number of tokens >= 0" if read is _count else "a number from 0 to 1"
            self.blame(line, column, f"{cell[column]!r} is not {wanted}" if cell[column] else f"is empty; write {wanted}")
            return None


def _count(text: str) -> int:
    found = int(text)
    if not 0 <= found <= MOST_TOKENS:
        raise ValueError(text)
    return found


def _score(text: str) -> float:
    found = float(text)
    if not 0 <= found <= 1:
        raise ValueError(text)
    return found
