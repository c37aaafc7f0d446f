"""The trace that a call belongs to, as W3C Trace Context writes it. It must never hold more than those headers and the call's times."""

import os
import re
from dataclasses import dataclass, field
from typing import Final, NamedTuple

Headers = list[tuple[bytes, bytes]]
TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"
SAMPLED: Final = 0x01
KNOWN_FLAGS: Final = 0x03
"""Sampled, and random trace id; what other bits will mean is not known, so they are not sent on."""

FIRST_VERSION: Final = b"00"
NO_VERSION: Final = b"ff"
_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_ATTEMPTS: Final = 1 << 62
"""The first bits of an attempt's span are 01, those of a call's are 10, as in the UUID that it is of: no two are the same."""

_STEP: Final = 0x1E37_79B9_7F4A_7C15
"""Between two attempts. Calls of a socket are numbered one after the other: their attempts may not be."""


class Parent(NamedTuple):
    """The caller's span: ids as hexadecimal digits, in small letters."""

    trace_id: str
    span_id: str
    flags: int


class Leg(NamedTuple):
    """An attempt on its way: its place in the order of sending, and when it was sent, monotonic seconds."""

    number: int
    sent: float


@dataclass(slots=True, kw_only=True)
class Trace:
    """Where a call that is told of stands. entered: monotonic seconds. legs: its attempts by ordinal. state: the caller's tracestate."""

    trace_id: str
    span_id: str
    parent_id: str | None
    flags: int
    state: str
    entered: float
    legs: list[Leg] = field(default_factory=list)

    def leave(self, ordinal: int, sent: float) -> bytes:
        """The traceparent that goes with attempt `ordinal`, sent at `sent`."""
        del self.legs[ordinal:]
        self.legs.append(Leg(ordinal, sent))
        return f"00-{self.trace_id}-{self.span_id_of(ordinal)}-{self.flags:02x}".encode()

    def put_last(self, ordinal: int) -> None:
        """The attempt `ordinal` is the call's last one after all."""
        if ordinal < len(self.legs):
            self.legs.append(self.legs.pop(ordinal))

    def span_id_of(self, ordinal: int) -> str:
        """The span of an attempt; it follows from the call's, so that nothing has to be kept of it."""
        number = self.legs[ordinal].number if ordinal < len(self.legs) else ordinal
        return f"{_ATTEMPTS | (int(self.span_id, 16) + number * _STEP) % _ATTEMPTS:016x}"


def parent_of(values: list[bytes]) -> Parent | None:
    """The span that `traceparent` names; None where it names none, is ill-formed, or came more than once."""
    found = _FORM.fullmatch(values[0].strip(b" \t")) if len(values) == 1 else None
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == NO_VERSION or (version == FIRST_VERSION and rest is not None):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return Parent(trace_id.decode(), span_id.decode(), int(flags, 16) & KNOWN_FLAGS)


def trace_for(call_id: str, headers: Headers, known: dict[bytes, bytes], entered: float, root_bound: int) -> Trace | None:
    """The call's place in its caller's trace, or the begin of a new one; None for a call that is not to be told of.

    call_id: a UUID, whose last 64 bits are the span's id. known: the same headers by name. root_bound: a trace that begins here is told
    of when the last 64 bits of its id are below this.
    """
    parent = parent_of([value for name, value in headers if name == TRACEPARENT]) if TRACEPARENT in known else None
    span_id = call_id[19:23] + call_id[24:]
    if parent is None:
        trace_id = os.urandom(16).hex()
        if int(trace_id[16:], 16) >= root_bound:
            return None
        return Trace(trace_id=trace_id, span_id=span_id, parent_id=None, flags=SAMPLED, state="", entered=entered)
    if not parent.flags & SAMPLED:
        return None
    state = b",".join(value for name, value in headers if name == TRACESTATE).decode("latin-1") if TRACESTATE in known else ""
    return Trace(trace_id=parent.trace_id, span_id=span_id, parent_id=parent.span_id, flags=parent.flags, state=state, entered=entered)


def with_context(headers: Headers, trace: Trace, ordinal: int, sent: float) -> Headers:
    """The headers for attempt `ordinal` with its own traceparent; the caller's tracestate goes on only where its trace does."""
    goes = (TRACEPARENT,) if trace.parent_id is not None else (TRACEPARENT, TRACESTATE)
    kept = [pair for pair in headers if pair[0] not in goes]
    kept.append((TRACEPARENT, trace.leave(ordinal, sent)))
    return kept
