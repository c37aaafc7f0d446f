"""The values handed from room to room. They hold facts only: no vendor type, no behaviour."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from estimators.estimate import Estimate
from estimators.usage import Usage

Role = Literal["caller", "viewer", "admin"]
Outcome = Literal["ok", "client_error", "upstream_error", "client_left", "upstream_cut", "given_up"]
"""given_up: the proxy itself ended while the call was open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls. `id` is a configured key's name or a keyed hash of the presented key; never the key itself.

    tags are bound to the key and cannot be overridden. models: aliases the caller may use, None for all.
    """

    id: str
    role: Role = "caller"
    tags: tuple[tuple[str, str], ...] = ()
    models: frozenset[str] | None = None
    forwards_own_key: bool = True


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One attempt upstream: who served it, what was counted, and the opinion on it (None: nothing was generated or weighing failed).

    shadows: opinions of other methods, to be compared; they never count.
    """

    attempt_id: str
    ordinal: int
    provider: str
    model: str
    served_model: str
    region: str | None
    zone: str
    place_assumed: bool
    simulated: bool
    status: int
    outcome: Outcome
    upstream_request_id: str | None
    usage: Usage | None
    estimate: Estimate | None
    unweighed_reason: str | None
    request_bytes: int
    response_bytes: int
    latency_s: float
    shadows: tuple[Estimate, ...] = ()


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call as the ledger keeps it: append-only facts, and its attempts. Durations in seconds, times in ms since 1970 UTC."""

    call_id: str
    started_ms: int
    operation: str
    path: str
    alias: str
    caller_id: str
    tags: tuple[tuple[str, str], ...]
    user_hash: str | None
    user_hash_key_id: str | None
    status: int
    outcome: Outcome
    stream: bool
    stream_complete: bool
    latency_s: float
    time_to_first_token_s: float | None
    overhead_s: float
    policy: str
    altered: str
    retry_count: int
    idempotency_key_hash: str | None
    attempts: tuple[AttemptRecord, ...] = ()
