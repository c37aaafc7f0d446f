"""Which of the calls that spans tell of came through this proxy, and so are in the ledger. It must never let one of them count again."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
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

REMEMBERED: Final = 100_000
MOST_LOOKED_AT: Final = 5_000


class Crossings(Protocol):
    """The ledger, as this room sees it."""

    def between(self, since_ms: int, until_ms: int) -> list[Crossed]:
        """Attempts of calls that came through the proxy and began in the time. Raises LedgerUnavailable."""


class Crossing:
    """Tells calls that came through us. Belongs to one thread at a time.

    By the answer's id; by being the same model with the very same counts in the same time as one that did; and, where a span says that its
    call went to our address, by any call of that time: a load balancer or the client itself may have sent it to the provider instead.
    """

    def __init__(self, ledger: Crossings, places: Places, catalogue: Catalogue) -> None:
        self._ledger = ledger
        self._places = places
        self._catalogue = catalogue
        self._taken: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def crossed(self, calls: Sequence[Told], ours: Iterable[Address]) -> set[int]:
        """Places in the list of the calls that came through us. Blocks. Raises LedgerUnavailable."""
        here = tuple(ours)
        addressed = {at for at, told in enumerate(calls) if points_here(told.host, told.port, here)}
        asked = [at for at, told in enumerate(calls) if at in addressed or not self._is_a_providers(told.host)]
        asked.sort(key=lambda at: calls[at].span.start_ms)
        found: set[int] = set()
        for part in _in_windows(asked, calls):
            found.update(self._in_ledger(part, calls, addressed))
        return found

    def _is_a_providers(self, host: str | None) -> bool:
        return host is not None and self._places.provider_of_host(host) is not None

    def _in_ledger(self, part: Sequence[int], calls: Sequence[Told], addressed: set[int]) -> set[int]:
        since = calls[part[0]].span.start_ms - SLACK_MS
        rows = self._ledger.between(since, max(_end_ms(calls[at]) for at in part) + SLACK_MS)
        if not rows:
            return set()
        by_id = {each: row for row in rows for each in row.ids}
        by_counts: dict[tuple[int, int], list[Crossed]] = {}
        for row in rows:
            if row.input_tokens or row.output_tokens:
                by_counts.setdefault((row.input_tokens or 0, row.output_tokens or 0), []).append(row)
        found = {at for at in part if self._is_known(calls[at], by_id, by_counts)}
        starts = [row.started_ms for row in rows]
        return found | {at for at in part if at in addressed and at not in found and self._is_any(calls[at], rows, starts)}

    def _is_known(self, told: Told, by_id: dict[str, Crossed], by_counts: dict[tuple[int, int], list[Crossed]]) -> bool:
        """Whether its id or its counts tell."""
        if told.response_id is not None and told.response_id in by_id:
            return self._take(told, by_id[told.response_id])
        usage = told.usage
        if usage is None:
            return False
        wanted = self._model(told.model)
        alike = by_counts.get((usage.input_tokens, usage.output_tokens), ())
        return any(self._take(told, row) for row in alike if _is_within(row, told) and self._model(row.served_model) == wanted)

    def _is_any(self, told: Told, rows: Sequence[Crossed], starts: Sequence[int]) -> bool:
        """Whether a call of its time is not taken by another span; where there are too many to look at, its address is believed."""
        first = bisect_left(starts, told.span.start_ms - SLACK_MS)
        last = bisect_right(starts, _end_ms(told) + SLACK_MS)
        return last - first > MOST_LOOKED_AT or any(self._take(told, row) for row in rows[first:last])

    def _take(self, told: Told, row: Crossed) -> bool:
        """Whether the call of the ledger is this span's: each stands for one span alone."""
        own = (told.span.trace_id, told.span.span_id)
        if self._taken.get(row.call_id, own) != own:
            return False
        self._taken[row.call_id] = own
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)
        return True

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
