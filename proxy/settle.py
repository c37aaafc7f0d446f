"""Ends a call: its usage is counted, weighed and recorded, whatever became of it. It must never fail or hold back the client's answer."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

import msgspec

from estimators.estimate import Estimate
from estimators.prepared import Prepared
from estimators.together import together
from estimators.usage import Usage
from proxy.beside import decision_record
from proxy.budgets.keeper import Holding
from proxy.call import CallRecord
from proxy.meter.energy import Reading
from proxy.meter.fallback import (
    count_prompt,
    count_stream,
    count_whole,
    guess_input_tokens,
    may_hold_untold_pictures,
    with_shown_pictures,
)
from proxy.meter.families import is_known
from proxy.meter.reply import ReplyHead
from proxy.meter.usage import read_usage, with_earlier
from proxy.meters.board import SILENT, Board
from proxy.moment import note_latency
from proxy.objects.origins import Origin
from proxy.objects.split import split
from proxy.passage import Passage, attempt_id_of, record_of
from proxy.rooms import Rooms
from proxy.shadow import Weighed
from proxy.tracing.context import Trace
from proxy.weigh import WEIGHING_TROUBLE, choices_of

_log = logging.getLogger("grammage.settle")
NOT_GENERATED = "not_generated"
READ_AT_ONCE_BYTES = 64 * 1024
"""A longer prompt, the pictures in it not counted, is read in a thread."""

LONGEST_ID = 128
UNFINISHED = "unfinished"
"""The answer only says that the work has begun: what it takes is not known yet."""


async def meter_whole(rooms: Rooms, passage: Passage, body: bytes, head: ReplyHead) -> None:
    """Usage of a whole answer without one: counted in a thread, or guessed for an answer that cannot be read.

    An answer that is nothing but an error generated nothing; one whose work goes on behind it is not weighed yet.
    """
    if head.is_error:
        return
    unfinished = passage.ask.endpoint.unfinished
    if unfinished is not None and unfinished(body):
        passage.unweighed_reason = UNFINISHED
        return
    if head.readable or passage.ask.endpoint.plain:
        passage.usage = await asyncio.to_thread(count_whole, passage.ask, body, _counted_as(passage))
        return
    likely = rooms.scales.likely_output_tokens(passage.ask)
    passage.usage = Usage(input_tokens=guess_input_tokens(passage.ask), output_tokens=likely, source="estimated")


async def meter_stream(passage: Passage, usage_raw: bytes | None, kept: Sequence[bytes], seen_bytes: int) -> None:
    """Usage of a stream: the provider's when the stream came to its end, else counted on what was seen."""
    usage = (passage.ask.endpoint.usage_reader or read_usage)(usage_raw) if usage_raw else None
    partial = not passage.stream_complete
    if usage is None or partial:
        counted = await asyncio.to_thread(count_stream, passage.ask, kept, seen_bytes, partial=partial, model=_counted_as(passage))
        usage = counted if usage is None else _larger(usage, counted)
    passage.usage = usage


def add_earlier(passage: Passage, earlier: Sequence[bytes]) -> None:
    """Adds what earlier parts of the same stream told: each picture of several has an event, and a usage, of its own."""
    if passage.usage is not None and earlier:
        passage.usage = with_earlier(passage.usage, earlier)


def _counted_as(passage: Passage) -> str:
    """The name whose family counts: the first that names one, of what was served, what was asked for, and what it is weighed as."""
    names = (passage.weighed_model, passage.model, passage.candidate.weigh_as, passage.ask.alias)
    return next((name for name in names if name and is_known(name)), passage.weighed_model)


def take_reading(passage: Passage, reading: Reading | None) -> None:
    """Puts the energy that the provider returned on the passage's usage; an answer that was cut has a figure for a part of it at most."""
    usage = passage.usage
    if reading is None or usage is None or usage.partial:
        return
    passage.meter_warnings = reading.warnings
    if reading.metered is not None:
        passage.usage = replace(usage, metered=reading.metered)


def add_facts(passage: Passage, answer: bytes) -> None:
    """Puts on the passage's usage what request and answer say beyond tokens: pictures, their size, characters spoken."""
    usage_of = passage.ask.endpoint.usage_of
    if usage_of is not None and passage.usage is not None:
        passage.usage = usage_of(passage.ask, answer, passage.usage)


