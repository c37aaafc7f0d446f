"""Which of the calls that spans tell of came through this proxy, and so are in the ledger. It must never let one of them count again."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from config.catalogue import Catalogue
from config.places import Places
from proxy.ledger.crossing_store import Crossed
from proxy.observe.addresses import Address, points_here
from proxy.observe.understand import Told

SLACK_MS: Final = 2_000
"""How far two clocks may be apart."""

WINDOW_MS: Final = 300_000
"""Calls of so long a time are looked up at once."""

REMEMBERED: Final = 20_000


class Crossings(Protocol):
    """The ledger, as this room sees it."""

    def between(self, since_ms: int, until_ms: int) -> list[Crossed]:
        """Attempts of calls that came through the proxy and began in the time. Raises LedgerUnavailable."""


class Crossing:
    """Tells calls that came through us: by our address, the answer's id, or, where nobody says where a call went, by being
    the same model with the very same counts in the same time as one that did. Belongs to one thread at a time.
    """

    def __init__(self, ledger: Crossings, places: Places, catalogue: Catalogue) -> None:
        self._ledger = ledger
        self._places = places
        self._catalogue = catalogue
        self._taken: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def crossed(self, calls: Sequence[Told], ours: Iterable[Address]) -> set[int]:
        """Places in the list of the calls that came through us. Blocks. Raises LedgerUnavailable."""
        here = tuple(ours)
        found: set[int] = set()
        asked: list[int] = []
        for at, told in enumerate(calls):
            if points_here(told.host, told.port, here):
                found.add(at)
            elif told.host is None or self._places.provider_of_host(told.host) is None:
                asked.append(at)
        asked.sort(key=lambda at: calls[at].span.start_ms)
        for part in _in_windows(asked, calls):
            found.update(self._in_ledger(part, calls))
        return found

    def _in_ledger(self, part: Sequence[int], calls: Sequence[Told]) -> set[int]:
        since = calls[part[0]].span.start_ms - SLACK_MS
        until = max(_end_ms(calls[at]) for at in part) + SLACK_MS
        rows = self._ledger.between(since, until)
        if not rows:
            return set()
        by_id = {each: row for row in rows for each in row.ids}
        by_counts: dict[tuple[int, int], list[Crossed]] = {}
        for row in rows:
            if row.input_tokens or row.output_tokens:
                by_counts.setdefault((row.input_tokens or 0, row.output_tokens or 0), []).append(row)
        return {at for at in part if self._is_one_of(calls[at], by_id, by_counts)}

    def _is_one_of(self, told: Told, by_id: dict[str, Crossed], by_counts: dict[tuple[int, int], list[Crossed]]) -> bool:
        if told.response_id is not None and told.response_id in by_id:
            return True
        usage = told.usage
        if usage is None:
            return False
        alike = by_counts.get((usage.input_tokens, usage.output_tokens), ())
        return self._take(told, (row for row in alike if _is_within(row, told)), self._model)

    def _take(self, told: Told, rows: Iterable[Crossed], model: Callable[[str], str]) -> bool:
        """Whether one of the calls of the same model is this one: each stands for one span alone."""
        own = (told.span.trace_id, told.span.span_id)
        for row in rows:
            if self._taken.get(row.call_id, own) == own and model(row.served_model) == model(told.model):
                self._taken[row.call_id] = own
                if len(self._taken) > REMEMBERED:
                    self._taken.popitem(last=False)
                return True
        return False

    def _model(self, name: str) -> str:
        return self._catalogue.resolve(name).card.id


def _end_ms(told: Told) -> int:
    return max(told.span.start_ms, told.span.end_ns // 1_000_000)


def _is_within(row: Crossed, told: Told) -> bool:
    return told.span.start_ms - SLACK_MS <= row.started_ms <= _end_ms(told) + SLACK_MS


def _in_windows(asked: Sequence[int], calls: Sequence[Told]) -> list[list[int]]:
    """The places, in order of time, in parts of no more than a window."""
    parts: list[list[int]] = []
    for at in asked:
        if not parts or calls[at].span.start_ms - calls[parts[-1][0]].span.start_ms > WINDOW_MS:
            parts.append([])
        parts[-1].append(at)
    return parts
