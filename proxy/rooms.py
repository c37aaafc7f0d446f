"""The rooms a call walks through, gathered once at start. It must never build any of them."""

from asyncio import Event, Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from starlette.types import Receive

from config.providers import Dialect, Door
from config.settings import Settings
from config.tables import Tables
from proxy.alternative.worth import Worth
from proxy.auth import Doorkeeper
from proxy.budgets.keeper import Budgets
from proxy.call import CallRecord
from proxy.clock import Clock
from proxy.errors import NotFound
from proxy.intensity.keeper import Keeper
from proxy.keys.limits import Limiter
from proxy.meters.board import Board
from proxy.objects.origins import Origins
from proxy.policy.breaker import Breakers
from proxy.policy.candidates import Candidate, Candidates
from proxy.policy.latency import Latencies
from proxy.policy.policies import Policies
from proxy.reuse.room import Reuse
from proxy.shadow import Shadows, ShadowScales
from proxy.sweep import Sweeper
from proxy.tracing.tracer import Tracer
from proxy.upstream.base import Upstream
from proxy.upstream.socket import SocketDoor
from proxy.watch import PATIENCE_S, ClientWatch
from proxy.weigh import Scales


class Recorder(Protocol):
    """The ledger, as the corridor sees it."""

    def append(self, record: CallRecord) -> "Future[None] | None":
        """Takes a record; the future, if any, resolves when it is durable."""

    def is_denying(self) -> bool:
        """True when calls can no longer be kept and the configuration says to deny them."""


class Observer(Protocol):
    """Metrics, as the corridor sees them."""

    def observe(self, record: CallRecord) -> None:
        """Counts a finished call."""

    def observe_passthrough(self, path: str, status: int) -> None:
        """Counts a call that went through unmetered."""

    def observe_refusal(self, policy: str, action: str = "refused") -> None:
        """Counts a call that a policy let nobody serve, or answered with an offer."""

    def observe_iterations(self, policy: str) -> None:
        """Counts a call for something that was made more often than its policy has it."""


class CallLogger(Protocol):
    """The log, as the corridor sees it."""

    def write(self, record: CallRecord, trace_id: str | None = None) -> None:
        """Writes the call's line."""


class Archive(Protocol):
    """What is read back of the ledger, off the event loop."""

    def find_objects(self, object_ids: Sequence[str]) -> list[dict[str, object]]:
        """Calls whose answers the provider keeps under one of the ids. Raises LedgerUnavailable."""

    def has_call(self, call_id: str) -> bool:
        """Whether the call is in the ledger. Raises LedgerUnavailable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Everything the corridor needs. `doors` holds the ways out by name, `socket_doors` those of WebSockets."""

    settings: Settings
    tables: Tables
    clock: Clock
    doorkeeper: Doorkeeper
    candidates: Candidates
    unmatched: Candidate | None
    scales: Scales
    doors: Mapping[Door, Upstream]
    recorder: Recorder
    observer: Observer
    call_log: CallLogger
    metadata_tags: tuple[str, ...]
    shadows: Shadows
    shadow_scales: ShadowScales
    archive: Archive
    meters: Board | None = None
    intensity: Keeper | None = None
    policies: Policies | None = None
    budgets: Budgets | None = None
    budget_policies: dict[tuple[str, str | None, str], Policies | None] = field(default_factory=dict)
    worth: Worth | None = None
    latencies: Latencies | None = None
    reuse: Reuse | None = None
    origins: Origins = field(default_factory=Origins)
    socket_doors: Mapping[Door, SocketDoor] = field(default_factory=dict)
    unmatched_foreign: Mapping[Dialect, Candidate] = field(default_factory=dict)
    limiter: Limiter = field(default_factory=Limiter)
    sweeper: Sweeper = field(default_factory=lambda: Sweeper(PATIENCE_S))
    breakers: Breakers = field(default_factory=Breakers)
    tracer: Tracer | None = None
    refuse_forced_usage: set[tuple[Candidate, str]] = field(default_factory=set)

    def watch(self, receive: Receive, after: Event | None = None) -> ClientWatch:
        """A watch on the client behind `receive`, which is free once `after` is set."""
        return ClientWatch(receive, self.sweeper, after)

    def unmatched_of(self, dialect: Dialect) -> Candidate | None:
        """Who takes the unmetered paths of `dialect`, None when nobody can be told to."""
        return self.unmatched if dialect == "openai" else self.unmatched_foreign.get(dialect)

    def door_of(self, candidate: Candidate, dialect: Dialect = "openai") -> Upstream:
        """The door through which a call of `dialect` reaches `candidate`. Raises NotFound (unknown_path) where there is none."""
        door = self.doors.get(candidate.door_of(dialect))
        if door is None:
            raise NotFound(f"provider {candidate.provider!r} does not take calls of the {dialect} dialect here.", code="unknown_path")
        return door
