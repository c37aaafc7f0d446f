"""Writes one line per call and per message to standard error, by a thread. It must never write prompts, answers, keys or headers."""

import logging
import math
import os
import select
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from proxy.call import AttemptRecord, CallRecord

LONGEST_TEXT = 128
LONGEST_MESSAGE = 4_000
MOST_LINES = 20_000
LINES_AT_ONCE = 500
GROUPING_S = 0.2
CLOSING_S = 2.0
under_way: ContextVar[tuple[str, str | None] | None] = ContextVar("under_way", default=None)
"""The call that a message is about, and its trace where it has one."""


class CallLine(msgspec.Struct, omit_defaults=True):
    """The fields of a call's line, in the order they are written: sums over attempts, whose low and high are outer bounds."""

    ts: str
    level: str
    message: str
    call_id: str
    operation: str
    path: str
    alias: str
    model: str | None
    provider: str | None
    region: str | None
    zone: str | None
    simulated: bool
    policy: str
    input_tokens: int | None
    output_tokens: int | None
    gco2e: float | None
    gco2e_low: float | None
    gco2e_high: float | None
    energy_wh: float | None
    quality: str | None
    outcome: str
    status: int
    ms: float
    attempts: int
    tags: dict[str, str]
    trace_id: str | None = None
    instead: str | None = None


class MessageLine(msgspec.Struct, omit_defaults=True):
    """The fields of an ordinary message's line."""

    ts: str
    level: str
    logger: str
    message: str
    call_id: str | None = None
    trace_id: str | None = None
    exception: str | None = None


Encode = Callable[[CallLine | MessageLine], bytes]
"""Writes a line's fields, without a newline."""


