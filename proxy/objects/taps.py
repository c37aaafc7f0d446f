"""Reads an answer that passes, for the work that it shows. It must never change, hold back or keep a byte of the answer."""

import logging
import re
import zlib
from typing import Protocol

from proxy.meter.inflate import inflater_for
from proxy.objects.lines import OutputLines
from proxy.objects.read import works_in
from proxy.objects.work import Work

LONGEST_BYTES = 64 * 1024 * 1024
"""A longer document, or event, is not read: its work stays unbooked."""

_BORDER = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_DATA = re.compile(rb"^data:[ ]?([^\r\n]*)", re.MULTILINE)
_MARKS = (b'"response"', b'"thread.run"')
_log = logging.getLogger("grammage.objects")


class Tap(Protocol):
    """Fed with the answer's plain bytes; `works` may be asked at any time and tells what was seen so far."""

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""

    def works(self) -> list[Work]:
        """What they show."""


class DocumentTap:
    """Gathers one JSON document."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        self._size += len(chunk)
        if self._size <= LONGEST_BYTES:
            self._parts.append(chunk)
        elif self._parts:
            _log.warning("an answer of more than %d bytes is not read: work that it shows is not booked", LONGEST_BYTES)
            self._parts.clear()

    def works(self) -> list[Work]:
        """The objects in the document, empty while it is not whole."""
        return works_in(b"".join(self._parts)) if self._parts else []


class EventTap:
    """Looks into the events of a stream; the newest state of each object counts."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._seen: dict[str, Work] = {}

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        rest = self._rest
        rest += chunk
        start = 0
        while (border := _BORDER.search(rest, max(start, self._searched))) is not None:
            self._look(bytes(rest[start : border.start()]))
            start = self._searched = border.end()
        del rest[:start]
        self._searched = max(0, len(rest) - 3)
        if len(rest) > LONGEST_BYTES:
            rest.clear()
            self._searched = 0

    def works(self) -> list[Work]:
        """The objects seen."""
        if self._rest:
            self._look(bytes(self._rest))
        return list(self._seen.values())

    def _look(self, event: bytes) -> None:
        if not any(mark in event for mark in _MARKS):
            return
        for work in works_in(b"\n".join(_DATA.findall(event))):
            before = self._seen.get(work.object_id)
            if before is None or not before.ended:
                self._seen[work.object_id] = work


class LinesTap:
    """Sums the lines of a file, should it be a batch's output."""

    def __init__(self, file_id: str) -> None:
        self._file_id = file_id
        self._lines = OutputLines()
        self.is_whole = False

    def feed(self, chunk: bytes) -> None:
        """The next bytes."""
        self._lines.feed(chunk)

    def works(self) -> list[Work]:
        """The batch behind the file, once it has passed whole."""
        parts = self._lines.parts() if self.is_whole else ()
        return [Work(operation="batches", object_id=self._file_id, ended=True, parts=parts, batched=True)] if parts else []


class InflatingTap:
    """Undoes a content encoding before the tap that reads."""

    def __init__(self, tap: Tap, encoding: bytes) -> None:
        self._tap: Tap | None = tap
        self._inflater = inflater_for(encoding)

    def feed(self, chunk: bytes) -> None:
        """The next bytes, encoded; what cannot be read is read no further."""
        if self._tap is None or self._inflater is None:
            return
        try:
            self._tap.feed(self._inflater.decompress(chunk))
        except zlib.error:
            self._tap = None

    def works(self) -> list[Work]:
        """What was read."""
        return [] if self._tap is None or self._inflater is None else self._tap.works()


def tap_for(kind: bytes, encoding: bytes | None, file_id: str | None) -> Tap | None:
    """What reads an answer of this content type; None where there is nothing to be read. file_id: the answer is this file."""
    plain: Tap
    if file_id is not None:
        plain = LinesTap(file_id)
    elif kind.lower().startswith(b"text/event-stream"):
        plain = EventTap()
    elif kind.lower().startswith(b"application/json"):
        plain = DocumentTap()
    else:
        return None
    return InflatingTap(plain, encoding) if encoding and encoding.strip().lower() != b"identity" else plain
