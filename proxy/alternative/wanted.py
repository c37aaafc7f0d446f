"""What a call wants of an alternative, read from its own bytes. It must never change them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.endpoints.base import Ask
from proxy.endpoints.reading import decoded
from proxy.splice import find_member

FIELDS = b"x-grammage-fields"
MOST_SIDE = 8192
_SIZE = re.compile(r"\s*([1-9]\d{0,4})\s*[xX]\s*([1-9]\d{0,4})\s*")
_TEXT_PARTS = frozenset({"text", "input_text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A call under a policy that knows a way without it. known: its headers by name."""

    ask: Ask
    known: Mapping[bytes, bytes]
    tags: Mapping[str, str]

    def fields(self) -> dict[str, str]:
        """What the caller gives to fill in: `metadata`, and `x-grammage-fields` before it; only texts and numbers."""
        found: dict[str, str] = {}
        header = self.known.get(FIELDS, b"")
        for given in (decoded(bytes(self.ask.head.metadata)), decoded(header)):
            if isinstance(given, dict):
                found |= {name: str(value) for name, value in given.items() if _is_plain(value)}
        return found

    def last_text(self) -> str | None:
        """The text of the last thing that the user says; None where there is none, or more than text stands in it."""
        head = self.ask.head
        for raw, read in ((head.messages, _of_turns), (head.input, _of_turns), (head.prompt, _of_prompt)):
            if bytes(raw):
                return read(decoded(bytes(raw)))
        return None

    def size(self) -> tuple[int, int] | None:
        """The size that is asked for; None where none is."""
        found = _SIZE.fullmatch(_text(self.member("size")))
        return None if found is None else (min(int(found[1]), MOST_SIDE), min(int(found[2]), MOST_SIDE))

    def member(self, name: str) -> Any:
        """A member of the request, None where it is absent or cannot be read."""
        found = find_member(self.ask.body, name)
        return None if found is None else decoded(self.ask.body[found.value : found.end])


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _of_prompt(prompt: object) -> str | None:
    if isinstance(prompt, list) and len(prompt) == 1:
        prompt = prompt[0]
    return _text(prompt) or None


def _of_turns(turns: object) -> str | None:
    """The last turn of the user, if it is the last of all: an answer to what a tool found is another matter."""
    if isinstance(turns, str):
        return turns or None
    if not isinstance(turns, list) or not turns or not isinstance(turns[-1], dict) or turns[-1].get("role") != "user":
        return None
    content = turns[-1].get("content")
    return (content or None) if isinstance(content, str) else _of_parts(content if isinstance(content, list) else ())


def _of_parts(parts: Iterable[object]) -> str | None:
    texts = []
    for part in parts:
        if not isinstance(part, dict) or part.get("type") not in _TEXT_PARTS:
            return None
        texts.append(_text(part.get("text")))
    return "\n".join(texts) or None
