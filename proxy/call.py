"""The values handed from room to room. They hold facts only: no vendor type, no behaviour."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from estimators.estimate import Estimate
from estimators.quantity import Quantity
from estimators.usage import Usage

Role = Literal["caller", "viewer", "observer", "admin"]
Outcome = Literal["ok", "client_error", "upstream_error", "client_left", "upstream_cut", "given_up"]
"""given_up: the proxy itself ended while the call was open."""

PENDING = "pending"
"""Reason of an attempt that is not weighed yet: its work goes on at the provider, and is booked late."""

OBSERVED = "observe:"
"""What the caller's id of a call begins with that never came through the proxy, and was told of by telemetry; no key is called so."""

UNKNOWN_ORIGIN = "unknown"
"""Stands for the call that began some work where this ledger does not know it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimits:
    """What a key may do in any minute; None: as much as it likes."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None

    @property
    def any(self) -> bool:
        """True when there is a limit at all."""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who calls. `id` is a configured key's name or a keyed hash of the presented key; never the key itself.

    tags are bound to the key and cannot be overridden. models: aliases the caller may use, None for all. brands: whose figures a viewer
    sees, None for all. limits: None when the key has none.
    """

    id: str
    role: Role = "caller"
    tags: tuple[tuple[str, str], ...] = ()
    models: frozenset[str] | None = None
    forwards_own_key: bool = True
    brands: frozenset[str] | None = None
    limits: RateLimits | None = None


class Hour(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a live source told of the grid while an attempt ran; it is shown and in no total. zone: whose figure it is.

    basis: as the zone table words it. state: measured, estimated or forecast. age_s: how old it was, in seconds.
    """

    gco2e_per_kwh: float
    source: str
    zone: str
    basis: str
    state: str
    age_s: float


class WeighingFacts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an attempt was weighed by beside usage, place and served model, so that it can be weighed again. None: nothing but the usual.

    catalogue_model: weighed as that one. hardware: what was known of the machines, as JSON. possible_output_tokens: how far the provider
    may have gone on after a cut. weighed_as: the estimators' word for it, where the call's path does not tell. batched: by a batch API.
    place: what told where it ran, as JSON, where provider and region alone do not. cpu_s: processor time of what the proxy made itself.
    """

    catalogue_model: str | None = None
    hardware: str | None = None
    operating_prior: str | None = None
    possible_output_tokens: int | None = None
    weighed_as: str | None = None
    batched: bool = False
    place: str | None = None
    cpu_s: float | None = None


class AttemptRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One attempt upstream: who served it, what was counted, and the opinion on it (None: nothing was generated or weighing failed).

    shadows: opinions of other methods, to be compared; they never count. upstream_object_id: what the provider keeps the answer under.
    hour: what a live source told of the zone, if one is configured. shortcoming: what the answer fell short of, so that another was asked,
    or would have been. facts: what it was weighed by, None: nothing but the usual.
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
    upstream_object_id: str | None = None
    hour: Hour | None = None
    shortcoming: str | None = None
    facts: WeighingFacts | None = None


class InsteadRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What answered a call in place of a provider.

    kind: `reuse` (an answer that was kept), `joined` (that of an identical call under way), or that of a declared alternative.
    ref: the alternative's name. source_call_id: the call whose answer it was; its figure stands there and is not counted again.
    """

    kind: str
    ref: str | None = None
    source_call_id: str | None = None


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a policy said of a call. baseline: the alias's first deployment; choice: who served under the policy, or would have.

    Grams are modelled for the call's own usage by the same method, whoever served; None where the call is not weighed. Where a larger model
    was asked because an answer fell short, those of the choice are the sum of all attempts, each at its own usage. choice_* is None
    where nobody might serve. shared: scopes of doubt that the two have in common, separated by commas.
    """

    policy: str
    mode: str
    action: str
    reason: str
    shared: str
    baseline_provider: str
    baseline_model: str
    baseline_region: str | None
    baseline_zone: str
    baseline_gco2e: Quantity | None
    choice_provider: str | None
    choice_model: str | None
    choice_region: str | None
    choice_zone: str | None
    choice_gco2e: Quantity | None


class CallRecord(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call as the ledger keeps it: append-only facts, and its attempts. Durations in seconds, times in ms since 1970 UTC.

    origin_call_id: for work that was booked late, once it had ended: the call that began it, or UNKNOWN_ORIGIN.
    decision: what a policy said of it, None where none was for it. instead: what answered it in place of a provider, None: a provider did.
    """

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
    origin_call_id: str | None = None
    decision: DecisionRecord | None = None
    instead: InsteadRecord | None = None
