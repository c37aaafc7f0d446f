"""Gives every text of the dashboards in English and French from one table. It must never fall back to another language."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

LANGUAGES = ("en", "fr")
TABLE = Path(__file__).parent / "phrases.yaml"
_WORD = re.compile(r"\[(\w+)\]")


@cache
def table() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Section, key, language: one phrase, or a title and a description."""
    found: Mapping[str, Mapping[str, Mapping[str, Any]]] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """The phrases of one language. Each method raises KeyError for a key that the table lacks."""

    language: str

    def titled(self, section: str, key: str) -> tuple[str, str]:
        """Title and description of a board or a panel."""
        title, description = table()[section][key][self.language]
        return title, description

    def phrase(self, section: str, key: str) -> str:
        """A heading, a variable's label or a text."""
        found: str = table()[section][key][self.language]
        return found

    def word(self, key: str) -> str:
        """A word of a legend or a column."""
        return self.phrase("words", key)

    def legend(self, name: str) -> str:
        """A query's name in Grafana's words: labels stay, `[word]` is replaced, a bare word too."""
        if "{{" not in name:
            return self.word(name)
        return _WORD.sub(lambda found: self.word(found[1]), name)
