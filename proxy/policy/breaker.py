"""Remembers which deployments keep failing, so that calls go elsewhere for a while. It must never keep a call from the only one there is.

closed: in use. open: passed over. half-open: its pause is over, and one call may probe it.
"""

from dataclasses import dataclass
from typing import Literal

from config.deployment import Breaker as BreakerRule
from proxy.policy.candidates import Candidate

State = Literal["closed", "open", "half_open"]
MOST_PAUSES = 8
"""Failed probes double the pause up to this many times the configured one."""

LONGEST_COOLING_S = 120.0
"""A provider that asks for more rest than this is asked again all the same."""


@dataclass(slots=True)
class Breaker:
    """The state of one deployment. Times are monotonic seconds, handed in."""

    rule: BreakerRule
    failures: int = 0
    open_until: float = 0.0
    cooling_until: float = 0.0
    pauses: int = 1
    probing: bool = False

    def state(self, now: float) -> State:
        """Where it stands."""
        if now < self.open_until or now < self.cooling_until:
            return "open"
        return "half_open" if self._tripped else "closed"

    def trying(self, now: float) -> None:
        """A call is sent to it. The one that goes after the pause is a probe: others are kept away until it tells, a pause at most."""
        if self.state(now) == "half_open":
            self.probing = True
            self.open_until = now + self.rule.pause_s

    def succeeded(self) -> None:
        """It answered: whatever it said, it is there. A rest that it asked for goes on."""
        if self.failures:
            self.failures, self.open_until, self.pauses, self.probing = 0, 0.0, 1, False

    def failed(self, now: float) -> None:
        """It could not be reached, stayed silent, or answered 5xx."""
        self.failures += 1
        if not self._tripped:
            return
        if self.probing:
            self.pauses = min(self.pauses * 2, MOST_PAUSES)
        elif now < self.open_until:
            return
        self.probing = False
        self.open_until = now + self.rule.pause_s * self.pauses

    def cool(self, now: float, rest_s: float) -> None:
        """It asked for a rest."""
        self.cooling_until = max(self.cooling_until, now + min(rest_s, LONGEST_COOLING_S))

    @property
    def _tripped(self) -> bool:
        return 0 < self.rule.failures <= self.failures


class Breakers:
    """The breakers of the deployments that share an alias, made when first needed."""

    def __init__(self) -> None:
        self._known: dict[Candidate, Breaker] = {}

    def of(self, candidate: Candidate) -> Breaker:
        """The breaker of `candidate`."""
        found = self._known.get(candidate)
        if found is None:
            found = self._known[candidate] = Breaker(candidate.breaker)
        return found

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
