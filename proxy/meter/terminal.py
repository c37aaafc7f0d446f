"""Reads a stream that ends with an event carrying its usage: Responses, pictures, speech. It must never hold a picture in memory.

Events leave as they came; the terminal one is held back until the call is recorded. Of an event too long to be held, such as a
picture, only the end from its usage on is.
"""

import json
import re
from typing import Any

import msgspec

from proxy.meter.energy import Reading
from proxy.meter.events import DATA_LINE, EVENT, KEEP_BYTES, last_border
from proxy.splice import append_member, decode_leniently, find_member

LONGEST_HELD_BYTES = 256 * 1024
HEAD_BYTES = 2048
"""What is kept of the beginning of a longer event, and of what left last: its type, size and quality stand there."""

WINDOW_BYTES = 32
"""Held back of a longer event while no usage shows: more than a key or a border that two chunks share."""

_BORDER = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_USAGE = re.compile(rb'"(?:tool_)?usage"\s*:\s*\{')
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,256})"')
_NAME = re.compile(rb"^event:[ ]?([^\r\n]+)", re.MULTILINE)
_FIRST_TYPE = re.compile(rb'^data:[ ]?\{\s*"type"\s*:\s*"([^"\\]{1,64})"', re.MULTILINE)
_TYPE = re.compile(rb'"type"\s*:\s*"([^"\\]{1,64})"')
_EMPTY = msgspec.Raw(b"")


class _Event(msgspec.Struct):
    type: Any = None
    response: msgspec.Raw = _EMPTY
    usage: msgspec.Raw = _EMPTY
    model: Any = None


_DECODER = msgspec.json.Decoder(_Event)
_FINDER = json.JSONDecoder()