class LineWriter:
    """A bounded buffer in front of a file descriptor. `put` never blocks; a stuck reader costs lines, which are counted, not calls."""

    def __init__(
        self, descriptor: int = 2, *, most_lines: int = MOST_LINES, grouping_s: float = GROUPING_S, encode: Encode | None = None
    ) -> None:
        """encode: how lines are written; None: as JSON."""
        self.encode = encode or msgspec.json.Encoder().encode
        self.dropped_total = 0
        self._descriptor = descriptor
        self._most_lines = most_lines
        self._grouping_s = grouping_s
        self._lines: deque[bytes] = deque()
        self._asleep = True
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def put(self, line: bytes) -> None:
        """Takes one line without its newline; drops and counts it when the buffer is full."""
        if len(self._lines) >= self._most_lines:
            self.dropped_total += 1
            return
        self._lines.append(line)
        if self._asleep:
            self._asleep = False
            if self._thread is None:
                self._start()
            self._wake.set()

    def flush(self, timeout_s: float = CLOSING_S) -> bool:
        """Writes what waits and ends the thread; False when the reader was stuck for `timeout_s`. A later `put` starts anew."""
        thread = self._thread
        if thread is None:
            return True
        self._closing.set()
        self._wake.set()
        thread.join(timeout_s)
        if thread.is_alive():
            return False
        self._thread, self._asleep = None, True
        return True

    def _start(self) -> None:
        self._closing.clear()
        self._thread = threading.Thread(target=self._run, name="grammage-log", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            closing = self._closing.wait(self._grouping_s)
            while self._lines:
                self._write_batch()
            self._asleep = True
            if closing:
                return
            if self._lines:
                self._asleep = False
                self._wake.set()

    def _write_batch(self) -> None:
        batch = [self._lines[index] for index in range(min(len(self._lines), LINES_AT_ONCE))]
        try:
            _write_all(self._descriptor, b"\n".join(batch) + b"\n")
        except OSError:
            self.dropped_total += len(batch)
        for _ in batch:
            self._lines.popleft()


class CallLog:
    """One INFO line per finished call."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer
        self._encode = writer.encode
        self._logger = logging.getLogger("grammage.call")

    def write(self, record: CallRecord, trace_id: str | None = None) -> None:
        """Hands the call's line to the writer, unless the level in force is above INFO. trace_id: of a call that is traced."""
        if self._logger.isEnabledFor(logging.INFO):
            line = call_line(record)
            line.trace_id = trace_id
            self._writer.put(self._encode(line))


class JsonLines(logging.Handler):
    """Turns ordinary log messages into lines of the same stream."""

    def __init__(self, writer: LineWriter) -> None:
        super().__init__()
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        """Hands the message's line to the writer."""
        exception = self._formatter.formatException(record.exc_info) if record.exc_info else None
        call_id, trace_id = under_way.get() or (None, None)
        line = MessageLine(
            ts=_timestamp(int(record.created * 1000)),
            level=record.levelname,
            logger=record.name,
            message=clean(record.getMessage(), LONGEST_MESSAGE),
            call_id=call_id,
            trace_id=trace_id,
            exception=None if exception is None else exception[-LONGEST_MESSAGE:],
        )
        self._writer.put(self._writer.encode(line))

    _formatter = logging.Formatter()


def configure_logging(level: str = "INFO", writer: LineWriter | None = None) -> LineWriter:
    """Sends every logger's messages, ours from `level` and others' from WARNING, to the writer (default: standard error); returns it."""
    writer = writer or LineWriter()
    root = logging.getLogger()
    for old in [handler for handler in root.handlers if isinstance(handler, JsonLines)]:
        root.removeHandler(old)
    root.addHandler(JsonLines(writer))
    root.setLevel(logging.WARNING)
    set_level(level)
    return writer


def set_level(level: str) -> None:
    """From which level on our own messages are written."""
    logging.getLogger("grammage").setLevel(level.upper())


def clean(text: str, longest: int = LONGEST_TEXT) -> str:
    """The text cut to `longest` characters, with control, format and line-breaking characters written as escapes."""
    cut = text if len(text) <= longest else text[:longest]
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def call_line(record: CallRecord) -> CallLine:
    """The line of a finished call: facts, sums and bounded client strings."""
    attempts = record.attempts
    served = attempts[-1] if attempts else None
    totals = _NOBODY_RAN if record.instead is not None and not attempts else _totals(attempts)
    return CallLine(
        ts=_timestamp(record.started_ms + int(record.latency_s * 1000)),
        level="INFO",
        message="call",
        call_id=record.call_id,
        operation=record.operation,
        path=clean(record.path.partition("?")[0]),
        alias=clean(record.alias),
        model=None if served is None else clean(served.served_model),
        provider=None if served is None else served.provider,
        region=None if served is None else served.region,
        zone=None if served is None else served.zone,
        simulated=served is not None and served.simulated,
        policy=clean(record.policy),
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
        gco2e=_rounded(totals.gco2e),
        gco2e_low=_rounded(totals.gco2e_low),
        gco2e_high=_rounded(totals.gco2e_high),
        energy_wh=_rounded(totals.energy_wh),
        quality=totals.quality,
        outcome=record.outcome,
        status=record.status,
        ms=round(record.latency_s * 1000, 2),
        attempts=len(attempts),
        tags={clean(name): clean(value) for name, value in record.tags},
        instead=None if record.instead is None else record.instead.kind,
    )


class _Totals(NamedTuple):
    input_tokens: int | None
    output_tokens: int | None
    gco2e: float | None
    gco2e_low: float | None
    gco2e_high: float | None
    energy_wh: float | None
    quality: str | None


_NOBODY_RAN: Final = _Totals(None, None, 0.0, 0.0, 0.0, 0.0, None)
"""A call that was answered without a model and without an attempt: its weight is known."""


def _totals(attempts: Sequence[AttemptRecord]) -> _Totals:
    if len(attempts) == 1 and (usage := attempts[0].usage) is not None and (estimate := attempts[0].estimate) is not None:
        energy_wh = estimate.facility_energy_wh.mean
        return _Totals(usage.input_tokens, usage.output_tokens, *estimate.gco2e.spread(), energy_wh, estimate.quality)
    usages = [attempt.usage for attempt in attempts if attempt.usage is not None]
    estimates = [attempt.estimate for attempt in attempts if attempt.estimate is not None]
    return _Totals(
        sum(usage.input_tokens for usage in usages) if usages else None,
        sum(usage.output_tokens for usage in usages) if usages else None,
        math.fsum(estimate.gco2e.mean for estimate in estimates) if estimates else None,
        math.fsum(estimate.gco2e.p5 for estimate in estimates) if estimates else None,
        math.fsum(estimate.gco2e.p95 for estimate in estimates) if estimates else None,
        math.fsum(estimate.facility_energy_wh.mean for estimate in estimates) if estimates else None,
        max((estimate.quality for estimate in estimates), default=None),
    )


def _rounded(quantity: float | None) -> float | None:
    return None if quantity is None else float(f"{quantity:.4g}")


def _timestamp(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            select.select((), (descriptor,), ())
