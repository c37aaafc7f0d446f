"""What one call gathers on its way down the corridor, until it becomes a record. It must never hold what is not a fact of this call."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import msgspec

from estimators.estimate import Estimate
from estimators.usage import Usage
from proxy.alternative.iterations import Turn
from proxy.budgets.keeper import Holding
from proxy.call import AttemptRecord, Caller, CallRecord, DecisionRecord, Hour, InsteadRecord, Outcome, WeighingFacts
from proxy.clock import uuid7
from proxy.endpoints.base import Ask
from proxy.errors import BudgetExceeded
from proxy.keys.limits import Ticket
from proxy.large_form import LargeForm
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.policy.retry import Route
from proxy.policy.verdict import Verdict
from proxy.reuse.room import Lead
from proxy.route import Address
from proxy.tracing.context import Trace
from proxy.upstream.base import Headers, WholeReply

CLIENT_CLOSED_REQUEST = 499
"""Status kept for a call whose client left before the answer, as nginx does."""


class Seen(Protocol):
    """What has come of a stream that is held back."""

    @property
    def usage_raw(self) -> bytes | None:
        """The usage so far, as it stands there."""

    @property
    def kept(self) -> Sequence[bytes]:
        """The beginning of what came."""

    @property
    def seen_bytes(self) -> int:
        """How much came."""

    @property
    def answer(self) -> bytes:
        """What the event that ends it says."""


class Failed(NamedTuple):
    """An attempt that came to nothing, and was not the call's last word. candidate: who was tried."""

    candidate: Candidate
    record: AttemptRecord


@dataclass(slots=True, kw_only=True)
class Passage:
    """A call under way. `known`: its headers by name. Times are monotonic seconds; `sent` to `received` is the provider's time.

    What follows from an answer is the present attempt's; `failed` holds those before it. route: the way through the plan, None while the
    first attempt of the only candidate is under way. kept: the last answer of a failed attempt. idle: no attempt is under way.
    address: what the caller's path means, None where it is the endpoint's own. object_id: what the provider keeps the answer under.
    upload: the body, where it is too large to be held. shortcoming: what the present attempt's answer falls short of, so that another was
    asked, or would have been; escalated: the same, for the answer's header, once another was. held: a stream that has not left yet.
    holding: what it reserved of carbon budgets. weighed_before: the present attempt's figures, where it was weighed when another one took
    its place for a while. instead: what answers in place of a provider, None where a provider does; the call is idle then. lead: identical
    calls may wait for the present attempt.
    decided: what a policy said, where that is not to be weighed by usage. turn: its place among the answers that its policy counts.
    own_verdict: what its policy said, where a budget took over. cpu_s: processor time of what the proxy made itself. as_came: the call
    before a policy altered it, None where none did. denied: a budget's refusal, raised where a provider would be asked.
    trace: None for a call that no tracing backend is told of.
    """

    call_id: str
    started_ms: int
    entered: float
    ask: Ask
    caller: Caller
    headers: Headers
    known: dict[bytes, bytes]
    tags: tuple[tuple[str, str], ...]
    decision: Decision
    candidate: Candidate
    request_bytes: int = 0
    response_bytes: int = 0
    sent: float = 0.0
    received: float = 0.0
    first_byte: float | None = None
    recorded: bool = False
    head_sent: bool = False
    status: int = 0
    outcome: Outcome = "ok"
    forced_usage: bool = False
    streamed: bool = False
    stream_complete: bool = False
    served_model: str | None = None
    upstream_request_id: str | None = None
    user_hash: str | None = None
    user_hash_key_id: str | None = None
    retry_count: int = 0
    idempotency_key_hash: str | None = None
    usage: Usage | None = None
    meter_warnings: tuple[str, ...] = ()
    estimate: Estimate | None = None
    unweighed_reason: str | None = None
    entry: CallRecord | None = None
    ticket: Ticket | None = None
    holding: Holding | None = None
    route: Route | None = None
    failed: tuple[Failed, ...] = ()
    waited_s: float = 0.0
    kept: WholeReply | None = None
    idle: bool = False
    address: Address | None = None
    upload: LargeForm | None = None
    object_id: str | None = None
    hour: Hour | None = None
    possible_output_tokens: int | None = None
    cpu_s: float | None = None
    shortcoming: str | None = None
    escalated: str = ""
    held: Seen | None = None
    weighed_before: tuple[Usage, Estimate] | None = None
    instead: InsteadRecord | None = None
    decided: DecisionRecord | None = None
    turn: Turn | None = None
    own_verdict: Verdict | None = None
    as_came: Ask | None = None
    denied: BudgetExceeded | None = None
    lead: Lead | None = None
    trace: Trace | None = None

    @property
    def model(self) -> str:
        """The model as the provider was asked for it."""
        return self.candidate.name_of(self.ask.alias)

    @property
    def weighed_model(self) -> str:
        """The model to weigh by: what the provider says it served, else what it was asked for."""
        return self.served_model or self.model