class TerminalRelay:
    """One stream's passage. `feed` returns what may leave now; once `finished`, `terminal` returns what was held back.

    usage_raw: the usage of the last terminal event, as it stands there; earlier: those of the ones before it. answer: the last one, long
    payloads left out.
    """

    __slots__ = (
        "_after",
        "_expected",
        "_head",
        "_held",
        "_keeps",
        "_kept_bytes",
        "_marks",
        "_open",
        "_passed_usage",
        "_recent",
        "_rest",
        "_terminals",
        "_usage_at",
        "answer",
        "earlier",
        "finished",
        "kept",
        "seen_bytes",
        "served_model",
        "usage_raw",
    )

    def __init__(self, events: tuple[str, ...], *, expected: int = 1, keeps: bool = True) -> None:
        """events: types that end the stream. expected: how many of them come. keeps: what passes may have to be counted."""
        self._marks = tuple(event.encode() for event in events)
        self._expected = expected
        self._keeps = keeps
        self._kept_bytes = 0
        self._rest = b""
        self._head = b""
        self._recent = b""
        self._passed_usage: bytes | None = None
        self._open = False
        self._held = b""
        self._usage_at = -1
        self._after = b""
        self._terminals = 0
        self.answer = b""
        self.earlier: tuple[bytes, ...] = ()
        self.finished = False
        self.kept: list[bytes] = []
        self.seen_bytes = 0
        self.served_model: str | None = None
        self.usage_raw: bytes | None = None

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that may leave now."""
        self.seen_bytes += len(chunk)
        if self.finished:
            return chunk
        return self._take(self._rest + chunk if self._rest else chunk)

    def end(self) -> bytes:
        """What remains when the body ended without a border; the stream is finished then."""
        rest, self._rest = self._rest, b""
        out = self._close(rest) if self._open else self._pass(rest)
        self.finished = True
        return out

    def terminal(self, footprint: bytes | None) -> bytes:
        """What was held back: the terminal event, with `footprint`, a JSON member, in its usage; then what came after it."""
        event, self._held = self._held, b""
        after, self._after = self._after, b""
        if footprint and self.usage_raw and self._usage_at >= 0:
            end = self._usage_at + len(self.usage_raw)
            event = event[: self._usage_at] + append_member(self.usage_raw, footprint) + event[end:]
        return event + after

    @property
    def reading(self) -> Reading | None:
        """No provider is known to state its energy in such a stream."""
        return None

    def _take(self, data: bytes) -> bytes:
        out = []
        while data:
            if self._open:
                border = _BORDER.search(data)
                if border is None:
                    out.append(self._window(data))
                    break
                out.append(self._close(data[: border.end()]))
                data = data[border.end() :]
            else:
                cut = last_border(data)
                block, data = data[:cut], data[cut:]
                out.append(self._pass(block) if block else b"")
                self._rest = data
                if not self.finished and len(data) > LONGEST_HELD_BYTES:
                    self._open, self._head, self._rest = True, data[:HEAD_BYTES], b""
                    continue
                data = b""
            if self.finished:
                self._after += self._rest + data
                self._rest = data = b""
        return b"".join(out)

    def _pass(self, block: bytes) -> bytes:
        """Whole events: only blocks that name a terminal one are looked into."""
        if self._keeps and self._kept_bytes < KEEP_BYTES:
            self.kept.append(block)
            self._kept_bytes += len(block)
            if self.served_model is None and (match := _MODEL.search(block)):
                self.served_model = match.group(1).decode("utf-8", "replace")
        if not self._held and not any(mark in block for mark in self._marks):
            return block
        out = []
        for match in EVENT.finditer(block):
            event = match.group()
            if self.finished:
                self._after += event
            elif event:
                out.append(self._one(event))
        return b"".join(out)

    def _one(self, event: bytes) -> bytes:
        """The event, or, when it is a terminal one, the one that was held before it."""
        payload = b"\n".join(DATA_LINE.findall(event))
        found = _read(payload)
        name = _NAME.search(event)
        kind = found.type.encode() if isinstance(found.type, str) else name.group(1) if name else b""
        if kind not in self._marks:
            return self._release() + event
        before = self._release()
        inner = _read(bytes(found.response)) if bytes(found.response)[:1] == b"{" else found
        if isinstance(inner.model, str):
            self.served_model = inner.model[:256]
        raw = bytes(inner.usage)
        if raw[:1] == b"{":
            self._hold(event, payload, raw, _offset(event, raw, nested=inner is not found))
        else:
            self._hold(event, payload, None, -1)
        return before

    def _window(self, data: bytes) -> bytes:
        """What may leave of a long event that goes on: all before its usage, and all but a little while none shows."""
        if self._may_end():
            found = _USAGE.search(data)
            at = found.start() if found else len(data) - WINDOW_BYTES
            if len(data) - at > LONGEST_HELD_BYTES:
                self._passed_usage = _last_usage(data)[1] or self._passed_usage
                at = len(data) - WINDOW_BYTES
        else:
            at = len(data) - WINDOW_BYTES
        at = max(at, 0)
        self._recent = (self._recent + data[max(0, at - HEAD_BYTES) : at])[-HEAD_BYTES:]
        self._rest = data[at:]
        return data[:at]

    def _close(self, tail: bytes) -> bytes:
        """The end of a long event: held when the event is a terminal one."""
        head, recent, passed = self._head, self._recent, self._passed_usage
        self._head, self._recent, self._passed_usage = b"", b"", None
        self._open, self._rest = False, b""
        facts = head + recent + tail
        kinds = (*_NAME.findall(head), *_TYPE.findall(facts))
        if not any(kind in self._marks for kind in kinds):
            return self._release() + tail
        before = self._release()
        at, raw = _last_usage(tail)
        self._hold(tail, facts, raw or passed, at)
        return before

    def _may_end(self) -> bool:
        """Whether the long event under way can be a terminal one; where its beginning names no type it can."""
        kinds = _NAME.findall(self._head) or _FIRST_TYPE.findall(self._head)
        return not kinds or any(kind in self._marks for kind in kinds)

    def _hold(self, event: bytes, answer: bytes, usage_raw: bytes | None, at: int) -> None:
        if self._terminals and self.usage_raw is not None:
            self.earlier = (*self.earlier, self.usage_raw)
        self._held, self.answer, self._usage_at = event, answer, at
        self.usage_raw = usage_raw
        self._terminals += 1
        self.finished = self._terminals >= self._expected

    def _release(self) -> bytes:
        """A terminal event that was not the last one leaves as it came."""
        event, self._held = self._held, b""
        return event


def _read(payload: bytes) -> _Event:
    """The members that matter; an empty event when the payload is not a JSON object."""
    try:
        return decode_leniently(_DECODER, payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Event()


def _offset(event: bytes, raw: bytes, *, nested: bool) -> int:
    """Where the usage stands in the event, -1 when that cannot be told."""
    at = event.find(raw)
    if at < 0 or event.find(raw, at + 1) < 0:
        return at
    start = event.find(b"{")
    whole = event[start:].rstrip()
    outer = find_member(whole, "response") if nested else None
    inner = whole[outer.value : outer.end] if outer else whole
    usage = find_member(inner, "usage")
    return start + (outer.value if outer else 0) + usage.value if usage else -1


def _last_usage(tail: bytes) -> tuple[int, bytes | None]:
    """The last usage object in the end of an event, and where it stands; (-1, None) without one."""
    for found in reversed(list(_USAGE.finditer(tail))):
        if found.group().startswith(b'"tool'):
            continue
        start = found.end() - 1
        text = tail[start:].decode("utf-8", "replace")
        try:
            _, end = _FINDER.raw_decode(text)
        except ValueError:
            continue
        raw = text[:end].encode()
        if tail.startswith(raw, start):
            return start, raw
    return -1, None
