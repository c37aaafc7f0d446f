"""Words and numbers for people, in their language, from one catalogue file per language. It must never hold a figure of its own."""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.resources import files

from proxy.cli.output import two_digits

GRAMS_PER_KG, GRAMS_PER_TONNE = 1e3, 1e6
NARROW_SPACE, NO_BREAK_SPACE = "\u202f", "\u00a0"
SEPARATORS: Mapping[str, Mapping[int, str]] = {
    "en": {},
    "fr": str.maketrans({",": NARROW_SPACE, ".": ","}),
}
"""How figures written the English way are written in each language."""

TYPESETTING: Mapping[str, Sequence[tuple[re.Pattern[str], str]]] = {
    "en": (),
    "fr": (
        (re.compile(r" (?=[;!?%])"), NARROW_SPACE),
        (re.compile(r" (?=:(?: |$))| (?=»)|(?<=«) "), NO_BREAK_SPACE),
        (re.compile(r"(?<=[\d}]) (?=(?:g|kg|t|Wh|gCO2e/kWh)\b)"), NO_BREAK_SPACE),
    ),
}
"""Spaces of a catalogue's texts at which no line may break, so that catalogues are written with common ones."""


class Lang(StrEnum):
    """Languages that there is a catalogue for."""

    EN = "en"
    FR = "fr"


class Speech:
    """One language: its texts by key, and its way to write numbers."""

    def __init__(self, lang: Lang) -> None:
        self.lang = lang
        self.texts = {key: _typeset(text, lang) for key, text in read_texts(lang).items()}
        self._unit_space = NO_BREAK_SPACE if lang is Lang.FR else " "
        self._separators = dict(SEPARATORS[lang.value])

    def say(self, key: str, **values: object) -> str:
        """The text of `key` with its values filled in; KeyError for a key that the catalogue does not hold."""
        return self.texts[key].format(**values)

    def number(self, number: float) -> str:
        """Two significant digits."""
        return two_digits(number).translate(self._separators)

    def count(self, number: float) -> str:
        """All digits before the point, in groups of three; two digits where it is no whole number below 100."""
        if number < 100 and not float(number).is_integer():
            return self.number(number)
        return f"{number:,.0f}".translate(self._separators)

    def mass(self, gco2e: float) -> str:
        """Grams with the unit that makes the shortest number."""
        size, unit = mass_unit(gco2e)
        return f"{self.number(gco2e / size)}{self._unit_space}{unit}"


def _typeset(text: str, lang: Lang) -> str:
    """A text of the catalogue with the spaces that its language asks for."""
    for pattern, space in TYPESETTING[lang.value]:
        text = pattern.sub(space, text)
    return text


def mass_unit(gco2e: float) -> tuple[float, str]:
    """Grams per unit and the unit's sign: g, kg or t, by the size of the figure."""
    size = abs(gco2e)
    if size >= GRAMS_PER_TONNE:
        return GRAMS_PER_TONNE, "t"
    return (GRAMS_PER_KG, "kg") if size >= GRAMS_PER_KG else (1.0, "g")


def read_texts(lang: Lang) -> dict[str, str]:
    """The catalogue of a language: flat `key: text` lines."""
    import yaml  # needed for texts only, not for every command

    text = files("proxy.cli").joinpath("data", f"simulate.{lang.value}.yaml").read_text(encoding="utf-8")
    found: dict[str, str] = yaml.safe_load(text)
    return found