def attempt_of(passage: Passage, attempt_id: str, now: float) -> AttemptRecord:
    """The present attempt as facts."""
    candidate = passage.candidate
    return AttemptRecord(
        attempt_id=attempt_id,
        ordinal=len(passage.failed),
        provider=candidate.provider,
        model=passage.model,
        served_model=passage.weighed_model,
        region=candidate.place.region,
        zone=candidate.place.zone,
        place_assumed=candidate.place.assumed,
        simulated=candidate.is_simulated,
        status=passage.status,
        outcome=passage.outcome,
        upstream_request_id=passage.upstream_request_id,
        usage=passage.usage,
        estimate=passage.estimate,
        unweighed_reason=passage.unweighed_reason,
        request_bytes=passage.request_bytes,
        response_bytes=passage.response_bytes,
        latency_s=now - passage.sent if passage.sent else 0.0,
        upstream_object_id=passage.object_id,
        hour=passage.hour,
        facts=candidate.facts if passage.possible_output_tokens is None and passage.cpu_s is None else _own_facts(passage),
        shortcoming=passage.shortcoming,
    )


def _own_facts(passage: Passage) -> WeighingFacts:
    """What this attempt alone was weighed by, beside what its deployment's all are."""
    usual = passage.candidate.facts or WeighingFacts()
    return msgspec.structs.replace(usual, possible_output_tokens=passage.possible_output_tokens, cpu_s=passage.cpu_s)


def close_attempt(passage: Passage, record: AttemptRecord, now: float) -> None:
    """The present attempt is over, as `record` says, and is not the call's last word; none is under way now."""
    passage.failed = (*passage.failed, Failed(passage.candidate, record))
    passage.waited_s += now - passage.sent
    passage.sent = passage.received = now
    passage.idle = True


def open_attempt(passage: Passage, candidate: Candidate, now: float) -> None:
    """An attempt of `candidate` begins, of which nothing is known yet."""
    passage.waited_s += now - passage.sent
    passage.sent, passage.received, passage.first_byte = now, 0.0, None
    passage.idle, passage.candidate, passage.instead = False, candidate, None
    passage.status, passage.outcome = 0, "ok"
    passage.served_model, passage.upstream_request_id, passage.object_id = None, None, None
    passage.usage, passage.estimate, passage.unweighed_reason, passage.hour = None, None, None, None
    passage.possible_output_tokens = passage.cpu_s = None
    passage.meter_warnings, passage.response_bytes, passage.forced_usage = (), 0, False
    passage.shortcoming, passage.held, passage.weighed_before = None, None, None


def attempt_id_of(passage: Passage, now_ms: int) -> str:
    """An id for the attempt under way: the first has its call's, which the ledger then keeps once."""
    return uuid7(now_ms) if passage.failed else passage.call_id


def record_of(passage: Passage, attempt_id: str, now: float) -> CallRecord:
    """The call as facts, with its attempts."""
    latency_s = now - passage.entered
    attempts = () if passage.idle else (attempt_of(passage, attempt_id, now),)
    return CallRecord(
        call_id=passage.call_id,
        started_ms=passage.started_ms,
        operation=passage.ask.endpoint.operation,
        path=passage.ask.endpoint.path,
        alias=passage.ask.alias[:256],
        caller_id=passage.caller.id,
        tags=passage.tags,
        user_hash=passage.user_hash,
        user_hash_key_id=passage.user_hash_key_id,
        status=passage.status,
        outcome=passage.outcome,
        stream=passage.streamed,
        stream_complete=passage.stream_complete,
        latency_s=latency_s,
        time_to_first_token_s=None if passage.first_byte is None else passage.first_byte - passage.entered,
        overhead_s=max(0.0, latency_s - (passage.received - passage.sent) - passage.waited_s),
        policy=passage.decision.policy,
        altered=passage.decision.altered,
        retry_count=passage.retry_count,
        idempotency_key_hash=passage.idempotency_key_hash,
        attempts=attempts if not passage.failed else (*(each.record for each in passage.failed), *attempts),
        instead=passage.instead,
    )
