"""Keeps answers and uploads of the simulated provider for a while, to be asked for again by id. It must never keep another request.

The oldest answer goes when the shelf is full; each provider, so each worker of a proxy, has a shelf of its own.
"""

from dataclasses import dataclass, field
from typing import Any

MOST_KEPT = 512
MOST_KEPT_BYTES = 64 * 1024 * 1024
"""Of all files together."""


@dataclass(slots=True, kw_only=True)
class Kept:
    """One answer or file. late: it is still being written until it has been asked for once. content: of a file."""

    document: dict[str, Any]
    late: bool = False
    content: bytes = field(default=b"", repr=False)


class Shelf:
    """The answers kept, by id."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: dict[str, Kept] = {}
        self._bytes = 0

    def keep(self, name: str, kept: Kept) -> None:
        """Keeps an answer; the oldest one makes room."""
        self._bytes += len(kept.content)
        self._kept[name] = kept
        while len(self._kept) > self._most or (self._bytes > MOST_KEPT_BYTES and len(self._kept) > 1):
            self.drop(next(iter(self._kept)))

    def find(self, name: str) -> Kept | None:
        """The answer of that id, None when there is none any more."""
        return self._kept.get(name)

    def drop(self, name: str) -> None:
        """Forgets an answer."""
        gone = self._kept.pop(name, None)
        self._bytes -= 0 if gone is None else len(gone.content)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        """The documents whose `object` is that, the newest first."""
        return [kept.document for kept in reversed(self._kept.values()) if kept.document.get("object") == kind]
