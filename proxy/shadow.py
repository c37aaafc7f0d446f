"""Weighs finished calls by other methods too, to be compared. It must never touch an answer, nor fail or delay a call.

It works on one thread of its own, after the answer has left, and gives the ledger the call once more with the opinions added: what is
there already is left alone.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

from msgspec.structs import replace

from config.explain import closest
from config.tables import Tables
from estimators.choose import known_methods, named
from estimators.estimate import Estimate
from estimators.usage import Usage
from proxy.call import CallRecord
from proxy.errors import StartError
from proxy.policy.candidates import Candidate
from proxy.weigh import WEIGHING_TROUBLE, Scales, WeighingRules

MOST_WAITING: Final = 10_000
"""Calls that may wait for their shadows; those beyond go without."""
OVERFLOW: Final = "overflow"
BROKEN: Final = "broken"

_log = logging.getLogger("grammage.shadow")


class Appends(Protocol):
    """The part of the ledger's writer that is needed here."""

    def append(self, record: CallRecord) -> "asyncio.Future[None] | None":
        """Takes a record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed:
    """A finished call: its record, and what the chosen method was given to weigh one attempt of it, the operation's name included."""

    record: CallRecord
    ordinal: int
    candidate: Candidate
    model: str
    operation: str
    usage: Usage
    possible_output_tokens: int | None
    network_bytes: int


ShadowScales = Mapping[str, Scales]
"""Scales by the shadow method's id, as the configuration lists them."""


def shadow_scales(methods: Iterable[str], tables: Tables, rules: WeighingRules) -> ShadowScales:
    """Scales of the methods. Raises StartError for one that does not exist or whose library is missing."""
    refusals = shadow_refusals(methods)
    if refusals:
        raise StartError(refusals[0])
    return {method: Scales(tables, rules.by(method)) for method in methods}


def shadow_refusals(methods: Iterable[str]) -> tuple[str, ...]:
    """Why the methods cannot run as shadows: one text per reason."""
    known = known_methods()
    refusals = []
    for method in methods:
        if method not in known:
            refusals.append(f"weighing.shadow: there is no method `{method}`{closest(method, known)}")
            continue
        try:
            named(method).version  # noqa: B018  # a method whose library is missing says so here
        except ValueError as error:
            refusals.append(f"weighing.shadow: {error}")
    return tuple(refusals)


class Shadows:
    """The thread of the shadows. `take` belongs to the event loop of `start`. failures: opinions that could not be formed, by method."""

    def __init__(self, recorder: Appends) -> None:
        self._recorder = recorder
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="grammage-shadow")
        self._waiting = 0
        self._closing = False
        self._told: set[tuple[str, str]] = set()
        self._loop: asyncio.AbstractEventLoop
        self.failures: Counter[str] = Counter({OVERFLOW: 0, BROKEN: 0})

    def start(self) -> None:
        """Notes the loop that the ledger's writer belongs to; the thread begins with the first call."""
        self._loop = asyncio.get_running_loop()

    def take(self, weighed: Weighed, scales: ShadowScales) -> None:
        """Weighs the call by these methods, soon."""
        if self._closing or self._waiting >= MOST_WAITING:
            self._failed(OVERFLOW, "the proxy ends" if self._closing else f"{MOST_WAITING} calls wait")
            return
        self._waiting += 1
        self._thread.submit(self._opinions, weighed, scales).add_done_callback(lambda done: self._back(weighed, done))

    async def close(self) -> None:
        """Finishes what waits and hands it to the recorder, which must be open still."""
        self._closing = True
        await asyncio.to_thread(self._thread.shutdown)

    def _opinions(self, weighed: Weighed, scales: ShadowScales) -> tuple[Estimate, ...]:
        found = []
        for method, own in scales.items():
            try:
                opinion = _opinion(method, own, weighed)
            except (*WEIGHING_TROUBLE, ImportError) as error:
                self._failed(method, type(error).__name__)
                continue
            if opinion is not None:
                found.append(opinion)
        return tuple(found)

    def _back(self, weighed: Weighed, done: "Future[tuple[Estimate, ...]]") -> None:
        """On the thread: the opinions go to the loop, for the recorder belongs to it."""
        trouble = done.exception()
        if trouble is not None:
            self._failed(BROKEN, type(trouble).__name__)
        self._loop.call_soon_threadsafe(self._keep, weighed, () if trouble else done.result())

    def _keep(self, weighed: Weighed, opinions: tuple[Estimate, ...]) -> None:
        self._waiting -= 1
        if opinions:
            attempt = weighed.record.attempts[weighed.ordinal]
            self._recorder.append(replace(weighed.record, attempts=(replace(attempt, shadows=opinions),)))

    def _failed(self, method: str, why: str) -> None:
        """Counts each failure, and says each kind once."""
        self.failures[method] += 1
        if (method, why) not in self._told:
            self._told.add((method, why))
            _log.warning("shadow method %s could not weigh a call: %s; further ones are counted only", method, why)


def _opinion(method: str, scales: Scales, weighed: Weighed) -> Estimate | None:
    """The method's estimate; None where it does not cover the call, or was the one that weighed it."""
    operation, attempt = weighed.operation, weighed.record.attempts[weighed.ordinal]
    if attempt.estimate is not None and attempt.estimate.method == method:
        return None
    if not named(method).covers(operation, scales.card(weighed.candidate, weighed.model)):
        return None
    prepared = scales.known(weighed.candidate, weighed.model, operation) or scales.prepare(weighed.candidate, weighed.model, operation)
    return prepared.estimate(weighed.usage, possible_output_tokens=weighed.possible_output_tokens, network_bytes=weighed.network_bytes)
