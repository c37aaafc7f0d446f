"""What is wrong in a configuration, and where. It must never carry the value of a secret."""

from collections.abc import Sequence
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]


def dotted(path: KeyPath) -> str:
    """The path as people write it: `models.gpt-4o.deployments[0].api_key`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A complaint about one setting, before its place in the file is known."""

    path: KeyPath
    message: str
    at_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One complaint with its place. Line and column count from 1; 0: the place has no lines (a variable, a whole file)."""

    file: str
    line: int
    column: int
    key: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` lists everything that was found, in the order of the file."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line, problem.column, problem.key)))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__("\n".join([f"{count} in the configuration", *(f"  {problem}" for problem in self.problems)]))
