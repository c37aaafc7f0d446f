"""Makes a text of a client harmless to look at. It must never drop a character silently."""

from unicodedata import category


def printable(text: str) -> str:
    """A client's text without control characters: a terminal would obey them, and a page cannot hold them."""
    return "".join(character if _is_shown(character) else "\N{REPLACEMENT CHARACTER}" for character in text)


def _is_shown(character: str) -> bool:
    return character.isprintable() or category(character) == "Zs"
