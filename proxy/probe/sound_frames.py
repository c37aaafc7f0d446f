"""How long a stream of MPEG audio frames is: MP3 (Xing, VBRI, constant rate) and AAC in ADTS. It must never walk more than its bound."""

from typing import NamedTuple

from proxy.probe.glimpse import Glimpse

LOOKED_THROUGH = 4096
"""Bytes after the tag in which the first frame must begin."""

MOST_FRAMES = 400
FEWEST_FRAMES = 2
"""Bytes that look like one frame may be anything; two in a row are frames."""

ID3V1_BYTES = 128
_KBPS = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = (44100, 48000, 32000)
_ADTS_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


class _Frame(NamedTuple):
    size: int
    samples: int
    rate: int
    side_info: int


def frames_seconds(file: Glimpse, start: int) -> float | None:
    """Seconds of the frames that begin at or soon after `start`; by what their writer says of all, else by the mean of the first."""
    data = file.at(start, LOOKED_THROUGH)
    at = data.find(b"\xff")
    while at >= 0:
        frames = _in_a_row(file, start + at)
        if frames:
            return _seconds(file, start + at, frames)
        at = data.find(b"\xff", at + 1)
    return None


def _in_a_row(file: Glimpse, at: int) -> list[_Frame]:
    """The frames from `at` on, as far as they are at hand; none where the first is not followed by another or the end."""
    frames: list[_Frame] = []
    for _ in range(MOST_FRAMES):
        frame = _frame(file.at(at, 7))
        if frame is None or (frames and frame.rate != frames[0].rate):
            break
        frames.append(frame)
        at += frame.size
    return frames if len(frames) >= FEWEST_FRAMES or (frames and at == file.size) else []


def _seconds(file: Glimpse, at: int, frames: list[_Frame]) -> float:
    first = frames[0]
    told = _told_frames(file, at, first)
    if told:
        return told * first.samples / first.rate
    end = file.size - ID3V1_BYTES if file.at(file.size - ID3V1_BYTES, 3) == b"TAG" else file.size
    seconds = sum(frame.samples for frame in frames) / first.rate
    return (end - at) / sum(frame.size for frame in frames) * seconds


def _told_frames(file: Glimpse, at: int, first: _Frame) -> int | None:
    """The number of frames that a Xing, Info or VBRI header in the first frame states."""
    xing = at + 4 + first.side_info
    if file.at(xing, 4) in (b"Xing", b"Info") and (file.number(xing + 4, 4) or 0) & 1:
        return file.number(xing + 8, 4)
    return file.number(at + 50, 4) if file.at(at + 36, 4) == b"VBRI" else None


def _frame(head: bytes) -> _Frame | None:
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    layer_bits = head[1] >> 1 & 3
    if layer_bits == 0:
        return _adts(head)
    version_bits, layer = head[1] >> 3 & 3, 4 - layer_bits
    kbps_at, rate_at, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if version_bits == 1 or kbps_at in (0, 15) or rate_at == 3:
        return None
    version = 1 if version_bits == 3 else 2
    kbps = _KBPS[version, layer][kbps_at]
    rate = _HZ[rate_at] // {3: 1, 2: 2, 0: 4}[version_bits]
    samples = 384 if layer == 1 else 576 if layer == 3 and version == 2 else 1152
    mono = head[3] >> 6 == 3
    side_info = (17 if mono else 32) if version == 1 else (9 if mono else 17)
    size = (12 * kbps * 1000 // rate + padding) * 4 if layer == 1 else samples // 8 * kbps * 1000 // rate + padding
    return _Frame(size, samples, rate, side_info)


def _adts(head: bytes) -> _Frame | None:
    if head[1] & 0xF6 != 0xF0:
        return None
    rate_at = head[2] >> 2 & 15
    size = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate_at >= len(_ADTS_HZ) or size < 7:
        return None
    return _Frame(size, 1024 * ((head[6] & 3) + 1), _ADTS_HZ[rate_at], 0)
