"""What is at hand of a file: all of it, or the pieces kept while it passed. It must never hold more than its bounds."""

from dataclasses import dataclass

KEPT_BYTES = 64 * 1024
"""Kept of the beginning and of the end of a file that passes."""

POINT_BYTES = 4096
MOST_POINTS = 64
BOX_HEADER_BYTES = 16
ID3_HEADER_BYTES = 10


@dataclass(frozen=True, slots=True)
class Glimpse:
    """`size` bytes of a file, of which `pieces` (offset, bytes) are at hand."""

    pieces: tuple[tuple[int, bytes | memoryview], ...]
    size: int

    def at(self, start: int, count: int) -> bytes:
        """Up to `count` bytes from `start` on; fewer, or none, where they are not at hand."""
        found = b""
        for offset, data in self.pieces:
            if offset <= start < offset + len(data) and len(found) < count:
                found = max(found, bytes(data[start - offset : start - offset + count]), key=len)
        return found

    def number(self, start: int, count: int) -> int | None:
        """The big-endian number in `count` bytes from `start` on, None where they are not at hand."""
        data = self.at(start, count)
        return int.from_bytes(data) if len(data) == count else None

    def end(self) -> bytes:
        """The last bytes of the file."""
        return self.at(max(0, self.size - KEPT_BYTES), KEPT_BYTES)


def whole(body: bytes, start: int = 0, end: int | None = None) -> Glimpse:
    """The file that stands in `body` from `start` to `end`, without a copy."""
    view = memoryview(body)[start:end]
    return Glimpse(((0, view),), len(view))


class Passing:
    """A file that streams by: its beginning, its end, and the few places between them that tell its length are kept.

    Such places are the heads of an MP4's outer boxes, and what follows an ID3 tag.
    """

    __slots__ = ("_head", "_next", "_point", "_points", "_tail", "_watches", "size")

    def __init__(self) -> None:
        self.size = 0
        self._head = bytearray()
        self._tail = bytearray()
        self._points: list[tuple[int, bytes]] = []
        self._next = 0
        self._point = bytearray()
        self._watches = True

    def feed(self, chunk: bytes | memoryview) -> None:
        """Takes the next bytes of the file."""
        if len(self._head) < KEPT_BYTES:
            self._head += chunk[: KEPT_BYTES - len(self._head)]
        self._tail += chunk[-KEPT_BYTES:]
        if len(self._tail) > 2 * KEPT_BYTES:
            del self._tail[:-KEPT_BYTES]
        if self._watches:
            self._watch(chunk)
        self.size += len(chunk)

    def glimpse(self) -> Glimpse:
        """What was kept; to be asked for at the end of the file."""
        points = [*self._points, (self._next, bytes(self._point))] if self._point else self._points
        tail = bytes(self._tail[-KEPT_BYTES:])
        return Glimpse(((0, bytes(self._head)), (self.size - len(tail), tail), *points), self.size)

    def _watch(self, chunk: bytes | memoryview) -> None:
        """Keeps what stands at the next place of interest, once it has come."""
        at = self.size
        while self._watches and len(self._points) < MOST_POINTS:
            begin = self._next + len(self._point) - at
            if begin >= len(chunk):
                return
            self._point += chunk[begin : begin + POINT_BYTES - len(self._point)]
            if len(self._point) < POINT_BYTES:
                return
            step = _step(bytes(self._point), self._next)
            self._points.append((self._next, bytes(self._point)))
            if not step:
                self._watches = False
            del self._point[: step or POINT_BYTES]
            self._next += step


def _step(point: bytes, at: int) -> int:
    """How far it is from here to the next place of interest; 0 where there is none."""
    if at == 0 and point[:3] == b"ID3":
        return id3_bytes(point)
    if point[4:8] == b"ftyp" or (at > 0 and point[4:8].isalnum()):
        return box_bytes(point)[1]
    return 0


def id3_bytes(head: bytes) -> int:
    """Length of the ID3v2 tag that `head` begins with, 0 where it begins with none."""
    if head[:3] != b"ID3" or len(head) < ID3_HEADER_BYTES:
        return 0
    size = 0
    for byte in head[6:10]:
        size = size << 7 | byte & 0x7F
    return ID3_HEADER_BYTES + size + (ID3_HEADER_BYTES if head[5] & 0x10 else 0)


def box_bytes(head: bytes) -> tuple[int, int]:
    """(length of the header, length of the box) of the MP4 box that `head` begins with; (8, 0) for one that goes on to the end."""
    size = int.from_bytes(head[:4])
    if size == 1 and len(head) >= BOX_HEADER_BYTES:
        return BOX_HEADER_BYTES, max(BOX_HEADER_BYTES, int.from_bytes(head[8:16]))
    return 8, size if size >= 8 else 0
