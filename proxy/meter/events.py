"""Cuts passing bytes at the borders of server-sent events, for those who read them. It must never read an event itself."""

import re

KEEP_BYTES = 256 * 1024
"""Passing bytes kept for counting, should no usage come."""

LONGEST_EVENT_BYTES = 1024 * 1024
"""An event longer than this leaves in pieces, unread."""

EVENT = re.compile(rb".*?(?:\r\n\r\n|\n\n|\r\r|\Z)", re.DOTALL)
DATA_LINE = re.compile(rb"^data:[ ]?(.*?)\r?$", re.MULTILINE)


class EventCutter:
    """One stream's passage. `feed` returns what may leave now, whole events only; once `finished`, the rest is held.

    _pass: what may leave of a block of whole events. _pending: an event that may be the last with usage; _trailing: what came after it.
    """

    __slots__ = ("_held", "_kept_bytes", "_pending", "_rest", "_trailing", "finished", "kept", "seen_bytes", "served_model")

    def __init__(self) -> None:
        self.finished = False
        self.kept: list[bytes] = []
        self.seen_bytes = 0
        self.served_model: str | None = None
        self._kept_bytes = 0
        self._rest = b""
        self._pending = b""
        self._trailing = b""
        self._held = b""

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

    def _pass(self, block: bytes) -> bytes:
        raise NotImplementedError

    def _keep(self, block: bytes) -> None:
        if self._kept_bytes < KEEP_BYTES:
            self.kept.append(block)
            self._kept_bytes += len(block)


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
