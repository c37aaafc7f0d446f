"""How long deployments took to answer lately. It must never read a clock: times are handed in.

An answer's time is taken to grow with its length: a wait as long as WAIT_TOKENS output tokens take, then one token after the other. Kept
is the median, over the last answers, of seconds per such token; the forecast of a call is that times its own length.
"""

from bisect import insort
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from proxy.policy.candidates import Candidate

WAIT_TOKENS = 50
ANSWERS = 31
"""The median is that of the last so many answers."""

FRESH_S = 900.0
"""A deployment that has not answered for longer counts as not tried: it may be faster now."""

REMEMBERED = 512

LatencyKey = tuple[str, str, str, str, str, str]
Pace = Mapping[LatencyKey, float]
"""Seconds per token of answer, the wait before it counted as WAIT_TOKENS of them."""

NOBODY_TRIED: Pace = MappingProxyType({})


def latency_key(candidate: Candidate, model: str, operation: str) -> LatencyKey:
    """What a deployment is known by, across reloads and whatever region an answer tells."""
    deployment = candidate.deployment
    return (candidate.pattern, candidate.provider, candidate.base_url, deployment.region or deployment.zone or "", model, operation)


def seconds_for(pace: float, output_tokens: int) -> float:
    """Seconds until a whole answer of that length is there."""
    return pace * (WAIT_TOKENS + output_tokens)


@dataclass(slots=True)
class _Lately:
    last_s: float = 0.0
    in_turn: deque[float] = field(default_factory=deque)
    by_size: list[float] = field(default_factory=list)

    def take(self, pace: float, at_s: float) -> float:
        """The median with one more answer."""
        self.last_s = at_s
        if len(self.in_turn) == ANSWERS:
            self.by_size.remove(self.in_turn.popleft())
        self.in_turn.append(pace)
        insort(self.by_size, pace)
        return self.by_size[len(self.by_size) // 2]


class Latencies:
    """Running medians of deployments. `at_s` is any clock that only goes forward, in seconds."""

    def __init__(self) -> None:
        self._known: dict[LatencyKey, _Lately] = {}
        self._pace: Pace = NOBODY_TRIED
        self._oldest_s = 0.0

    def take(self, key: LatencyKey, took_s: float, output_tokens: int, at_s: float) -> None:
        """Counts one answer that came to its end."""
        if took_s <= 0:
            return
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._forget(at_s)
            if len(self._known) >= REMEMBERED:
                return
            known = self._known[key] = _Lately()
        elif at_s - known.last_s > FRESH_S:
            known = self._known[key] = _Lately()
        median = known.take(took_s / (WAIT_TOKENS + output_tokens), at_s)
        self._pace = MappingProxyType({**self._pace, key: median})

    def pace(self, at_s: float) -> Pace:
        """What is known at that time, as a value that never changes: those that answered within FRESH_S."""
        if at_s - self._oldest_s > FRESH_S and self._known:
            self._forget(at_s)
        return self._pace

    def _forget(self, at_s: float) -> None:
        self._known = {key: known for key, known in self._known.items() if at_s - known.last_s <= FRESH_S}
        self._pace = MappingProxyType({key: pace for key, pace in self._pace.items() if key in self._known})
        self._oldest_s = min((known.last_s for known in self._known.values()), default=at_s)
