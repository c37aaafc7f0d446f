"""Strict reading of one CSV table, cell by cell. It must never let a bad cell pass: every fault names file, line and column."""

import csv
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from typing import NoReturn

from config.ranges import Range


class Row:
    """One line of a table; each reader checks its cell and raises ValueError naming file, line and column."""

    __slots__ = ("_cells", "_file", "_index", "line")

    def __init__(self, file: str, line: int, index: dict[str, int], cells: list[str]) -> None:
        self._file = file
        self._index = index
        self._cells = cells
        self.line = line

    def refuse(self, column: str, problem: str) -> NoReturn:
        """Raises ValueError for `column` of this line."""
        raise ValueError(f"{self._file}:{self.line}: column {column!r}: {problem}")

    def optional(self, column: str) -> str:
        """The cell, empty when nothing is stated."""
        return self._cells[self._index[column]]

    def text(self, column: str) -> str:
        """The cell; it must not be empty."""
        return self.optional(column) or self.refuse(column, "is empty")

    def one_of(self, column: str, allowed: Sequence[str]) -> str:
        """The cell; it must be one of `allowed`."""
        cell = self.text(column)
        return cell if cell in allowed else self.refuse(column, f"{cell!r} is not one of {', '.join(allowed)}")

    def words(self, column: str) -> tuple[str, ...]:
        """The words of the cell, separated by spaces; may be empty."""
        return tuple(self.optional(column).split())

    def flag(self, column: str) -> bool:
        """True for 1, False for 0."""
        return self.one_of(column, ("0", "1")) == "1"

    def number(self, column: str) -> float:
        """The cell as a finite number >= 0."""
        cell = self.text(column)
        try:
            found = float(cell)
        except ValueError:
            self.refuse(column, f"{cell!r} is not a number")
        return found if 0 <= found < float("inf") else self.refuse(column, f"{cell!r} is not a finite number >= 0")

    def maybe_number(self, column: str) -> float | None:
        """The cell as a number, None when it is empty."""
        return self.number(column) if self.optional(column) else None

    def year(self, column: str) -> int:
        """The cell as a year from 2010 to 2035."""
        found = self.number(column)
        if found.is_integer() and 2010 <= found <= 2035:
            return int(found)
        self.refuse(column, f"{found:g} is not a year from 2010 to 2035")

    def url(self, column: str) -> str:
        """The cell as an https address."""
        cell = self.text(column)
        return cell if cell.startswith("https://") and " " not in cell else self.refuse(column, f"{cell!r} is not an https address")

    def span(self, value: str, low: str, high: str) -> Range:
        """The three cells as a range with low <= value <= high."""
        try:
            return Range(self.number(value), self.number(low), self.number(high))
        except ValueError as problem:
            if str(problem).startswith(f"{self._file}:"):
                raise
            self.refuse(value, str(problem))


def read_rows(folder: Traversable, file: str, columns: Sequence[str]) -> Iterator[Row]:
    """The lines of `file` in `folder`, whose header must be exactly `columns`; raises ValueError naming file, line and column."""
    reader = csv.reader(folder.joinpath(file).read_text(encoding="utf-8").splitlines(), strict=True)
    header = next(reader, [])
    if header != list(columns):
        wrong = next((name for name in (*header, *columns) if name not in columns or name not in header), "order")
        raise ValueError(f"{file}:1: column {wrong!r}: the header must be {','.join(columns)}")
    index = {name: place for place, name in enumerate(columns)}
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as problem:
            raise ValueError(f"{file}:{reader.line_num}: column {columns[0]!r}: {problem}") from problem
        if len(cells) != len(columns):
            missing = columns[min(len(cells), len(columns) - 1)]
            raise ValueError(f"{file}:{reader.line_num}: column {missing!r}: {len(cells)} cells instead of {len(columns)}")
        yield Row(file, reader.line_num, index, cells)
