"""What a word for machines that the tables do not know means, and which words they know. It must never weigh anything."""

import difflib
from collections.abc import Collection, Iterator

from estimators.hardware import Hardware, strange_words


def hardware_hints(hardware: Hardware, known: Collection[str]) -> Iterator[tuple[str, str]]:
    """(field, sentence) for each stated word that no factor row has; known: ids of the factor rows."""
    for field, word, ids in strange_words(hardware, known):
        yield field, f"{field} {word!r} is not in the tables{_near(word, ids)}; known: {', '.join(sorted(ids))}"


def _near(word: str, known: Collection[str]) -> str:
    plain = "".join(letter for letter in word.lower() if letter.isalnum())
    near = difflib.get_close_matches(plain, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
