"""Takes finished calls and has them sent as spans, by a thread of its own. It must never make a call wait, nor keep more than it may."""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from proxy.call import CallRecord
from proxy.tracing.context import Headers, Trace, trace_for
from proxy.tracing.spans import Span, spans_of

_log = logging.getLogger("grammage.tracing")
MOST_WAITING: Final = 4096
"""Calls; further ones are dropped and counted while the backend does not take them."""

CALLS_AT_ONCE: Final = 16
"""In one export: making the spans of more would keep the event loop from its work for too long."""

GROUPING_S: Final = 0.5
CLOSING_S: Final = 3.0
GIVING_UP_S: Final = 1.0
ALL_IDS: Final = 1 << 64


class Door(Protocol):
    """The way out for spans."""

    def export(self, spans: Sequence[Span]) -> bool:
        """Sends spans; True when they were taken."""

    def close(self) -> None:
        """Ends a waiting export."""


class Tracer:
    """`begin` and `end` belong to the event loop. Counters, of spans: exported, failed (not taken), dropped (too many waited)."""

    def __init__(self, door: Door, *, sample_ratio: float, most_waiting: int = MOST_WAITING, grouping_s: float = GROUPING_S) -> None:
        """sample_ratio: how many of the calls whose caller has no trace are told of, 0 to 1."""
        self._door = door
        self._root_bound = round(sample_ratio * ALL_IDS)
        self._most_waiting = most_waiting
        self._grouping_s = grouping_s
        self._waiting: deque[tuple[CallRecord, Trace]] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._is_failing = False
        self.exported_total = 0
        self.failed_total = 0
        self.dropped_total = 0
        self._thread = threading.Thread(target=self._run, name="grammage-tracing", daemon=True)
        self._thread.start()

    def begin(self, call_id: str, headers: Headers, known: dict[bytes, bytes], entered: float) -> Trace | None:
        """The call's place in a trace; None for a call that is not told of. known: the same headers by name."""
        return trace_for(call_id, headers, known, entered, self._root_bound)

    def end(self, record: CallRecord, trace: Trace) -> None:
        """Takes a finished call; drops and counts it when too many wait."""
        if len(self._waiting) >= self._most_waiting:
            self.dropped_total += 1 + len(record.attempts)
            return
        self._waiting.append((record, trace))
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Sends what waits, for as long as `CLOSING_S`, and ends the thread. Blocks."""
        self._closing.set()
        self._wake.set()
        self._thread.join(CLOSING_S)
        self._door.close()
        self._thread.join(GIVING_UP_S)
        if self._waiting:
            _log.warning("%d calls were not told to the tracing backend: the proxy ended first", len(self._waiting))

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.wait(self._grouping_s)
            while self._waiting:
                self._send()
            if closing:
                return

    def _send(self) -> None:
        """One export; what came of it is counted, and logged where it is news."""
        batch = [self._waiting.popleft() for _ in range(min(CALLS_AT_ONCE, len(self._waiting)))]
        spans = [span for record, trace in batch for span in spans_of(record, trace)]
        try:
            taken = self._door.export(spans)
        except Exception:  # noqa: BLE001  # the edge of the thread: it may not die of one odd call, and no caller is there to tell
            _log.exception("%d spans could not be made", len(spans))
            taken = False
        if taken:
            self.exported_total += len(spans)
        else:
            self.failed_total += len(spans)
        if taken == self._is_failing:
            self._is_failing = not taken
            _log.warning("the tracing backend takes spans again" if taken else "the tracing backend takes no spans; they are lost")