def note_object(passage: Passage, answer: bytes) -> None:
    """Keeps the id under which the provider keeps the answer; nothing is read of endpoints whose answers are not kept."""
    kept_as = passage.ask.endpoint.kept_as
    found = kept_as(passage.ask, answer) if kept_as is not None else None
    if found and len(found) <= LONGEST_ID and found.isprintable():
        passage.object_id = found


async def meter_nothing_seen(passage: Passage) -> None:
    """Usage when the client left before any answer: the prompt is counted, the answer is unknown, but for what is held of it."""
    if (held := passage.held) is not None and held.seen_bytes:
        await meter_stream(passage, held.usage_raw, held.kept, held.seen_bytes)
        add_facts(passage, held.answer)
        return
    counted = await asyncio.to_thread(count_prompt, passage.ask, _counted_as(passage))
    passage.usage = replace(counted, source="estimated", partial=True)
    add_facts(passage, b"")


def _larger(reported: Usage, counted: Usage) -> Usage:
    """Of a running count by the provider and ours, the one that saw more of the answer; both are partial."""
    if counted.output_tokens > reported.output_tokens:
        return counted
    return replace(reported, partial=True)


async def prepared_for(rooms: Rooms, passage: Passage) -> Prepared | None:
    """The method bound to the passage's model and place, made in a thread the first time; None, with a reason, when that fails."""
    candidate, model, operation = passage.candidate, passage.weighed_model, passage.ask.endpoint.weighed_as
    prepared = rooms.scales.known(candidate, model, operation)
    if prepared is not None:
        return prepared
    try:
        return await asyncio.to_thread(rooms.scales.prepare, candidate, model, operation)
    except WEIGHING_TROUBLE as error:
        _unweighed(passage, error)
        return None


async def weigh(rooms: Rooms, passage: Passage) -> Estimate | None:
    """The estimate of the passage's usage, kept on it; None, with a reason, when it cannot be weighed."""
    usage = passage.usage
    if usage is None:
        return None
    prepared = rooms.scales.known(passage.candidate, passage.weighed_model, passage.ask.endpoint.weighed_as)
    if prepared is None:
        prepared = await prepared_for(rooms, passage)
    if prepared is None:
        return None
    if may_hold_untold_pictures(passage.ask, usage, read_by := _counted_as(passage)):
        told = passage.ask, usage, read_by
        is_short = passage.ask.content_bytes < READ_AT_ONCE_BYTES
        usage = passage.usage = with_shown_pictures(*told) if is_short else await asyncio.to_thread(with_shown_pictures, *told)
    try:
        if rooms.meters is not None:
            usage = _by_own_meter(rooms.meters, passage, prepared, usage)
        most = passage.possible_output_tokens = rooms.scales.most_output_tokens(passage.ask) if usage.partial else None
        travelled = passage.request_bytes + passage.response_bytes
        estimate = prepared.estimate(usage, possible_output_tokens=most, network_bytes=travelled)
        if passage.meter_warnings:
            estimate = estimate._replace(warnings=(*estimate.warnings, *passage.meter_warnings))
        passage.estimate = estimate
        if rooms.intensity is not None:
            passage.hour = rooms.intensity.hour(passage.candidate.place.zone)
    except WEIGHING_TROUBLE as error:
        _unweighed(passage, error)
        return None
    if not usage.partial and usage.output_tokens and passage.ask.endpoint.writes:
        rooms.scales.learn(passage.ask.alias, usage.output_tokens / choices_of(passage.ask), passage.tags)
    return passage.estimate


def weighed_before(passage: Passage) -> Estimate | None:
    """What the present attempt was found to weigh before another one took its place for a while; None where it was not weighed yet."""
    if passage.weighed_before is None:
        return None
    passage.usage, passage.estimate = passage.weighed_before
    return passage.estimate


def of_call(passage: Passage, estimate: Estimate) -> Estimate:
    """What the whole call weighs, where `estimate` is its last attempt's: the attempts before it may have generated too."""
    if not passage.failed:
        return estimate
    before = [failed.record.estimate for failed in passage.failed if failed.record.estimate is not None]
    return together([*before, estimate])


def spent_before(passage: Passage) -> Estimate | None:
    """What the attempts before the present one weigh together; None where there was none that is weighed."""
    before = [failed.record.estimate for failed in passage.failed if failed.record.estimate is not None]
    return together(before) if before else None


