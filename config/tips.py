"""Advice on habits, each with where it comes from. It must never be about one person."""

from dataclasses import dataclass
from importlib.resources.abc import Traversable
from typing import Literal, get_args

from config.rows import read_rows

COLUMNS = ("id", "habit", "text_en", "text_fr", "source", "url", "year", "licence", "note")
HabitName = Literal["oversized", "long", "iterations", "any"]
HABITS: tuple[HabitName, ...] = get_args(HabitName)


@dataclass(frozen=True, slots=True, kw_only=True)
class TipRow:
    """One tip: the habit that it answers, its words, and who measured or advised it."""

    id: str
    habit: str
    text_en: str
    text_fr: str
    source: str
    url: str
    year: int


def read_tips(folder: Traversable) -> tuple[TipRow, ...]:
    """The rows of tips.csv in `folder`; raises ValueError naming file, line and column."""
    found: dict[str, TipRow] = {}
    for row in read_rows(folder, "tips.csv", COLUMNS):
        if row.text("id") in found:
            row.refuse("id", f"{row.text('id')!r} stands there twice")
        if row.text("habit") not in HABITS:
            row.refuse("habit", f"must be one of {', '.join(HABITS)}")
        words = {name: row.text(name) for name in ("id", "habit", "text_en", "text_fr", "source")}
        found[row.text("id")] = TipRow(**words, url=row.url("url"), year=row.year("year"))
    return tuple(found.values())
