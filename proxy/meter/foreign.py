"""Reads the streams of other dialects than OpenAI's out of passing bytes. It must never alter an event that is not the usage's.

Messages: `message_start` and every `message_delta` carry usage, `message_stop` is the end. Gemini: every part carries usage, the last one
counts, the end of the body is the end. What may be the last word is held back until the call is recorded.
"""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from config.providers import Dialect
from proxy.meter.energy import Reading
from proxy.meter.events import DATA_LINE, EVENT, EventCutter
from proxy.splice import append_member, decode_leniently, replace_exact

TAIL_BYTES = 64 * 1024
"""Last bytes of a stream in which its usage is looked for."""

LONGEST_MODEL_BYTES = 320
"""No model's name with its key is longer; so much is kept of what passed while no name was seen."""

_MODEL = re.compile(rb'"model(?:Version)?"\s*:\s*"([^"\\]{1,256})"')
_USAGE = re.compile(rb'"usageMetadata"\s*:\s*(?=\{)')
_FINISHED = re.compile(rb'"finish(?:Reason|_reason)"\s*:\s*"')
_EMPTY = msgspec.Raw(b"")
_FINDER = json.JSONDecoder()


class ForeignRelay(EventCutter):
    """One stream's passage, event by event. `feed` returns what may leave now; once `finished`, `terminal` returns what was held back."""

    usage_key = "usage"

    def __init__(self) -> None:
        super().__init__()
        self.answer = b""

    @property
    def usage_raw(self) -> bytes | None:
        """The usage so far, as one JSON object."""
        raise NotImplementedError

    @property
    def reading(self) -> Reading | None:
        """No provider is known to state its energy in such a stream."""
        return None

    def terminal(self, footprint: bytes | None) -> bytes:
        """What was held back: the last event with usage, `footprint`, a JSON member, in it; then what came after it."""
        event, self._pending = self._pending, b""
        raw = self._usage_of(event) if event and footprint else None
        if footprint and raw:
            event = replace_exact(event, self.usage_key, raw, append_member(raw, footprint))
        after, self._trailing, self._held = self._trailing + self._held, b"", b""
        return event + after

    def _pass(self, block: bytes) -> bytes:
        self._keep(block)
        if self.served_model is None and (match := _MODEL.search(block)):
            self.served_model = match.group(1).decode("utf-8", "replace")
        if not self._pending and not self._interests(block):
            return block
        return b"".join([self._one(match.group()) for match in EVENT.finditer(block) if match.group()])

    def _interests(self, block: bytes) -> bool:
        """Whether an event in the block has to be looked at."""
        raise NotImplementedError

    def _one(self, event: bytes) -> bytes:
        """What may leave on this event."""
        raise NotImplementedError

    def _usage_of(self, event: bytes) -> bytes | None:
        """The usage object in the event, as it stands there."""
        raise NotImplementedError

    def _hold(self, event: bytes) -> bytes:
        """The event may be the last with usage: it waits, and the one that waited leaves."""
        before = self._release()
        self._pending = event
        return before

    def _release(self) -> bytes:
        out, self._pending, self._trailing = self._pending + self._trailing, b"", b""
        return out


class _Inner(msgspec.Struct):
    usage: msgspec.Raw = _EMPTY
    model: Any = None


class _Message(msgspec.Struct):
    type: Any = None
    message: _Inner | None = None
    usage: msgspec.Raw = _EMPTY


_MESSAGE = msgspec.json.Decoder(_Message)


