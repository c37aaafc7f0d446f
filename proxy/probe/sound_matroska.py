"""How long a WebM or Matroska file is: by its Duration, else, for one recorded live, by its last cluster. It must never read a frame."""

import struct
from collections.abc import Iterator

from proxy.probe.glimpse import Glimpse

SEGMENT, INFO, SCALE, DURATION = 0x18538067, 0x1549A966, 0x2AD7B1, 0x4489
CLUSTER, TIMECODE, SIMPLE_BLOCK, BLOCK_GROUP = 0x1F43B675, 0xE7, 0xA3, 0xA0
CLUSTER_MARK = CLUSTER.to_bytes(4)
USUAL_SCALE_NS = 1_000_000
MOST_ELEMENTS = 4096
NS_PER_S = 1e9


def matroska_seconds(file: Glimpse) -> float | None:
    """Seconds of the segment."""
    scale, duration = USUAL_SCALE_NS, None
    for kind, begin, end in _elements(file, 0, file.size):
        if kind != SEGMENT:
            continue
        for inner, start, stop in _elements(file, begin, end):
            if inner == INFO:
                scale, duration = _info(file, start, stop)
                break
            if inner == CLUSTER:
                break
        break
    units = duration if duration else _last_timecode(file)
    return None if units is None else units * scale / NS_PER_S


def _info(file: Glimpse, begin: int, end: int) -> tuple[int, float | None]:
    scale, duration = USUAL_SCALE_NS, None
    for kind, start, stop in _elements(file, begin, end):
        data = file.at(start, min(8, stop - start))
        if kind == SCALE and data:
            scale = int.from_bytes(data)
        elif kind == DURATION and len(data) in (4, 8):
            duration = float(struct.unpack(">f" if len(data) == 4 else ">d", data)[0])
    return scale, duration


def _last_timecode(file: Glimpse) -> float | None:
    """The time of the last block in the last cluster that begins in the end of the file."""
    end = file.end()
    offset = file.size - len(end)
    at = end.rfind(CLUSTER_MARK)
    if at < 0:
        return None
    latest: float | None = None
    for kind, begin, stop in _elements(file, offset + at, file.size):
        if kind != CLUSTER:
            break
        base = 0
        for inner, start, close in _elements(file, begin, stop):
            if inner == TIMECODE:
                base = int.from_bytes(file.at(start, min(8, close - start)))
                latest = float(base)
            elif inner in (SIMPLE_BLOCK, BLOCK_GROUP):
                latest = max(latest or 0.0, float(base + _relative(file, start, inner)))
    return latest


def _relative(file: Glimpse, start: int, kind: int) -> int:
    """A block's time after its cluster's, in units."""
    head = file.at(start, 16)
    if kind == BLOCK_GROUP:
        head = head[_length(head, 1)[1] + 1 :] if head[:1] == b"\xa1" else b""
    track = _length(head, 0)[1]
    time = head[track : track + 2]
    return int.from_bytes(time, signed=True) if len(time) == 2 else 0


def _elements(file: Glimpse, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(kind, where its content begins, where it ends) of the elements between `at` and `end`; one of unknown length goes to `end`."""
    for _ in range(MOST_ELEMENTS):
        head = file.at(at, 12)
        if at >= end or len(head) < 2:
            return
        width = 9 - head[0].bit_length() if head[0] else 9
        if width > 4:
            return
        size, used = _length(head, width)
        if used == 0:
            return
        begin = at + width + used
        stop = end if size < 0 else min(begin + size, end)
        yield int.from_bytes(head[:width]), begin, stop
        at = stop


def _length(head: bytes, at: int) -> tuple[int, int]:
    """(value, bytes used) of the variable-length number at `at`; value -1 where it says unknown, (0, 0) where there is none."""
    first = head[at] if at < len(head) else 0
    width = 9 - first.bit_length()
    if not first or at + width > len(head):
        return 0, 0
    value = int.from_bytes(head[at : at + width]) & (1 << 7 * width) - 1
    return (-1 if value == (1 << 7 * width) - 1 else value), width
