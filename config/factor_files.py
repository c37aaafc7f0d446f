"""Reads a factor set that somebody points at: a folder of tables, a table, or an exported list. It must never guess a missing cell."""

import hashlib
import json
from dataclasses import asdict, fields
from pathlib import Path

from config.factors import FACTOR_COLUMNS, Factor, FactorSet, read_factors
from config.ranges import Range
from config.rows import read_rows
from config.tables import fingerprint

TEXTS = tuple(field.name for field in fields(Factor) if field.type in (str, "str"))
NUMBERS = ("value", "low", "high")


def read_factor_set(path: Path) -> FactorSet:
    """The factors at `path`: a folder with factors.csv and fitted parameters, a .csv with its columns, or a .json list of such rows.

    Raises ValueError naming file and place of a fault, OSError when it cannot be read.
    """
    if path.is_dir():
        version = path / "VERSION"
        stated = version.read_text(encoding="utf-8").strip() if version.is_file() else path.name
        return read_factors(path, version=stated, fingerprint=fingerprint(path))
    rows = _from_json(path) if path.suffix == ".json" else _from_csv(path)
    return FactorSet({row.id: row for row in rows}, version=path.name, fingerprint=_sha256(path))


def exported(factor: Factor) -> dict[str, str | float | int]:
    """The row as it is exported, its columns in the table's order."""
    row = asdict(factor)
    return {column: row[column] for column in FACTOR_COLUMNS}


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _from_csv(path: Path) -> list[Factor]:
    found = []
    for row in read_rows(path.parent, path.name, FACTOR_COLUMNS):
        span = row.span(*NUMBERS)
        texts = {name: row.optional(name) if name == "note" else row.text(name) for name in TEXTS}
        found.append(Factor(**texts, year=int(row.number("year")), value=span.value, low=span.low, high=span.high))
    return found


def _from_json(path: Path) -> list[Factor]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path.name}: is not JSON: {error}") from error
    if not isinstance(rows, list):
        raise ValueError(f"{path.name}: must be a list of factor rows, as `grammage factors list --format json` prints it")
    return [_factor(path.name, number, row) for number, row in enumerate(rows, 1)]


def _factor(file: str, number: int, row: object) -> Factor:
    where = f"{file}: row {number}"
    if not isinstance(row, dict) or set(row) != set(FACTOR_COLUMNS):
        raise ValueError(f"{where}: must have just the members {', '.join(FACTOR_COLUMNS)}")
    wrong = [name for name in TEXTS if not isinstance(row[name], str)]
    wrong += [name for name in (*NUMBERS, "year") if isinstance(row[name], bool) or not isinstance(row[name], int | float)]
    if wrong:
        raise ValueError(f"{where}: {', '.join(wrong)}: of the wrong kind")
    try:
        span = Range(*(float(row[name]) for name in NUMBERS))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    texts = {name: row[name] for name in TEXTS}
    return Factor(**texts, year=int(row["year"]), value=span.value, low=span.low, high=span.high)
