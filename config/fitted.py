"""Factor rows that were fitted on measurements, from the parameter files of the fit. It must never take a row without its provenance."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources.abc import Traversable
from typing import Any, NoReturn

from config.factor import Factor

PREFIX, SUFFIX = "fitted_", ".json"
WORDS = ("source", "url", "fitted", "licence")
NUMBERS = ("value", "low", "high")
TEXTS = ("id", "unit", "note")


def read_fitted(folder: Traversable) -> Iterator[Factor]:
    """The parameters of every `fitted_*.json` in `folder`, in the order of their names. Raises ValueError naming file and parameter."""
    for name, content in _contents(folder):
        yield from _rows(name, content)


def families_fitted(folder: Traversable) -> dict[str, frozenset[str]]:
    """Model families whose measurements each form was fitted on, by the form's id: what it says of them is no prediction."""
    return {str(content["id"]): frozenset(content.get("data", {}).get("families", ())) for _, content in _contents(folder)}


def _contents(folder: Traversable) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and content of each parameter file, in the order of their names."""
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.startswith(PREFIX) and file.name.endswith(SUFFIX):
            yield file.name, json.loads(file.read_text(encoding="utf-8"))


def _rows(file: str, content: Mapping[str, Any]) -> Iterator[Factor]:
    for name in WORDS:
        if not isinstance(content.get(name), str) or not content[name]:
            _refuse(file, name, "is missing")
    for number, row in enumerate(content["parameters"]):
        place = f"parameters[{number}]"
        for name in TEXTS:
            if not isinstance(row.get(name), str):
                _refuse(file, f"{place}.{name}", "is missing")
        value, low, high = (_number(file, place, name, row.get(name)) for name in NUMBERS)
        if not low <= value <= high:
            _refuse(file, f"{place}.value", f"{value} is not between {low} and {high}")
        yield Factor(
            id=row["id"],
            value=value,
            low=low,
            high=high,
            unit=row["unit"],
            source=row.get("source") or content["source"],
            url=content["url"],
            year=int(content["fitted"][:4]),
            as_of=content["fitted"],
            licence=content["licence"],
            note=row["note"],
        )


def _number(file: str, place: str, name: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        _refuse(file, f"{place}.{name}", f"{given!r} is not a number")
    return float(given)


def _refuse(file: str, place: str, problem: str) -> NoReturn:
    raise ValueError(f"{file}: {place}: {problem}")
