"""Remembers which deployments keep failing, so that calls go elsewhere for a while. It must never keep a call from the only one there is.

closed: in use. open: passed over. half-open: its pause is over, and one call may probe it. What other processes found counts too, as long
as they said: whoever shares the breakers is told of each change, and lets them hear of others'.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from config.deployment import Breaker as BreakerRule
from proxy.policy.candidates import Candidate

State = Literal["closed", "open", "half_open"]
MOST_PAUSES = 8
"""Failed probes double the pause up to this many times the configured one."""

LONGEST_COOLING_S = 120.0
"""A provider that asks for more rest than this is asked again all the same."""


class Word(NamedTuple):
    """What one process tells another of a deployment: for how many seconds it is passed over, and how long it asked to be let rest."""

    open_s: float
    cooling_s: float
    pauses: int = 1


def _to_nobody() -> None:
    """Nobody shares the breaker."""


@dataclass(slots=True)
class Breaker:
    """The state of one deployment. Times are monotonic seconds, handed in.

    tell: called after each change that others should know. heard: that it is open is another process's finding.
    """

    rule: BreakerRule
    tell: Callable[[], None] = _to_nobody
    failures: int = 0
    open_until: float = 0.0
    cooling_until: float = 0.0
    pauses: int = 1
    probing: bool = False
    heard: bool = False

    def state(self, now: float) -> State:
        """Where it stands."""
        if now < self.open_until or now < self.cooling_until:
            return "open"
        return "half_open" if self._tripped else "closed"

    def trying(self, now: float) -> None:
        """A call is sent to it. The one that goes after the pause is a probe: others are kept away until it tells, a pause at most."""
        if self.state(now) == "half_open":
            self.probing, self.heard = True, False
            self.open_until = now + self.rule.pause_s
            self.tell()

    def succeeded(self) -> None:
        """It answered: whatever it said, it is there. A rest that it asked for goes on, and so does a pause that another process began."""
        if self.failures and not self.heard:
            was_tripped = self._tripped
            self._close()
            if was_tripped:
                self.tell()

    def failed(self, now: float) -> None:
        """It could not be reached, stayed silent, or answered 5xx."""
        self.failures += 1
        if not self._tripped:
            return
        if self.probing:
            self.pauses = min(self.pauses * 2, MOST_PAUSES)
        elif now < self.open_until:
            return
        self.probing = self.heard = False
        self.open_until = now + self.rule.pause_s * self.pauses
        self.tell()

    def cool(self, now: float, rest_s: float) -> None:
        """It asked for a rest."""
        until = now + min(rest_s, LONGEST_COOLING_S)
        if until > self.cooling_until:
            self.cooling_until = until
            self.tell()

    def word(self, now: float) -> Word:
        """What there is to tell of it; all zeros: it is in use."""
        return Word(max(0.0, self.open_until - now), max(0.0, self.cooling_until - now), self.pauses)

    def hear(self, now: float, word: Word) -> None:
        """Takes another process's newer finding over, within the bounds of this one's rule; it is told to nobody."""
        self.cooling_until = max(self.cooling_until, now + min(word.cooling_s, LONGEST_COOLING_S))
        if word.open_s <= 0:
            if self._tripped:
                self._close()
        elif self.rule.failures:
            self.failures = max(self.failures, self.rule.failures)
            self.pauses = min(max(1, word.pauses), MOST_PAUSES)
            self.open_until = now + min(word.open_s, self.rule.pause_s * MOST_PAUSES)
            self.probing, self.heard = False, True

    def _close(self) -> None:
        self.failures, self.open_until, self.pauses, self.probing, self.heard = 0, 0.0, 1, False, False

    @property
    def _tripped(self) -> bool:
        return 0 < self.rule.failures <= self.failures


class Breakers:
    """The breakers of the deployments that share an alias, made when first needed."""

    def __init__(self, tell: Callable[[Candidate], None] | None = None) -> None:
        """tell: is called with the candidate whose breaker changed."""
        self._known: dict[Candidate, Breaker] = {}
        self._tell = tell

    def of(self, candidate: Candidate) -> Breaker:
        """The breaker of `candidate`."""
        found = self._known.get(candidate)
        if found is None:
            tell = _to_nobody if self._tell is None else partial(self._tell, candidate)
            found = self._known[candidate] = Breaker(candidate.breaker, tell)
        return found

    def known(self) -> tuple[Candidate, ...]:
        """Those that have a breaker by now."""
        return tuple(self._known)

    def ranked(self, plan: tuple[Candidate, ...], now: float) -> tuple[Candidate, ...]:
        """The plan, with those that are passed over now at its end."""
        passed_over = [candidate for candidate in plan if self._is_open(candidate, now)]
        return plan if not passed_over else (*(each for each in plan if each not in passed_over), *passed_over)

    def passings(self, now: float) -> list[tuple[tuple[str, str, str, str], bool]]:
        """Alias, provider, model and region of each deployment that has been tried, and whether it is passed over. From any thread."""
        return [
            ((each.pattern, each.provider, each.model or "", each.place.region or ""), breaker.state(now) == "open")
            for each, breaker in list(self._known.items())
        ]

    def _is_open(self, candidate: Candidate, now: float) -> bool:
        breaker = self._known.get(candidate)
        return breaker is not None and breaker.state(now) == "open"