class MessagesRelay(ForeignRelay):
    """A stream of the Messages API. Its counts are cumulative: of each, the last that is not null stands."""

    def __init__(self) -> None:
        super().__init__()
        self._usage: dict[str, Any] = {}

    @property
    def usage_raw(self) -> bytes | None:
        """What `message_start` and the deltas said together."""
        return json.dumps(self._usage).encode() if self._usage else None

    def _interests(self, block: bytes) -> bool:
        return b"message_" in block

    def _one(self, event: bytes) -> bytes:
        if self.finished:
            self._held += event
            return b""
        payload = b"\n".join(DATA_LINE.findall(event))
        found = _read(payload) if payload.strip() else None
        if found is None or found.type == "ping":
            if not self._pending:
                return event
            self._trailing += event
            return b""
        if found.type == "message_stop":
            self.finished, self._held = True, event
            return b""
        inner = found.message.usage if found.message is not None else found.usage
        if found.type in ("message_start", "message_delta"):
            self._note(bytes(inner))
        if found.message is not None and isinstance(found.message.model, str):
            self.served_model = found.message.model[:256]
        return self._hold(event) if found.type == "message_delta" else self._release() + event

    def _note(self, raw: bytes) -> None:
        usage = _object(raw)
        self._usage.update({name: value for name, value in usage.items() if value is not None})

    def _usage_of(self, event: bytes) -> bytes | None:
        found = _read(b"\n".join(DATA_LINE.findall(event)))
        raw = bytes(found.usage) if found is not None else b""
        return raw if raw.startswith(b"{") else None


class GeminiRelay(ForeignRelay):
    """A stream of Gemini's, as events or as one JSON array; of an array only the bracket that ends it is held back."""

    usage_key = "usageMetadata"

    def __init__(self) -> None:
        super().__init__()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._edge = b""
        self._array: bool | None = None

    @property
    def usage_raw(self) -> bytes | None:
        """The last usage that passed."""
        return _last_usage(b"".join(self._tail))

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that may leave now: whole events, or all of an array but what may be its end."""
        if self._array is None:
            start = (self._rest + chunk).lstrip()
            self._array = start.startswith(b"[") if start else None
        if not self._array:
            return super().feed(chunk)
        self.seen_bytes += len(chunk)
        data, self._rest = self._rest + chunk, b""
        self._keep(chunk)
        if self.served_model is None:
            seen = self._edge + chunk
            self._edge = seen[-LONGEST_MODEL_BYTES:]
            if match := _MODEL.search(seen):
                self.served_model = match.group(1).decode("utf-8", "replace")
        whole = len(data.rstrip())
        held = whole - 1 if data[:whole].endswith(b"]") else whole
        self._rest = data[held:]
        return data[:held]

    def end(self) -> bytes:
        """As above; the end of an array is held."""
        if not self._array:
            return super().end()
        self._held, self._rest, self.finished = self._rest, b"", True
        return b""

    def _keep(self, block: bytes) -> None:
        super()._keep(block)
        self._tail.append(block)
        self._tail_bytes += len(block)
        while self._tail_bytes - len(self._tail[0]) >= TAIL_BYTES:
            self._tail_bytes -= len(self._tail.popleft())

    def _interests(self, block: bytes) -> bool:
        return b'"finish' in block and _FINISHED.search(block) is not None

    def _one(self, event: bytes) -> bytes:
        if not event.strip() or event.lstrip().startswith(b":"):
            if not self._pending:
                return event
            self._trailing += event
            return b""
        return self._hold(event) if self._interests(event) else self._release() + event

    def _usage_of(self, event: bytes) -> bytes | None:
        return _last_usage(event)


FOREIGN_RELAYS: Mapping[Dialect, Callable[[], ForeignRelay]] = {"anthropic": MessagesRelay, "gemini": GeminiRelay}


def _read(payload: bytes) -> _Message | None:
    """The members that matter; None when the payload is not such an object."""
    try:
        return decode_leniently(_MESSAGE, payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Message()


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw) if raw else None
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _last_usage(data: bytes) -> bytes | None:
    """The last whole usage object in `data`, as it stands there."""
    for found in reversed(list(_USAGE.finditer(data))):
        text = data[found.end() :].decode("utf-8", "replace")
        try:
            _, end = _FINDER.raw_decode(text)
        except (ValueError, RecursionError):
            continue
        raw = text[:end].encode()
        if data.startswith(raw, found.end()):
            return raw
    return None
