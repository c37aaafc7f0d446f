"""Keeps answers of the simulated provider for a while, so that they can be asked for again by id. It must never keep what was asked.

The oldest answer goes when the shelf is full; each provider, so each worker of a proxy, has a shelf of its own.
"""

from dataclasses import dataclass
from typing import Any

MOST_KEPT = 512


@dataclass(slots=True, kw_only=True)
class Kept:
    """One answer. late: it is still being written until it has been asked for once."""

    document: dict[str, Any]
    late: bool = False


class Shelf:
    """The answers kept, by id."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._kept: dict[str, Kept] = {}

    def keep(self, name: str, kept: Kept) -> None:
        """Keeps an answer; the oldest one makes room."""
        self._kept[name] = kept
        while len(self._kept) > self._most:
            del self._kept[next(iter(self._kept))]

    def find(self, name: str) -> Kept | None:
        """The answer of that id, None when there is none any more."""
        return self._kept.get(name)

    def drop(self, name: str) -> None:
        """Forgets an answer."""
        self._kept.pop(name, None)
