"""Reads server-sent events out of passing bytes and decides what may leave. It must never alter an event that is not the usage's.

Three things are done to a stream, all at event borders: a usage chunk the client did not ask for is swallowed, the
`"usage":null` that forcing it brings is cut out, and what ends the stream is held back until the call is recorded.
"""

import re
from collections import deque

import msgspec

from proxy.meter.energy import ENERGY_MARK, IMPACT_MARK, Reading, read_events
from proxy.meter.events import DATA_LINE, EVENT, EventCutter, last_border
from proxy.splice import append_member, decode_leniently, replace_exact

TAIL_BLOCKS = 8
"""Last blocks in which a provider's figure of its energy is looked for: it stands beside usage and end mark."""

_USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')
_NULL_USAGE = re.compile(rb'\s*,\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,\s*')
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,256})"')
_NULL = b"null"
_DONE = b"[DONE]"


class _Chunk(msgspec.Struct):
    choices: msgspec.Raw = msgspec.Raw(b"")
    usage: msgspec.Raw = msgspec.Raw(b"")


_CHUNK = msgspec.json.Decoder(_Chunk)


class Relay(EventCutter):
    """One stream's passage. `feed` returns what may leave now; once `finished`, `terminal` returns what was held back.

    forced: we asked for usage on the client's behalf, so it must not show.
    """

    __slots__ = ("_null_form", "_tail", "forced", "usage_raw")

    def __init__(self, *, forced: bool) -> None:
        super().__init__()
        self.forced = forced
        self.usage_raw: bytes | None = None
        self._tail: deque[bytes] = deque(maxlen=TAIL_BLOCKS)
        self._null_form: bytes | None = None

    def terminal(self, footprint: bytes | None) -> bytes:
        """What was held back: the usage event (with `footprint`, a JSON member, spliced in; gone if forced), then the end mark."""
        event, self._pending = self._pending, b""
        held, self._held = self._held, b""
        if event and self.forced:
            event = b""
        elif event and footprint and self.usage_raw:
            event = replace_exact(event, "usage", self.usage_raw, append_member(self.usage_raw, footprint))
        trailing, self._trailing = self._trailing, b""
        return event + trailing + held

    @property
    def answer(self) -> bytes:
        """What the end mark says of the answer: nothing."""
        return b""

    @property
    def reading(self) -> Reading | None:
        """The energy that the stream stated at its end, if any."""
        tail = b"".join(self._tail)
        return read_events(tail) if ENERGY_MARK in tail or IMPACT_MARK in tail else None

    def _pass(self, block: bytes) -> bytes:
        self._tail.append(block)
        self._keep(block)
        if self.served_model is None and (match := _MODEL.search(block)):
            self.served_model = match.group(1).decode("utf-8", "replace")
        if self.forced:
            block = self._without_null_usage(block)
        at = 0 if self._pending else _interesting(block)
        return block if at < 0 else self._by_event(block, _event_start(block, at))

    def _by_event(self, block: bytes, start: int) -> bytes:
        """Walks the events from `start` on; those before it have nothing of interest."""
        out = [block[:start]]
        for match in EVENT.finditer(block, start):
            event = match.group()
            if not event:
                continue
            if self.finished:
                self._held += event
                continue
            out.append(self._one(event))
        return b"".join(out)

    def _one(self, event: bytes) -> bytes:
        payload = b"\n".join(DATA_LINE.findall(event)).strip()
        if payload == _DONE:
            self.finished = True
            self._held = event
            return b""
        if not payload and self._pending:
            self._trailing += event  # a comment or a blank line after what may be the last event
            return b""
        before = self._release()
        if b'"usage"' in payload and self._carries_usage(payload):
            self._pending = event
            return before
        return before + event

    def _carries_usage(self, payload: bytes) -> bool:
        """Notes the usage in `payload`; True when it may be the last event that carries one, so that it is held until the next."""
        chunk = _read(payload)
        usage = bytes(chunk.usage)
        if not usage.startswith(b"{"):
            return False
        self.usage_raw = usage
        alone = bytes(chunk.choices).translate(None, b" \t\r\n") == b"[]"
        return alone or (not self.forced and _FINISHED.search(payload) is not None)

    def _release(self) -> bytes:
        """A usage event that was not the last one leaves as it came, or not at all."""
        event, self._pending = self._pending, b""
        trailing, self._trailing = self._trailing, b""
        return trailing if self.forced else event + trailing

    def _without_null_usage(self, block: bytes) -> bytes:
        if b'"usage"' not in block:
            return block
        if self._null_form is None:
            self._null_form = _null_form(block)
        form = self._null_form
        return block.replace(form, b"") if form else block


def _read(payload: bytes) -> _Chunk:
    """The two members that matter; an empty chunk when the payload is not a JSON object."""
    try:
        return decode_leniently(_CHUNK, payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Chunk()


def _interesting(block: bytes) -> int:
    """Where the first usage object or end mark stands, -1 if there is none. Plain searches: a regular expression costs ten times that."""
    usage = block.find(b'"usage"')
    while usage >= 0 and not _USAGE_OBJECT.match(block, usage):
        usage = block.find(b'"usage"', usage + 7)
    done = block.find(_DONE)
    return done if usage < 0 or 0 <= done < usage else usage


def _event_start(block: bytes, at: int) -> int:
    """Where the event that holds position `at` begins."""
    return last_border(block[:at])


def _null_form(block: bytes) -> bytes | None:
    """How this provider spells a top-level `"usage":null`, empty if it writes none; None while no event has told."""
    for match in EVENT.finditer(block):
        data = DATA_LINE.search(match.group())
        if data is None:
            continue
        chunk = _read(data.group(1))
        if bytes(chunk.usage) == _NULL and (found := _NULL_USAGE.search(data.group(1))):
            return found.group()
    return None