def _by_own_meter(meters: Board, passage: Passage, prepared: Prepared, usage: Usage) -> Usage:
    """The usage with its share of the deployment's own meter; as it was where there is none, or the provider's figure is there already.

    A call that was cut is noted, so that others do not pay for it, and weighed by the model: how far the provider went on is not known.
    """
    meter = meters.of(passage.candidate)
    if meter is None:
        return usage
    metered = meter.share(prepared.gpu_energy_j(usage).mean, passage.sent, passage.received)
    if usage.metered is not None or usage.partial:
        return usage
    if metered is None:
        passage.meter_warnings = (*passage.meter_warnings, SILENT)
        return usage
    passage.usage = replace(usage, metered=metered)
    return passage.usage


def _unweighed(passage: Passage, error: Exception) -> None:
    _log.warning("call %s could not be weighed: %s", passage.call_id, type(error).__name__)
    passage.unweighed_reason = "weighing_failed"


def record(rooms: Rooms, passage: Passage) -> "asyncio.Future[None] | None":
    """Hands the call to the ledger, the metrics and the log; the future, if any, resolves when the ledger has it."""
    if passage.estimate is None and passage.unweighed_reason is None:
        passage.unweighed_reason = NOT_GENERATED
    entry = record_of(passage, attempt_id_of(passage, rooms.clock.now_ms()), rooms.clock.perf())
    passage.recorded = True
    if passage.decided is not None:
        entry = msgspec.structs.replace(entry, decision=passage.decided)
    elif passage.decision.verdict is not None:
        entry = msgspec.structs.replace(entry, decision=decision_record(rooms, passage, passage.decision.verdict))
    if passage.object_id is not None:
        entry = _begin(rooms, passage, passage.object_id, entry)
    if rooms.latencies is not None:
        note_latency(rooms.latencies, passage)
    passage.entry = entry
    return _hand_in(rooms, entry, passage.holding, passage.trace)


def _hand_in(rooms: Rooms, entry: CallRecord, holding: Holding | None = None, trace: Trace | None = None) -> "asyncio.Future[None] | None":
    future = rooms.recorder.append(entry)
    if rooms.budgets is not None:
        rooms.budgets.settle(entry, holding)
    rooms.observer.observe(entry)
    if trace is None:
        rooms.call_log.write(entry)
    else:
        rooms.call_log.write(entry, trace.trace_id)
        if rooms.tracer is not None:
            rooms.tracer.end(entry, trace)
    return future


def _begin(rooms: Rooms, passage: Passage, object_id: str, entry: CallRecord) -> CallRecord:
    """Remembers whose the object is; work that goes on behind the answer is booked apart, under the object's own id."""
    goes_on = passage.ask.endpoint.goes_on
    pending = goes_on is not None and goes_on(passage.ask)
    late = None
    if pending:
        entry, late = split(entry, object_id)
    origin = Origin(
        call_id=entry.call_id,
        started_ms=entry.started_ms,
        alias=entry.alias,
        caller_id=entry.caller_id,
        tags=entry.tags,
        candidate=passage.candidate,
        pending=pending,
        user_hash=entry.user_hash,
        user_hash_key_id=entry.user_hash_key_id,
    )
    rooms.origins.remember(object_id, origin)
    if late is not None and not rooms.origins.is_booked(late.call_id):
        rooms.origins.note_booked(late.call_id)
        _hand_in(rooms, late)
    return entry


def weigh_in_shadow(rooms: Rooms, passage: Passage) -> None:
    """Hands a recorded call to the methods that run beside the chosen one; for when its answer has left."""
    entry = passage.entry
    if not rooms.shadow_scales or entry is None or entry.instead is not None:
        return
    tried = [*(failed.candidate for failed in passage.failed), passage.candidate]
    for attempt in entry.attempts:
        usage = attempt.usage
        if usage is None:
            continue
        weighed = Weighed(
            record=entry,
            ordinal=attempt.ordinal,
            candidate=tried[attempt.ordinal],
            model=attempt.served_model,
            operation=passage.ask.endpoint.weighed_as,
            usage=usage,
            possible_output_tokens=rooms.scales.most_output_tokens(passage.ask) if usage.partial else None,
            network_bytes=attempt.request_bytes + attempt.response_bytes,
        )
        rooms.shadows.take(weighed, rooms.shadow_scales)
