"""Somebody's adapter file as an estimator on the bench. It must never run that file in our own process, where the answers lie."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from estimators.bench.protocol import AdapterError, Kind, Prediction, Setting, VisibleRow, prediction_of

CHILD = Path(__file__).with_name("score_stranger.py")
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')


class FileAdapter:
    """An adapter file: `NAME`, and `predict(rows, *, kind, setting)`. Raises AdapterError when it cannot be loaded."""

    def __init__(self, file: Path) -> None:
        self._file = file
        if not file.is_file():
            raise AdapterError(f"{file} is no file; name the Python file of an adapter")
        told, trouble = self._run([], "llm", "known", one_by_one=True)
        if trouble is not None:
            raise AdapterError(f"{file}: {trouble}")
        names = [line["name"] for line in told if line.get("name")]
        self.name = str(names[0]) if names else file.stem

    def enters(self, kind: Kind, setting: Setting) -> bool:
        """Everywhere; it declines row by row."""
        return True

    def predict(self, rows: Sequence[VisibleRow], *, kind: Kind, setting: Setting) -> list[Prediction | None]:
        """The file's answers, checked. Raises AdapterError naming the row where a single row is to blame."""
        told, trouble = self._run(rows, kind, setting, one_by_one=False)
        if trouble is not None:
            raise self._blame(rows, kind, setting, trouble)
        answers: list[object] = next((line["answers"] for line in told if "answers" in line), [])
        if len(answers) != len(rows):
            raise AdapterError(f"gave {len(answers)} answers to {len(rows)} rows of kind {kind}; give one per row, None to decline")
        return [prediction_of(answer, row) for row, answer in enumerate(answers)]

    def _blame(self, rows: Sequence[VisibleRow], kind: Kind, setting: Setting, trouble: str) -> AdapterError:
        """The first row that fails when it is asked alone; none where only all rows together fail."""
        told, alone = self._run(rows, kind, setting, one_by_one=True)
        if alone is None:
            return AdapterError(f"{trouble}, on all {len(rows)} rows of kind {kind} ({setting}) together")
        reached = [line["row"] for line in told if "row" in line]
        return AdapterError(alone, reached[-1] if reached else None)

    def _run(
        self, rows: Sequence[VisibleRow], kind: Kind, setting: Setting, *, one_by_one: bool
    ) -> tuple[list[dict[str, Any]], str | None]:
        """What the process told, line by line, and what went wrong, None when nothing did."""
        job = json.dumps({"kind": kind, "setting": setting, "rows": list(rows), "one_by_one": one_by_one})
        command = [sys.executable, "-P", str(CHILD), str(self._file.resolve())]
        done = subprocess.run(command, input=job, capture_output=True, encoding="utf-8", errors="replace", check=False)
        told = [json.loads(line) for line in done.stdout.splitlines()]
        return told, None if done.returncode == 0 else self._reason(done.returncode, done.stderr)

    def _reason(self, code: int, said: str) -> str:
        """The last line of a traceback, and where in the adapter it came from."""
        lines = [line for line in said.splitlines() if line.strip()]
        text = lines[-1].strip() if lines else f"ended with code {code}"
        frames = [line for name, line in _FRAME.findall(said) if Path(name) == self._file.resolve()]
        return f"{text} ({self._file.name}, line {frames[-1]})" if frames else text
