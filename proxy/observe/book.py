"""Books the calls that spans tell of: each once, weighed, recorded as all calls are. It must never block the event loop, or book half."""

import asyncio
import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxy.call import Caller, CallRecord
from proxy.errors import LedgerDown
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.crossing_store import CrossingStore
from proxy.observe.addresses import Address, points_here
from proxy.observe.answer import Refused
from proxy.observe.crossing import Crossing
from proxy.observe.deployed import Deployments
from proxy.observe.nesting import Nesting
from proxy.observe.record import call_id_of, record_of, served_by
from proxy.observe.span import NS_PER_MS, Span
from proxy.observe.understand import Told, understand
from proxy.rooms import Rooms
from proxy.weigh import Scales, WeighingRules

_log = logging.getLogger("grammage.observe")
REMEMBERED: Final = 100_000
AHEAD_MS: Final = 3_600_000
"""How far a sender's clock may be ahead of ours."""

RETRY_S: Final = 5
AT_ONCE: Final = 20
"""Calls that are weighed and recorded in one go, a millisecond or two: the calls that pass come in between."""

BOOKED, REPEATED, CROSSED, AROUND, OTHER = "counted", "repeated", "came_through_us", "around_calls", "other"
RESULTS: Final = (
    *(BOOKED, REPEATED, CROSSED, AROUND, OTHER),
    *("unknown_operation", "model_missing", "bad_usage", "bad_span", "out_of_time", "too_many"),
)
"""What becomes of spans; those from `unknown_operation` on are refused."""

