"""Whether a failed call may be sent again, to whom and after how long. It must never send or wait itself."""

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from config.deployment import Retry
from proxy.policy.candidates import Candidate

Failure = Literal["unreached", "hung_up", "timeout", "429", "5xx"]
TOO_MANY = 429
SERVER_ERROR = 500
MOST_ATTEMPTS = 10
FIRST_PAUSE_S = 0.25
"""Before the same deployment is tried again without a word of its own; doubled each time."""

OF_CODE: Mapping[str, Failure] = {
    "upstream_unreachable": "unreached",
    "upstream_broke": "hung_up",
    "upstream_timeout": "timeout",
    "litellm_unavailable": "unreached",
}
"""Failure by the code of the error that the door raises."""

_OF_WORD: Mapping[str, tuple[Failure, ...]] = {
    "connection": ("unreached", "hung_up"),
    "timeout": ("timeout",),
    "429": ("429",),
    "5xx": ("5xx",),
}
_ALONE: frozenset[Failure] = frozenset(("unreached",))
_WITH_OTHERS: frozenset[Failure] = frozenset(("unreached", "hung_up", "timeout", "429", "5xx"))
COUNTED: frozenset[Failure] = frozenset(("unreached", "hung_up", "timeout", "5xx"))
"""Failures that say something of the deployment itself, whoever called."""


def failure_of(status: int) -> Failure | None:
    """What an answer's status means; None: it is the caller's to see, be it good or its own error."""
    if status < TOO_MANY:
        return None
    return "429" if status == TOO_MANY else "5xx" if status >= SERVER_ERROR else None


def rest_of(headers: list[tuple[bytes, bytes]], now: datetime) -> float | None:
    """Seconds for which an answer asks to be left alone: `retry-after-ms`, else `retry-after` as seconds or date; None: it does not."""
    told = dict(reversed(headers))
    milliseconds = _number(told.get(b"retry-after-ms", b""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = told.get(b"retry-after", b"")
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = parsedate_to_datetime(text.decode("latin-1"))
    except ValueError:
        return None
    return max(0.0, (date - now).total_seconds()) if date.tzinfo is not None else None


def may_repeat(headers: list[tuple[bytes, bytes]]) -> bool:
    """False when the answer says that the same deployment would answer the same."""
    return dict(headers).get(b"x-should-retry", b"").strip().lower() != b"false"


def _number(text: bytes) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


class Route:
    """The way of one call through its plan. `plan` is in the order of trying; `tried` counts attempts, the one under way included."""

    __slots__ = ("_ready_at", "_retry", "_triggers", "most", "plan", "tried")

    def __init__(self, plan: tuple[Candidate, ...], retry: Retry) -> None:
        self.plan = plan
        self.tried = 1
        self.most = min(retry.attempts or max(2, len(plan)), MOST_ATTEMPTS)
        self._retry = retry
        self._ready_at: dict[Candidate, float] = {}
        if retry.on is not None:
            self._triggers = frozenset(failure for word in retry.on for failure in _OF_WORD[word])
        else:
            self._triggers = _WITH_OTHERS if len(plan) > 1 else _ALONE

    @property
    def current(self) -> Candidate:
        """Who is tried now, or was tried last."""
        return self.plan[(self.tried - 1) % len(self.plan)]

    def after(self, failure: Failure, now: float, *, rest_s: float | None = None, repeats: bool = True) -> tuple[Candidate, float] | None:
        """Who is tried next, and after how many seconds; None: the failure stands. `now` is monotonic.

        rest_s: what the deployment asked for. repeats: whether it would be any use to ask the same one again.
        """
        if failure not in self._triggers or self.tried >= self.most:
            return None
        pause_s = min(FIRST_PAUSE_S * 2 ** ((self.tried - 1) // len(self.plan)), self._retry.longest_wait_s)
        self._ready_at[self.current] = now + (pause_s if rest_s is None else rest_s) if repeats else math.inf
        following = self.plan[self.tried % len(self.plan)]
        wait_s = max(0.0, self._ready_at.get(following, now) - now)
        if wait_s > self._retry.longest_wait_s:
            return None
        self.tried += 1
        return following, wait_s
