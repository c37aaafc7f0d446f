"""How long a recording is, by its header, its first frames or its last page. It must never decode a sample, nor raise on garbage.

WAV, MP3, AAC (ADTS), M4A and MP4, Ogg (Opus, Vorbis, FLAC, Speex), FLAC, WebM. Work is bounded whatever the file says.
"""

import math
import struct
from collections.abc import Callable

from proxy.probe.glimpse import Glimpse, id3_bytes
from proxy.probe.sound_boxes import boxed_seconds
from proxy.probe.sound_frames import frames_seconds
from proxy.probe.sound_matroska import matroska_seconds

LONGEST_S = 1e7
MOST_CHUNKS = 64
UNTOLD = (0, 0xFFFFFFFF)
"""Lengths that a writer leaves who did not know the end when it began."""

OPUS_HZ = 48_000
NO_GRANULE = 0xFFFFFFFFFFFFFFFF


def sound_seconds(file: Glimpse) -> float | None:
    """Seconds of the recording, > 0; None where its kind is unknown or it does not tell."""
    head = file.at(0, 64)
    tag = id3_bytes(head)
    for marks, at, read in _KINDS:
        if head[at : at + len(marks[0])] in marks:
            return _possible(read(file))
    if tag and file.at(tag, 4) == b"fLaC":
        return _possible(_flac(file, tag))
    return _possible(frames_seconds(file, tag))


def _possible(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) and 0 < seconds < LONGEST_S else None


def _wav(file: Glimpse) -> float | None:
    """Bytes of the samples over bytes per second; a length that its writer left open goes to the end of the file."""
    if file.at(8, 4) != b"WAVE":
        return None
    at, bytes_per_s = 12, 0
    for _ in range(MOST_CHUNKS):
        head = file.at(at, 8)
        if len(head) < 8:
            return None
        size = int.from_bytes(head[4:], "little")
        if head[:4] == b"fmt ":
            bytes_per_s = int.from_bytes(file.at(at + 16, 4), "little")
        elif head[:4] == b"data":
            held = file.size - at - 8
            return (held if size in UNTOLD else min(size, held)) / bytes_per_s if bytes_per_s and held else None
        at += 8 + size + size % 2
    return None


def _flac(file: Glimpse, start: int = 0) -> float | None:
    """Samples over rate, from STREAMINFO, which comes first."""
    info = file.number(start + 18, 8)
    return None if info is None else _streaminfo(info)


def _streaminfo(info: int) -> float | None:
    rate, samples = info >> 44, info & 0xFFFFFFFFF
    return samples / rate if rate else None


def _ogg(file: Glimpse) -> float | None:
    """The position that the last page states, over the rate that the first packet states."""
    first = file.at(0, 256)
    if len(first) < 64:
        return None
    serial, packet = first[14:18], first[27 + first[26] :]
    rate, skipped = _ogg_rate(packet)
    if not rate:
        return None
    end = file.end()
    at = end.rfind(b"OggS")
    for _ in range(MOST_CHUNKS):
        if at < 0:
            return None
        page = end[at : at + 27]
        granule = int.from_bytes(page[6:14], "little")
        if len(page) == 27 and page[14:18] == serial and granule != NO_GRANULE:
            return (granule - skipped) / rate
        at = end.rfind(b"OggS", 0, at)
    return None


def _ogg_rate(packet: bytes) -> tuple[int, int]:
    """(samples per second, samples before the first that is heard) by the first packet of an Ogg stream; (0, 0) for an unknown one."""
    if packet[:8] == b"OpusHead":
        return OPUS_HZ, int.from_bytes(packet[10:12], "little")
    if packet[:7] == b"\x01vorbis":
        return int.from_bytes(packet[12:16], "little"), 0
    if packet[:5] == b"\x7fFLAC":
        return int.from_bytes(packet[27:30]) >> 4, 0
    if packet[:8] == b"Speex   ":
        return int.from_bytes(packet[36:40], "little"), 0
    return 0, 0


def _aiff(file: Glimpse) -> float | None:
    """Frames over rate, from the common chunk."""
    at = 12
    for _ in range(MOST_CHUNKS):
        head = file.at(at, 26)
        if len(head) < 8:
            return None
        if head[:4] == b"COMM" and len(head) == 26:
            frames = int.from_bytes(head[10:14])
            exponent, mantissa = struct.unpack(">HQ", head[16:26])
            rate = math.ldexp(mantissa, (exponent & 0x7FFF) - 16383 - 63) if exponent < 16383 + 32 else 0.0
            return frames / rate if rate else None
        size = int.from_bytes(head[4:8])
        at += 8 + size + size % 2
    return None


_KINDS: tuple[tuple[tuple[bytes, ...], int, Callable[[Glimpse], float | None]], ...] = (
    ((b"RIFF", b"RF64"), 0, _wav),
    ((b"fLaC",), 0, _flac),
    ((b"OggS",), 0, _ogg),
    ((b"\x1aE\xdf\xa3",), 0, matroska_seconds),
    ((b"ftyp", b"moov", b"styp"), 4, boxed_seconds),
    ((b"FORM",), 0, _aiff),
)
