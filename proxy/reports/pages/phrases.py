"""Gives every text of a report in each language from one table. It must never fall back to another language."""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

import yaml

LANGUAGES: Final = ("en", "fr")
FILES: Final = ("phrases.yaml", "exports.yaml")
"""Texts of reports, and what the sheets for other frameworks say besides."""

Texts = Mapping[str, Mapping[str, Mapping[str, str]]]

_SPACED: Final = {"fr": (re.compile(r" (?=[:»])|(?<=«) "), re.compile(r" (?=[;!?])"))}
"""Where a language wants a space that never breaks, and where a narrow one."""


@cache
def table() -> Texts:
    """Section, key, language: one phrase each."""
    found: dict[str, dict[str, Mapping[str, str]]] = {}
    for name in FILES:
        texts: Texts = yaml.safe_load(files("proxy.reports.pages").joinpath(f"data/{name}").read_text("utf-8"))
        for section, phrases in texts.items():
            found.setdefault(section, {}).update(phrases)
    return found


def phrase(language: str, section: str, key: str) -> str:
    """One phrase, with the language's own spaces. Raises KeyError for one that the table lacks."""
    return spaced(language, table()[section][key][language])


def spaced(language: str, text: str) -> str:
    """A text of ours with the language's own spaces."""
    for pattern, space in zip(_SPACED.get(language, ()), ("\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"), strict=False):
        text = pattern.sub(space, text)
    return text


def listed(language: str, section: str) -> tuple[str, ...]:
    """All phrases of a section, in the table's order."""
    return tuple(phrase(language, section, key) for key in table()[section])
