"""How long a provider may say nothing, and what it is called when it does. It must never end a wait that is not over its time."""

import asyncio
from typing import NamedTuple

from config.deployment import Timeouts
from proxy.errors import UpstreamTimeout, UpstreamUnreachable
from proxy.http_client import CONNECT_S
from proxy.sweep import Sweeper

SILENCE_S = 600.0
"""Reasoning models think for minutes before the first byte, and between two."""

SWEEPS = 60
"""A silence is noticed at most this part of its limit too late."""


class Silence:
    """The longest a provider may say nothing; `broken` once it was too long, and the task that waits has been cancelled for it."""

    __slots__ = ("_patience_s", "_sweeper", "_task", "broken")

    def __init__(self, sweeper: Sweeper, patience_s: float) -> None:
        self._sweeper = sweeper
        self._patience_s = patience_s
        self._task = asyncio.current_task()
        self.broken = False
        sweeper.add(self, patience_s)

    def heard(self) -> None:
        """Something came, or went: the patience begins anew."""
        self._sweeper.add(self, self._patience_s)

    def over(self) -> None:
        """Nothing is waited for any more."""
        self._sweeper.remove(self)

    def overdue(self) -> None:
        """Ends the wait."""
        if self._task is not None:
            self.broken = True
            self._task.cancel()

    def absorb(self) -> bool:
        """True, and our cancellation taken back, when it was us who ended the wait."""
        if self.broken and self._task is not None:
            self._task.uncancel()
        return self.broken


class Patience(NamedTuple):
    """How long a provider may take; one sweeper serves all calls of one patience."""

    sweeper: Sweeper
    silence_s: float
    connect_s: float

    def silence(self) -> Silence:
        """A call's own, begun now, in the task that waits."""
        return Silence(self.sweeper, self.silence_s)


class Patiences:
    """The patience for each request: its own limits, else the door's."""

    def __init__(self, silence_s: float) -> None:
        self._own = Patience(Sweeper(silence_s / SWEEPS), silence_s, CONNECT_S)
        self._by_limits: dict[tuple[float, float], Patience] = {}

    def of(self, timeouts: Timeouts | None) -> Patience:
        """What serves calls with these limits; made once for each pair of them."""
        if timeouts is None:
            return self._own
        key = (timeouts.connect_s, timeouts.silence_s)
        found = self._by_limits.get(key)
        if found is None:
            found = self._by_limits[key] = Patience(Sweeper(timeouts.silence_s / SWEEPS), timeouts.silence_s, timeouts.connect_s)
        return found


def unreachable(origin: str, why: str) -> UpstreamUnreachable:
    """Nothing was sent: nobody is there, or it is not who it should be."""
    return UpstreamUnreachable(f"the provider at {origin} could not be reached ({why}); check api_base, the network and HTTPS_PROXY.")


def broke(origin: str, why: str) -> UpstreamUnreachable:
    """The exchange came to an end before its answer did."""
    return UpstreamUnreachable(f"the provider at {origin} cut the answer ({why}); the call can be tried again.", code="upstream_broke")


def too_slow(origin: str) -> UpstreamTimeout:
    """Nothing came for too long."""
    return UpstreamTimeout(f"the provider at {origin} stayed silent longer than the read timeout; try again or raise it.")
