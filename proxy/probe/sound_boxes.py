"""How long an M4A or MP4 file is, by its movie header, wherever in the file that stands. It must never read a sample table."""

from collections.abc import Iterator

from proxy.probe.glimpse import BOX_HEADER_BYTES, Glimpse, box_bytes

MOST_BOXES = 256
_UNTOLD = (0, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)


def boxed_seconds(file: Glimpse) -> float | None:
    """Seconds by `mvhd`, else by `mehd` of a fragmented file, else by the longest `mdhd`."""
    for kind, begin, end in _boxes(file, 0, file.size):
        if kind == b"moov":
            return _movie(file, begin, end)
    return None


def _movie(file: Glimpse, begin: int, end: int) -> float | None:
    scale, longest = 0, 0.0
    for kind, start, stop in _boxes(file, begin, end):
        if kind == b"mvhd":
            scale, duration = _header(file, start)
            if scale and duration not in _UNTOLD:
                return duration / scale
        elif kind == b"mvex" and scale:
            for inner, at, _ in _boxes(file, start, stop):
                if inner == b"mehd" and (whole := file.number(at + 4, 8 if file.at(at, 1) == b"\x01" else 4)):
                    return whole / scale
        elif kind == b"trak":
            longest = max(longest, _track(file, start, stop))
    return longest or None


def _track(file: Glimpse, begin: int, end: int) -> float:
    """Seconds of one track by its media header, 0 where that does not tell."""
    for kind, start, stop in _boxes(file, begin, end):
        if kind != b"mdia":
            continue
        for inner, at, _ in _boxes(file, start, stop):
            if inner == b"mdhd":
                scale, duration = _header(file, at)
                return duration / scale if scale and duration not in _UNTOLD else 0.0
    return 0.0


def _header(file: Glimpse, at: int) -> tuple[int, int]:
    """(units per second, length in units) of a movie or media header; zeros where it is not at hand."""
    if file.at(at, 1) == b"\x01":
        return file.number(at + 20, 4) or 0, file.number(at + 24, 8) or 0
    return file.number(at + 12, 4) or 0, file.number(at + 16, 4) or 0


def _boxes(file: Glimpse, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, where its content begins, where it ends) of the boxes that stand between `at` and `end`."""
    for _ in range(MOST_BOXES):
        head = file.at(at, BOX_HEADER_BYTES)
        if at >= end or len(head) < 8:
            return
        header, size = box_bytes(head)
        stop = min(at + size, end) if size else end
        yield head[4:8], at + header, stop
        at = stop
