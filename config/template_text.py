"""Reads a text with places to fill: `{name}`, and `{{` for a brace. It must never look into a value, nor run anything."""

import string
from collections.abc import Mapping
from dataclasses import dataclass

from config.tag_rules import is_tag_name

FIELD_RULE = "a place to fill is a plain name in braces, such as {name}; write {{ for a brace"


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateText:
    """A text in parts: what stands before each field, with the field's name; None where nothing is to be filled after it."""

    parts: tuple[tuple[str, str | None], ...]

    @property
    def fields(self) -> tuple[str, ...]:
        """The names to fill, each once, in their order."""
        return tuple(dict.fromkeys(name for _, name in self.parts if name is not None))

    def filled(self, values: Mapping[str, str]) -> str:
        """The text. Raises KeyError for a field without a value."""
        return "".join(text if name is None else text + values[name] for text, name in self.parts)


def read_template(text: str) -> TemplateText:
    """The template in `text`. Raises ValueError where a place to fill is more than a plain name."""
    parts: list[tuple[str, str | None]] = []
    try:
        found = list(string.Formatter().parse(text))
    except ValueError as error:
        raise ValueError(FIELD_RULE) from error
    for literal, name, spec, conversion in found:
        if name is not None and (spec or conversion or not is_field_name(name)):
            raise ValueError(f"{FIELD_RULE}; {name[:40]!r} is none")
        parts.append((literal, name))
    return TemplateText(parts=tuple(parts))


def is_field_name(name: str) -> bool:
    """True for a letter, then letters, digits, `-` or `_`, 32 in all at most."""
    return name.isascii() and is_tag_name(name.lower())
