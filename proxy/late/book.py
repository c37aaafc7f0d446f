"""Books ended work: one record, whoever shows it, however often. It must never fail or change the answer that showed it."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from estimators.estimate import Estimate
from proxy.call import UNKNOWN_ORIGIN, AttemptRecord, Caller, CallRecord, WeighingFacts
from proxy.clock import uuid7
from proxy.late.whose import recollect
from proxy.ledger.base import LedgerUnavailable
from proxy.objects.ids import booking_id
from proxy.objects.origins import Origin
from proxy.objects.work import Part, Work
from proxy.policy.candidates import Candidate
from proxy.rooms import Rooms
from proxy.weigh import WEIGHING_TROUBLE

_log = logging.getLogger("grammage.late")
BOOKED_LATE = "booked-late"
CREATOR_UNKNOWN = "creator-unknown"
"""Warnings on a booking: its call had ended before its work; nobody here knows that call."""

WEIGHING_FAILED = "weighing_failed"
UNNAMED = "unnamed"
MS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The answer that showed the work: who asked, whom, on which path."""

    caller: Caller
    target: Candidate
    path: str


async def book(rooms: Rooms, works: Sequence[Work], shown: Shown) -> None:
    """Records what has ended and was not recorded yet; returns once the ledger has it.

    A list shows the history of a whole account: of what it shows, only work that began here is booked.
    """
    told = [work for work in works if not work.at_once and (work.ended or work.follow)]
    await recollect(rooms, [work.object_id for work in told])
    waits = []
    for work in told:
        origin = rooms.origins.recall(work.object_id)
        if work.follow is not None:
            _follow(rooms, work.follow, origin)
        if work.ended and (not work.listed if origin is None else origin.pending):
            waits.append(await _book(rooms, work, origin, shown))
    for durable in waits:
        if durable is not None:
            await durable


def _follow(rooms: Rooms, file_id: str, origin: Origin | None) -> None:
    """The file that tells what a batch took is of the batch's origin."""
    if origin is not None and rooms.origins.recall(file_id) is None:
        rooms.origins.remember(file_id, origin)


async def _book(rooms: Rooms, work: Work, origin: Origin | None, shown: Shown) -> "asyncio.Future[None] | None":
    keeper = shown.target if origin is None or origin.candidate is None else origin.candidate
    call_id = booking_id(keeper.provider, work.booking)
    if rooms.origins.is_booked(call_id):
        return None
    rooms.origins.note_booked(call_id)
    try:
        if await _is_in_ledger(rooms, call_id):
            return None
        entry = await _record(rooms, call_id, work, origin, shown, keeper)
        rooms.observer.observe(entry)
        rooms.call_log.write(entry)
        if rooms.budgets is not None:
            rooms.budgets.settle(entry, None)
        return rooms.recorder.append(entry)
    except BaseException:
        rooms.origins.forget_booked(call_id)
        raise


async def _is_in_ledger(rooms: Rooms, call_id: str) -> bool:
    """Whether it was booked before, by another process too; where the ledger cannot say, its key decides."""
    try:
        return await asyncio.to_thread(rooms.archive.has_call, call_id)
    except LedgerUnavailable:
        return False


async def _record(rooms: Rooms, call_id: str, work: Work, origin: Origin | None, shown: Shown, keeper: Candidate) -> CallRecord:
    named = next((part.model for part in work.parts if part.model), None) or UNNAMED
    alias = named if origin is None or origin.alias == UNNAMED else origin.alias
    warnings = (BOOKED_LATE,) if origin is not None else (BOOKED_LATE, CREATOR_UNKNOWN)
    parts: Sequence[Part | None] = work.parts or (None,)
    attempts = [
        await attempt_of(
            rooms, work, part, keeper, alias, warnings, attempt_id=booking_id(keeper.provider, work.booking, str(at)), ordinal=at
        )
        for at, part in enumerate(parts)
    ]
    now_ms = rooms.clock.now_ms()
    return CallRecord(
        call_id=call_id,
        started_ms=_when(work, origin, now_ms),
        operation=work.operation,
        path=shown.path[:256],
        alias=alias[:256],
        caller_id=shown.caller.id if origin is None else origin.caller_id,
        tags=shown.caller.tags if origin is None else origin.tags,
        user_hash=None if origin is None else origin.user_hash,
        user_hash_key_id=None if origin is None else origin.user_hash_key_id,
        status=200,
        outcome="ok",
        stream=False,
        stream_complete=True,
        latency_s=0.0,
        time_to_first_token_s=None,
        overhead_s=0.0,
        policy="none",
        altered="",
        retry_count=0,
        idempotency_key_hash=None,
        attempts=tuple(attempts),
        origin_call_id=UNKNOWN_ORIGIN if origin is None or origin.call_id is None else origin.call_id,
    )


def _when(work: Work, origin: Origin | None, now_ms: int) -> int:
    """When the work ended, as the provider says it, within what is possible; else now."""
    told = (work.ended_s or 0) * MS
    earliest = origin.started_ms if origin is not None else (work.created_s or 0) * MS
    return min(max(told, earliest), now_ms) if told else now_ms


async def attempt_of(
    rooms: Rooms,
    work: Work,
    part: Part | None,
    keeper: Candidate,
    alias: str,
    warnings: tuple[str, ...],
    *,
    attempt_id: str | None = None,
    ordinal: int = 0,
) -> AttemptRecord:
    """One part of the work, weighed; without a part it stands for the whole, with the reason why nothing is."""
    model = alias if part is None or part.model is None else part.model
    estimate = None if part is None else await _weigh(rooms, work, part, keeper, model, warnings)
    reason = work.reason if part is None else None if estimate is not None else WEIGHING_FAILED
    return AttemptRecord(
        attempt_id=attempt_id or uuid7(rooms.clock.now_ms()),
        ordinal=ordinal,
        provider=keeper.provider,
        model=model if keeper.model is None else keeper.model,
        served_model=model,
        region=keeper.place.region,
        zone=keeper.place.zone,
        place_assumed=keeper.place.assumed,
        simulated=keeper.is_simulated,
        status=200,
        outcome="ok",
        upstream_request_id=None,
        usage=None if part is None else part.usage,
        estimate=estimate,
        unweighed_reason=reason,
        request_bytes=0,
        response_bytes=0,
        latency_s=0.0,
        facts=None if part is None else _facts(keeper, part, work),
    )


def _facts(keeper: Candidate, part: Part, work: Work) -> WeighingFacts:
    """What the part is weighed by: its path is that of the answer that showed it, and tells nothing."""
    return msgspec.structs.replace(keeper.facts or WeighingFacts(), weighed_as=part.weighed_as, batched=work.batched)


async def _weigh(rooms: Rooms, work: Work, part: Part, keeper: Candidate, model: str, warnings: tuple[str, ...]) -> Estimate | None:
    """The estimate of one part, made in a thread; None, with a log line, when it cannot be weighed."""
    try:
        prepared = await asyncio.to_thread(rooms.scales.prepare, keeper, model, part.weighed_as, batched=work.batched)
        estimate = prepared.estimate(part.usage)
    except WEIGHING_TROUBLE as error:
        _log.warning("work behind a call of %s could not be weighed: %s", work.operation, type(error).__name__)
        return None
    return estimate._replace(warnings=(*estimate.warnings, *warnings))