_LET_GO: Final = frozenset(RESULTS[: RESULTS.index("unknown_operation")])
_WHY: Final = {
    "unknown_operation": "of an operation that is not known here",
    "model_missing": "that name no model",
    "bad_usage": "whose token counts are no counts",
    "bad_span": "without valid ids or times",
    "out_of_time": "that began too long ago, or in the future",
    "too_many": "beyond the most of one request (observe.otlp.spans)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one request holds. left_out: spans beyond the most that are read. ours: addresses under which the sender reaches us."""

    spans: Sequence[Span | None]
    left_out: int
    ours: tuple[Address, ...]


class Book:
    """The memory and the scales of the receiver; belongs to one event loop. count: hears how many spans came to which result."""

    def __init__(self, rooms: Rooms, ledger: CrossingStore, count: Callable[[str, int], None]) -> None:
        weighing = rooms.settings.weighing
        rules = WeighingRules(operating_prior=weighing.operating_prior, profile=weighing.profile, methods=tuple(weighing.methods))
        otlp = rooms.settings.observe.otlp
        self._rooms = rooms
        self._ledger = ledger
        self._count = count
        self._oldest_ms = 0 if otlp is None else int(otlp.oldest * 1000)
        self._scales = Scales(rooms.tables, rules)  # its own: what strangers name must not push out what calls are weighed by
        self._deployments = Deployments(rooms.candidates, rooms.tables)
        self._crossing = Crossing(ledger, rooms.tables.places, rooms.tables.catalogue)
        self._nesting = Nesting()
        self._booked: OrderedDict[str, None] = OrderedDict()
        self._is_remembered = False
        self._one_at_a_time = asyncio.Lock()

    async def take(self, batch: Batch, caller: Caller) -> Refused:
        """Books the calls of the batch; returns once they are kept. Raises LedgerDown: nothing was booked, send it again."""
        async with self._one_at_a_time:
            results: Counter[str] = Counter({"too_many": batch.left_out} if batch.left_out else {})
            calls = await asyncio.to_thread(self._read, batch, results)
            waits: list[asyncio.Future[None] | None] = []
            try:
                for at in range(0, len(calls), AT_ONCE):
                    records = await asyncio.to_thread(self._records, calls[at : at + AT_ONCE], caller)
                    waits += [self._hand_in(record) for record in records]
            except BaseException:
                self._forget(calls)
                raise
        await asyncio.gather(*(each for each in waits if each is not None))
        for result, spans in results.items():
            self._count(result, spans)
        return _refused(results)

    def _read(self, batch: Batch, results: Counter[str]) -> list[Told]:
        """The calls that are to be recorded; in a thread, one at a time. Raises LedgerDown: nothing of it is remembered."""
        fresh = self._fresh(self._calls(batch.spans, results), results)
        try:
            return self._unknown(fresh, batch.ours, results)
        except LedgerUnavailable as error:
            self._forget(fresh)
            raise _down() from error
        except BaseException:
            self._forget(fresh)
            raise

    def _calls(self, spans: Iterable[Span | None], results: Counter[str]) -> list[Told]:
        """Calls that are to be counted, those that ended first before the others: what stands around others comes after them."""
        now_ms = self._rooms.clock.now_ms()
        latest_ns = (now_ms + AHEAD_MS) * NS_PER_MS
        calls = []
        for span in sorted((each for each in spans if each is not None), key=lambda each: (each.end_ns, -each.start_ns)):
            told = understand(span)
            if not isinstance(told, Told):
                if told == CROSSED:
                    self._nesting.counts(span)  # for the spans around it
                else:
                    self._nesting.pass_by(span)
                results[OTHER if told == "not_a_call" else told] += 1
            elif span.start_ms < now_ms - self._oldest_ms or not span.start_ns <= span.end_ns <= latest_ns:
                results["out_of_time"] += 1
            elif not self._nesting.counts(span):
                results[AROUND] += 1
            else:
                calls.append(told)
        results["bad_span"] += sum(1 for each in spans if each is None)
        return calls

    def _fresh(self, calls: Iterable[Told], results: Counter[str]) -> list[Told]:
        """Calls that are not known to be booked; from here on they are."""
        fresh = []
        for told in calls:
            call_id = call_id_of(told.span)
            if call_id in self._booked:
                results[REPEATED] += 1
                continue
            self._booked[call_id] = None
            if len(self._booked) > REMEMBERED:
                self._booked.popitem(last=False)
            fresh.append(told)
        return fresh

    def _forget(self, calls: Iterable[Told]) -> None:
        for told in calls:
            self._booked.pop(call_id_of(told.span), None)

    def _unknown(self, calls: Sequence[Told], ours: tuple[Address, ...], results: Counter[str]) -> list[Told]:
        """Those of the calls that the ledger does not hold. Raises LedgerUnavailable."""
        if calls and not self._is_remembered:
            self._ledger.remember(self._rooms.clock.now_ms())
            self._is_remembered = True
        known = self._ledger.known([call_id_of(told.span) for told in calls]) if calls else set()
        new = [told for told in calls if call_id_of(told.span) not in known]
        crossed = self._crossing.crossed(new, ours)
        results[REPEATED] += len(calls) - len(new)
        results[CROSSED] += len(crossed)
        results[BOOKED] += len(new) - len(crossed)
        return [_around_us(told, ours) for at, told in enumerate(new) if at not in crossed]

    def _records(self, calls: Iterable[Told], caller: Caller) -> list[CallRecord]:
        """The calls, weighed; in a thread."""
        served = [(told, self._deployments.of(told)) for told in calls]
        usual = self._rooms.scales.usual_output_tokens
        return [record_of(served_by(told, who), caller, who, self._scales, usual(told.alias)) for told, who in served]

    def _hand_in(self, record: CallRecord) -> "asyncio.Future[None] | None":
        """As the corridor does with its own calls."""
        rooms = self._rooms
        future = rooms.recorder.append(record)
        if rooms.budgets is not None:
            rooms.budgets.settle(record, None)
        rooms.observer.observe(record)
        rooms.call_log.write(record)
        return future


def _around_us(told: Told, ours: tuple[Address, ...]) -> Told:
    """The call without its address where that is ours: it did not come here, and who took it instead is not told."""
    return replace(told, host=None, port=None) if points_here(told.host, told.port, ours) else told


def _down() -> LedgerDown:
    error = LedgerDown("the ledger cannot tell now which of these calls it holds; send them again.")
    error.headers = ((b"retry-after", b"%d" % RETRY_S),)
    return error


def _refused(results: Counter[str]) -> Refused:
    """What was refused, in one sentence."""
    told = {result: spans for result, spans in results.items() if spans and result not in _LET_GO}
    message = "; ".join(f"{spans} {_WHY[result]}" for result, spans in sorted(told.items()))
    return Refused(spans=sum(told.values()), message=f"spans not taken: {message}" if told else "")
