"""Reads server-sent events out of passing bytes and decides what may leave. It must never alter an event that is not the usage's.

Three things are done to a stream, all at event borders: a usage chunk the client did not ask for is swallowed, the
`"usage":null` that forcing it brings is cut out, and what ends the stream is held back until the call is recorded.
"""

import re
from collections import deque

import msgspec

from proxy.meter.energy import ENERGY_MARK, IMPACT_MARK, Reading, read_events
from proxy.splice import append_member, decode_leniently, replace_exact

KEEP_BYTES = 256 * 1024
"""Passing bytes kept for counting, should no usage come."""

LONGEST_EVENT_BYTES = 1024 * 1024
"""An event longer than this leaves in pieces, unread."""

TAIL_BLOCKS = 8
"""Last blocks in which a provider's figure of its energy is looked for: it stands beside usage and end mark."""

_USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')
_NULL_USAGE = re.compile(rb'\s*,\s*"usage"\s*:\s*null|"usage"\s*:\s*null\s*,\s*')
_EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)
DATA_LINE = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"')
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,256})"')
_NULL = b"null"
_DONE = b"[DONE]"


class _Chunk(msgspec.Struct):
    choices: msgspec.Raw = msgspec.Raw(b"")
    usage: msgspec.Raw = msgspec.Raw(b"")


_CHUNK = msgspec.json.Decoder(_Chunk)


class Relay:
    """One stream's passage. `feed` returns what may leave now; once `finished`, `terminal` returns what was held back.

    forced: we asked for usage on the client's behalf, so it must not show.
    """

    __slots__ = (
        "_held",
        "_kept_bytes",
        "_null_form",
        "_pending",
        "_rest",
        "_tail",
        "_trailing",
        "finished",
        "forced",
        "kept",
        "seen_bytes",
        "served_model",
        "usage_raw",
    )

    def __init__(self, *, forced: bool) -> None:
        self.forced = forced
        self.finished = False
        self.kept: list[bytes] = []
        self._tail: deque[bytes] = deque(maxlen=TAIL_BLOCKS)
        self.seen_bytes = 0
        self.served_model: str | None = None
        self.usage_raw: bytes | None = None
        self._kept_bytes = 0
        self._rest = b""
        self._pending = b""
        self._trailing = b""
        self._held = b""
        self._null_form: bytes | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that may leave now, whole events only."""
        self.seen_bytes += len(chunk)
        if self.finished:
            return chunk
        data = self._rest + chunk if self._rest else chunk
        border = last_border(data)
        if border == len(data):
            self._rest = b""
        elif border:
            data, self._rest = data[:border], data[border:]
        elif len(data) > LONGEST_EVENT_BYTES:
            self._rest = b""
        else:
            self._rest = data
            return b""
        out = self._pass(data)
        if self.finished:
            self._held, self._rest = self._held + self._rest, b""
        return out

    def end(self) -> bytes:
        """What remains when the body ended without a border; the stream is finished then."""
        rest, self._rest = self._rest, b""
        out = self._pass(rest) if rest else b""
        self.finished = True
        return out

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
        if self._kept_bytes < KEEP_BYTES:
            self.kept.append(block)
            self._kept_bytes += len(block)
        if self.served_model is None and (match := _MODEL.search(block)):
            self.served_model = match.group(1).decode("utf-8", "replace")
        if self.forced:
            block = self._without_null_usage(block)
        at = 0 if self._pending else _interesting(block)
        return block if at < 0 else self._by_event(block, _event_start(block, at))

    def _by_event(self, block: bytes, start: int) -> bytes:
        """Walks the events from `start` on; those before it have nothing of interest."""
        out = [block[:start]]
        for match in _EVENT.finditer(block, start):
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


def last_border(data: bytes) -> int:
    """Just past the last blank line, 0 if there is none."""
    if data.endswith(b"\n\n"):
        return len(data)
    newline, carriage = data.rfind(b"\n\n"), data.rfind(b"\r\n\r\n")
    border = max(newline + 2 if newline >= 0 else 0, carriage + 4 if carriage >= 0 else 0)
    if not border and b"\n" not in data:
        bare = data.rfind(b"\r\r")
        border = bare + 2 if bare >= 0 else 0
    return border


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
    for match in _EVENT.finditer(block):
        data = DATA_LINE.search(match.group())
        if data is None:
            continue
        chunk = _read(data.group(1))
        if bytes(chunk.usage) == _NULL and (found := _NULL_USAGE.search(data.group(1))):
            return found.group()
    return None
