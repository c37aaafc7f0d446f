"""How long answers were lately, by alias and by the tags of their calls. It must never grow with what callers write.

Of a call's tags those count that say what kind of work it is, as far as it carries them: names of campaigns or assets would be new all
the time, and tell little of a length.
"""

from bisect import insort
from collections import deque
from typing import TypeVar

Tags = tuple[tuple[str, str], ...]
TELLING_TAGS = frozenset({"stage", "tool", "purpose", "kind", "asset_kind", "format"})
REMEMBERED = 1024
ANSWERS = 63
"""Quantiles are those of the last so many answers."""

ENOUGH = 5
"""Fewer answers tell nothing of the next."""

HIGH = 0.9
Kind = tuple[str, Tags]
K = TypeVar("K")


class _Lately:
    """The last answers of one kind, in turn and by size."""

    __slots__ = ("by_size", "in_turn")

    def __init__(self) -> None:
        self.in_turn: deque[float] = deque()
        self.by_size: list[float] = []

    def take(self, length: float) -> None:
        """Counts one more; the oldest goes."""
        if len(self.in_turn) == ANSWERS:
            self.by_size.remove(self.in_turn.popleft())
        self.in_turn.append(length)
        insort(self.by_size, length)

    def quantile(self, share: float) -> float:
        """The length that this share of them stays within."""
        return self.by_size[min(int(share * len(self.by_size)), len(self.by_size) - 1)]


class Lengths:
    """Running quantiles of output tokens per choice, for at most REMEMBERED aliases and kinds of calls; those that came first are kept."""

    def __init__(self) -> None:
        self._aliases: dict[str, _Lately] = {}
        self._kinds: dict[Kind, _Lately] = {}

    def take(self, alias: str, tags: Tags, output_tokens: float) -> None:
        """Counts one finished answer, for its alias alone and for its alias with its tags."""
        if (known := _known(self._aliases, alias)) is not None:
            known.take(output_tokens)
        if (kind := _telling(tags)) and (known := _known(self._kinds, (alias, kind))) is not None:
            known.take(output_tokens)

    def median(self, alias: str, tags: Tags) -> float | None:
        """What half of such answers stay within: by tags where enough came, else by the alias alone; None: too few of either."""
        return self._quantile(alias, tags, 0.5)

    def high(self, alias: str, tags: Tags) -> float | None:
        """What nine of ten such answers stay within; None where too few came."""
        return self._quantile(alias, tags, HIGH)

    def _quantile(self, alias: str, tags: Tags, share: float) -> float | None:
        for known in (self._kinds.get((alias, _telling(tags))), self._aliases.get(alias)):
            if known is not None and len(known.by_size) >= ENOUGH:
                return known.quantile(share)
        return None


def _known(rows: dict[K, _Lately], key: K) -> _Lately | None:
    """The row of `key`, made when there is room for it."""
    if key not in rows and len(rows) < REMEMBERED:
        rows[key] = _Lately()
    return rows.get(key)


def _telling(tags: Tags) -> Tags:
    return tuple(pair for pair in tags if pair[0] in TELLING_TAGS) if tags else ()
