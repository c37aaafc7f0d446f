"""Reads the fields of one raw row strictly. It must never guess: what cannot be read is refused with file, line and column."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import Any, Final, NoReturn

from proxy.imports.row import BadRow

_PLAIN: Final = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+")
_CONTINENTAL: Final = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),\d{1,2}")
_AMBIGUOUS: Final = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_MONTH: Final = re.compile(r"\d{4}-\d{2}")
_SPACES: Final = re.compile("[\\s\u00a0\u202f']+")
_SECONDS_FROM: Final = 1_000_000_000
"""Smaller numbers are no seconds since 1970, but a year, a month or a day without hyphens."""
_MS_FROM: Final = 100_000_000_000
"""Numbers from here on are milliseconds since 1970, smaller ones seconds."""
LAST_MS: Final = 4_102_444_800_000
"""2100-01-01T00:00:00Z: what is later was typed wrong."""
MOST: Final = 1e15
"""Larger numbers were typed wrong: no count, no money of one row is so large, and no figure made of them would be exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A raw row. named: its fields as the file names them; they are looked up without case, spaces and underscores.

    zone: of times without one.
    """

    file: str
    line: int
    named: Mapping[str, Any]
    fields: Mapping[str, Any]
    zone: tzinfo = UTC

    def refuse(self, column: str, problem: str) -> NoReturn:
        """Raises BadRow for a column."""
        raise BadRow(f"{self.file}:{self.line}: column {column!r}: {problem}")

    def raw(self, names: Sequence[str]) -> Any:
        """The first of the fields that states something; None: none does."""
        for name in names:
            value = self.fields.get(folded(name))
            if value is not None and value != "":
                return value
        return None

    def text(self, *names: str) -> str | None:
        """The field as text, None: not stated."""
        value = self.raw(names)
        return None if value is None else str(value).strip() or None

    def needed(self, *names: str) -> str:
        """The field as text. Raises BadRow when it is not stated."""
        others = f" (also read: {', '.join(names[1:])})" if names[1:] else ""
        return self.text(*names) or self.refuse(names[0], f"is not stated{others}")

    def number(self, *names: str) -> float | None:
        """The field as a number >= 0, None: not stated. Raises BadRow."""
        value = self.raw(names)
        if value is None:
            return None
        number = parsed_number(value)
        if number is None:
            self.refuse(names[0], f"{str(value)[:40]!r} is no number; write 1234.5, or 1234,5")
        if number < 0:
            self.refuse(names[0], f"{str(value)[:40]!r} is not a number from 0 on")
        return self.bounded(names[0], number)

    def bounded(self, column: str, number: float) -> float:
        """The number. Raises BadRow where it is too large to be one."""
        return number if number <= MOST else self.refuse(column, f"{number:g} is more than {MOST:g}")

    def amount(self, *names: str) -> float:
        """The field as a number above 0. Raises BadRow."""
        found = self.number(*names)
        return found if found else self.refuse(names[0], "is not stated, or 0")

    def count(self, *names: str) -> int | None:
        """The field as a whole number >= 0, None: not stated. Raises BadRow."""
        number = self.number(*names)
        if number is None:
            return None
        return int(number) if number == int(number) else self.refuse(names[0], f"{number} is not a whole number")

    def flag(self, *names: str) -> bool:
        """True where the field says so."""
        return str(self.raw(names)).strip().lower() in ("true", "1", "yes", "t")

    def instant_ms(self, *names: str) -> int | None:
        """The field as ms since 1970, None: not stated; seconds, ms, a day or an ISO 8601 time. Raises BadRow."""
        value = self.raw(names)
        if value is None:
            return None
        found = _instant(value, self.zone)
        if found is None or not 0 < found <= LAST_MS:
            self.refuse(names[0], f"{str(value)[:40]!r} is no time; write 2026-11-01T08:00:00Z, a day, or seconds since 1970")
        return found

    def needed_instant_ms(self, *names: str) -> int:
        """The field as ms since 1970. Raises BadRow when it is not stated."""
        found = self.instant_ms(*names)
        return self.refuse(names[0], "is not stated") if found is None else found

    def mapping(self, *names: str) -> Mapping[str, Any]:
        """The field as an object, also where it is written as JSON in a text; empty: not stated, or none."""
        value = self.raw(names)
        if isinstance(value, str) and value[:1] in "{[":
            value = _decoded(value)
        return value if isinstance(value, dict) else {}

    def items(self, *names: str) -> Sequence[Any]:
        """The field as a list, as above."""
        value = self.raw(names)
        if isinstance(value, str) and value[:1] in "{[":
            value = _decoded(value)
        return value if isinstance(value, list) else ()


def record_of(file: str, line: int, named: Mapping[Any, Any], zone: tzinfo = UTC) -> Record:
    """The row with these fields; the first of two of the same name counts."""
    own = {str(name): value for name, value in named.items() if name is not None}
    found: dict[str, Any] = {}
    for name, value in own.items():
        found.setdefault(folded(name), value)
    return Record(file=file, line=line, named=own, fields=found, zone=zone)


@lru_cache(4096)
def folded(name: str) -> str:
    """A field's name as it is compared."""
    return name.replace("_", "").replace(" ", "").replace("-", "").lower()


def parsed_number(value: Any) -> float | None:
    """A number as people and machines write it; None: it is none, or could be two (1,234). One without end is as large as can be."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _plain(value)
    plain = _SPACES.sub("", str(value))
    if _PLAIN.fullmatch(plain):
        return _plain(plain)
    if _GROUPED.fullmatch(plain):
        return _plain(plain.replace(",", ""))
    if _CONTINENTAL.fullmatch(plain) and not _AMBIGUOUS.fullmatch(plain):
        return _plain(plain.replace(".", "").replace(",", "."))
    return None


def _plain(value: str | float) -> float | None:
    """The number; None for one that is none (NaN). A whole number of hundreds of digits is without end, as its text is."""
    try:
        found = float(value)
    except OverflowError:
        return math.inf
    return None if math.isnan(found) else found


def _instant(value: Any, zone: tzinfo) -> int | None:
    number = parsed_number(value)
    if number is not None and number >= _SECONDS_FROM:
        return None if number > LAST_MS else int(number) if number >= _MS_FROM else round(number * 1000)
    text = str(value).strip().removesuffix(" UTC")
    try:
        found = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
    except ValueError:
        return None
    return round((found if found.tzinfo else found.replace(tzinfo=zone)).timestamp() * 1000)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
