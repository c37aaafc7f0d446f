"""Counts how often one thing has been made over under a policy. It must never count a call that brought no answer.

In one process the count is exact. Of several, each reads what the others recorded every few seconds.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from config.policies import Iterations
from proxy.ledger.base import LedgerUnavailable

_log = logging.getLogger("grammage.alternative")
BRAND = "brand"
MOST_VALUES = 200_000
"""Values that are counted at once for a policy; beyond them the ones that came longest ago are forgotten."""

SHARED_S = 5.0
"""How old a count may be where several processes count."""

Key = tuple[str, str]
ReadMade = Callable[[str, str, str, str], Mapping[Key, int]]


@dataclass(slots=True)
class _Value:
    """answered: answers so far. open: calls under way."""

    answered: int = 0
    open: int = 0


@dataclass(slots=True)
class _Counted:
    """What is counted under one policy. read_at: when the ledger was read last, None: never yet."""

    values: "OrderedDict[Key, _Value]" = field(default_factory=OrderedDict)
    read_at: float | None = None
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True)
class Turn:
    """One call's turn: the number-th answer of `at_most`, if it brings one."""

    number: int
    at_most: int
    _value: _Value
    _ended: bool = False

    @property
    def is_beyond(self) -> bool:
        """True when there are to be no more."""
        return self.number > self.at_most

    def end(self, *, answered: bool) -> None:
        """The call is over; once."""
        if not self._ended:
            self._ended = True
            self._value.open -= 1
            self._value.answered += answered


class Counts:
    """The counts of all policies. read: what the ledger knows, by policy, its mode and two tags; blocks. perf: monotonic seconds."""

    def __init__(self, read: ReadMade, perf: Callable[[], float], *, shared: bool) -> None:
        self._read = read
        self._perf = perf
        self._shared = shared
        self._policies: dict[tuple[str, str, str], _Counted] = {}

    async def enter(self, policy: str, mode: str, iterations: Iterations, tags: Mapping[str, str]) -> Turn | None:
        """The call's turn; None for a call without the tag."""
        value = tags.get(iterations.tag)
        if value is None:
            return None
        counted = self._policies.setdefault((policy, mode, iterations.tag), _Counted())
        if self._is_stale(counted):
            async with counted.reading:
                if self._is_stale(counted):
                    await self._take_over(policy, mode, iterations.tag, counted)
        found = _value_of(counted.values, (value, tags.get(BRAND, "")))
        found.open += 1
        return Turn(found.answered + found.open, iterations.at_most, found)

    def _is_stale(self, counted: _Counted) -> bool:
        if counted.read_at is None:
            return True
        return self._shared and self._perf() - counted.read_at > SHARED_S

    async def _take_over(self, policy: str, mode: str, tag: str, counted: _Counted) -> None:
        """Raises each count to what the ledger knows. A ledger that cannot be read changes nothing, and is asked again at the next call."""
        now = self._perf()
        try:
            made = await asyncio.to_thread(self._read, policy, mode, tag, BRAND)
        except LedgerUnavailable:
            _log.warning("policy %s counts from what this process has seen: the ledger cannot be read now", policy)
            return
        for key, answered in made.items():
            value = _value_of(counted.values, key)
            value.answered = max(value.answered, answered)
        counted.read_at = now


def _value_of(values: "OrderedDict[Key, _Value]", key: Key) -> _Value:
    """The key's count, which is the newest now."""
    found = values.get(key)
    if found is None:
        if len(values) >= MOST_VALUES:
            values.popitem(last=False)
        found = values[key] = _Value()
    else:
        values.move_to_end(key)
    return found
