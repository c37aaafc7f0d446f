"""Calls outside the table of endpoints that begin work, as records: what they asked for, under which id it is kept. It must never send."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from proxy.attribute import Tags, attribute
from proxy.call import PENDING, AttemptRecord, Caller, CallRecord, Outcome
from proxy.clock import uuid7
from proxy.endpoints.base import Ask, Head
from proxy.endpoints.reading import decoded
from proxy.endpoints.responses import RESPONSES
from proxy.late.book import UNNAMED, attempt_of
from proxy.objects.origins import Origin
from proxy.objects.paths import UNMETERED, Making
from proxy.objects.work import Work
from proxy.policy.candidates import Candidate
from proxy.rooms import Rooms
from proxy.upstream.base import Headers

NOT_GENERATED = "not_generated"
LONGEST_ALIAS = 256
GOOD = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the request of such a call says. named: ids of what the provider keeps."""

    alias: str = UNNAMED
    tags: Tags = ()
    named: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A call that went through, once it is over. Durations in seconds."""

    call_id: str
    started_ms: int
    path: str
    caller: Caller
    target: Candidate
    status: int
    outcome: Outcome
    latency_s: float
    request_bytes: int
    response_bytes: int
    operation: str = UNMETERED
    asked: Asked = field(default_factory=Asked)


def read_asked(rooms: Rooms, caller: Caller, headers: Headers, making: Making, body: bytes) -> Asked:
    """The model, the tags and the references in the body of a call that begins work. Raises BadRequest (invalid_tag)."""
    found = decoded(body)
    request: dict[str, Any] = found if isinstance(found, dict) else {}
    model = request.get("model") if making.names_model else None
    alias = model if isinstance(model, str) and 0 < len(model) <= LONGEST_ALIAS and model.isprintable() else UNNAMED
    metadata = request.get("metadata")
    head = Head(metadata=msgspec.Raw(json.dumps(metadata if isinstance(metadata, dict) else {}).encode()))
    ask = Ask(endpoint=RESPONSES, body=b"", alias=alias, stream=False, wants_usage=False, head=head, content_bytes=0)
    named = tuple(value for name in making.refers if isinstance(value := request.get(name), str) and value)
    return Asked(alias=alias, tags=attribute(caller, headers, ask, rooms.metadata_tags), named=named)


async def made(rooms: Rooms, passed: Passed, works: Sequence[Work]) -> CallRecord:
    """The record of a call that began work: kept by the work's id and weighed later, or weighed now where its answer says all."""
    work = works[0] if works else None
    if passed.status not in GOOD:
        return record_of(passed, _plain(passed, NOT_GENERATED))
    if work is None:
        return record_of(passed, _plain(passed, UNMETERED))
    if not work.at_once:
        entry = record_of(passed, _plain(passed, PENDING, object_id=work.object_id))
        rooms.origins.remember(work.object_id, origin_of_record(entry, passed.target))
        return entry
    parts = work.parts or (None,)
    attempts = [await attempt_of(rooms, work, part, passed.target, passed.asked.alias, (), ordinal=at) for at, part in enumerate(parts)]
    weighed = msgspec.structs.replace(
        attempts[0],
        upstream_object_id=work.object_id or None,
        request_bytes=passed.request_bytes,
        response_bytes=passed.response_bytes,
        latency_s=passed.latency_s,
    )
    return record_of(passed, weighed, *attempts[1:])


def origin_of_record(entry: CallRecord, target: Candidate) -> Origin:
    """Whose the work is that the recorded call began."""
    return Origin(
        call_id=entry.call_id,
        started_ms=entry.started_ms,
        alias=entry.alias,
        caller_id=entry.caller_id,
        tags=entry.tags,
        candidate=target,
        pending=True,
    )


def unmetered(passed: Passed) -> CallRecord:
    """An unmetered call's facts: no usage, no estimate, and that is said."""
    return record_of(passed, _plain(passed, UNMETERED))


def _plain(passed: Passed, reason: str, *, object_id: str | None = None) -> AttemptRecord:
    target, model = passed.target, passed.asked.alias if passed.operation != UNMETERED else UNMETERED
    return AttemptRecord(
        attempt_id=uuid7(passed.started_ms), ordinal=0, provider=target.provider, model=model, served_model=model,
        region=target.place.region, zone=target.place.zone, place_assumed=target.place.assumed, simulated=target.is_simulated,
        status=passed.status, outcome=passed.outcome, upstream_request_id=None, usage=None, estimate=None, unweighed_reason=reason,
        request_bytes=passed.request_bytes, response_bytes=passed.response_bytes, latency_s=passed.latency_s,
        upstream_object_id=object_id,
    )  # fmt: skip


def record_of(passed: Passed, *attempts: AttemptRecord) -> CallRecord:
    """The call with its attempts."""
    alias = passed.asked.alias if passed.operation != UNMETERED else UNMETERED
    return CallRecord(
        call_id=passed.call_id, started_ms=passed.started_ms, operation=passed.operation, path=passed.path[:256], alias=alias,
        caller_id=passed.caller.id, tags=passed.asked.tags or passed.caller.tags, user_hash=None, user_hash_key_id=None,
        status=passed.status, outcome=passed.outcome, stream=False, stream_complete=passed.outcome == "ok",
        latency_s=passed.latency_s, time_to_first_token_s=None, overhead_s=0.0, policy="none", altered="", retry_count=0,
        idempotency_key_hash=None, attempts=attempts,
    )  # fmt: skip
