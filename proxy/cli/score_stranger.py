"""Runs somebody's adapter file in a process of its own, by its path alone. It must never import anything of this project.

A job comes as JSON on standard input: kind, setting, rows, one_by_one. Answers leave as JSON lines on what was standard output; what
the adapter itself prints goes to standard error. A failure of the adapter ends the process with its traceback.
With one_by_one each row is asked alone, after a line with its number: the last number is the row that failed.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

FIELDS = ("p50", "low", "high", "mean")


def load(file: Path) -> ModuleType:
    """The adapter as a module; ends the process when it is no adapter."""
    spec = importlib.util.spec_from_file_location("stranger_adapter", file)
    if spec is None or spec.loader is None:
        sys.exit(f"{file.name} is no Python file")
    sys.path.insert(0, str(file.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "predict", None)):
        sys.exit(f"{file.name} has no function `predict(rows, *, kind, setting)`")
    return module


def plain(answer: Any) -> Any:
    """An answer as JSON can carry it: None, a number, or the fields of a prediction."""
    if answer is None or isinstance(answer, str | bool | int | float):
        return answer
    if isinstance(answer, Mapping):
        return {name: _number(answer.get(name)) for name in FIELDS}
    if hasattr(answer, "p50"):
        return {name: _number(getattr(answer, name, None)) for name in FIELDS}
    return _number(answer)


def _number(value: Any) -> Any:
    """Numbers of other libraries as floats; what is none is shown as text and refused by the reader."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return float(value) if hasattr(value, "__float__") else repr(value)


def main() -> None:
    """Answers one job."""
    job = json.load(sys.stdin)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)
        module = load(Path(sys.argv[1]))
        name = getattr(module, "NAME", None)
        _tell(out, {"name": name if isinstance(name, str) else None})
        portions = [[row] for row in job["rows"]] if job["one_by_one"] else [job["rows"]]
        for number, rows in enumerate(portions):
            _tell(out, {"row": number})
            answers = module.predict(rows, kind=job["kind"], setting=job["setting"])
            _tell(out, {"answers": [plain(each) for each in answers]})


def _tell(out: TextIO, line: Mapping[str, Any]) -> None:
    print(json.dumps(line), file=out, flush=True)


if __name__ == "__main__":
    main()
