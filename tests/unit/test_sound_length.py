"""Lengths of recordings by their headers, frames and last pages; of a whole file and of one that streamed by."""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.probe.glimpse import KEPT_BYTES, Glimpse, Passing, whole
from proxy.probe.sound_length import sound_seconds

S = 12.5
NOISE = bytes(range(7, 251)) * 1200
"""More than is kept of a file's beginning and end."""


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I", len(content) + 8) + kind + content


def element(kind: str, content: bytes, *, length: bytes | None = None) -> bytes:
    return bytes.fromhex(kind) + (length or (0x0100000000000000 | len(content)).to_bytes(8)) + content


def wav(told: int | None = None) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as opened:
        opened.setnchannels(2)
        opened.setsampwidth(2)
        opened.setframerate(8000)
        opened.writeframes(bytes(int(S * 32000)))
    body = written.getvalue()
    return body if told is None else body[:40] + struct.pack("<I", told) + body[44:]


FRAME = b"\xff\xfb\x90\xc4" + bytes(413)
"""MPEG 1 layer 3, 128 kbit/s, 44.1 kHz, mono: 1152 samples."""

FRAMES = round(S * 44100 / 1152)
ID3 = b"ID3\x04\0\0" + bytes((0, 8, 0, 0)) + bytes(8 << 14)


def mp3_told(mark: bytes) -> bytes:
    """A first frame that tells the number of all, and frames of another size after it."""
    at = 4 + 17 if mark != b"VBRI" else 36
    told = struct.pack(">II", 1, FRAMES) if mark != b"VBRI" else bytes(10) + struct.pack(">I", FRAMES)
    first = (FRAME[:4] + bytes(at - 4) + mark + told).ljust(417, b"\0")
    return first + (b"\xff\xfb\xe0\xc4" + bytes(1040)) * 200


def mp4(*movie: bytes, last: bool) -> bytes:
    moov, mdat = box(b"moov", *movie), box(b"mdat", NOISE)
    return box(b"ftyp", b"M4A \0\0\0\0") + (mdat + moov if last else moov + mdat)


MVHD = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, int(S * 1000)) + bytes(80))
MVHD_LONG = box(b"mvhd", b"\1\0\0\0" + bytes(16) + struct.pack(">IQ", 48000, int(S * 48000)) + bytes(80))
UNTOLD_MVHD = box(b"mvhd", bytes(12) + struct.pack(">II", 1000, 0) + bytes(80))
TABLES = box(b"trak", box(b"mdia", box(b"mdhd", bytes(12) + struct.pack(">II", 44100, int(S * 44100))), box(b"stsz", NOISE)))
MEHD = box(b"mvex", box(b"mehd", bytes(4) + struct.pack(">I", int(S * 1000))))


def page(granule: int, content: bytes, serial: bytes = b"us!\0") -> bytes:
    return b"OggS\0\0" + struct.pack("<q", granule) + serial + bytes(8) + b"\1" + bytes((min(255, len(content)),)) + content


OPUS = b"OpusHead\1\1" + struct.pack("<HI", 312, 16000) + bytes(20)
VORBIS = b"\1vorbis" + bytes(4) + b"\2" + struct.pack("<I", 44100) + bytes(24)
STREAMINFO = (
    struct.pack(">HHHHHH", 4096, 4096, 0, 0, 0, 0)[:10] + (44100 << 44 | 1 << 41 | 15 << 36 | int(S * 44100)).to_bytes(8) + bytes(16)
)
FLAC = b"fLaC\0\0\0\x22" + STREAMINFO
UNKNOWN = b"\x01" + b"\xff" * 7
INFO = element("1549A966", element("2AD7B1", (1_000_000).to_bytes(3)) + element("4489", struct.pack(">d", S * 1000)))
LIVE_INFO = element("1549A966", element("2AD7B1", (1_000_000).to_bytes(3)))
CLUSTERS = [
    element(
        "1F43B675", element("E7", at.to_bytes(2)) + element("A3", b"\x81" + struct.pack(">h", 500) + b"\x80" + NOISE[:9000]), length=UNKNOWN
    )
    for at in range(0, 12001, 1000)
]


def webm(*segment: bytes) -> bytes:
    return element("1A45DFA3", element("4282", b"webm")) + element("18538067", b"".join(segment), length=UNKNOWN)


def adts() -> bytes:
    frame = bytes((0xFF, 0xF1, 0x50, 0x80, 200 >> 3, (200 & 7) << 5 | 0x1F, 0xFC)) + bytes(193)
    return frame * round(S * 44100 / 1024)


SOUNDS = {
    "wav": wav(),
    "wav of unstated length": wav(0xFFFFFFFF),
    "flac": FLAC + NOISE,
    "flac behind a tag": ID3 + FLAC + NOISE,
    "mp3": FRAME * FRAMES,
    "mp3 behind a picture, before a tag": ID3 + FRAME * FRAMES + b"TAG" + bytes(125),
    "mp3 that Xing tells": mp3_told(b"Xing"),
    "mp3 that Info tells": ID3 + mp3_told(b"Info"),
    "mp3 that VBRI tells": mp3_told(b"VBRI"),
    "aac": adts(),
    "m4a": mp4(MVHD, TABLES, last=False),
    "m4a with its header last": mp4(MVHD, TABLES, last=True),
    "m4a of long numbers": mp4(MVHD_LONG, TABLES, last=True),
    "mp4 in fragments": mp4(UNTOLD_MVHD, MEHD, last=False),
    "mp4 told by its track": mp4(UNTOLD_MVHD, TABLES, last=False),
    "ogg opus": page(0, OPUS) + page(5, NOISE) + page(int(S * 48000) + 312, b"end") + page(-1, b"") + page(9, b"", b"them"),
    "ogg vorbis": page(0, VORBIS) + NOISE + page(int(S * 44100), b"end"),
    "webm": webm(INFO, *CLUSTERS),
    "webm recorded live": webm(LIVE_INFO, *CLUSTERS),
}  # fmt: skip


def passed(body: bytes, size: int) -> Glimpse:
    file = Passing()
    for at in range(0, len(body), size):
        file.feed(body[at : at + size])
    return file.glimpse()


@pytest.mark.parametrize("name", SOUNDS)
def test_a_recording_tells_its_length(name: str) -> None:
    assert sound_seconds(whole(SOUNDS[name])) == pytest.approx(S, rel=0.01)


@pytest.mark.parametrize("size", [4096, 65536, 1_000_003])
@pytest.mark.parametrize("name", SOUNDS)
def test_a_recording_that_streamed_by_tells_the_same(name: str, size: int) -> None:
    assert sound_seconds(passed(SOUNDS[name], size)) == pytest.approx(S, rel=0.01)


def test_of_a_file_that_streams_by_only_so_much_is_kept() -> None:
    glimpse = passed(mp4(MVHD, box(b"free", NOISE) * 30, last=True), 65536)
    assert glimpse.size > 8_000_000
    assert sum(len(data) for _, data in glimpse.pieces) < 6 * KEPT_BYTES


@given(st.binary(max_size=600), st.sampled_from(sorted(SOUNDS)), st.integers(4, 120))
def test_garbage_has_no_impossible_length_and_harms_nobody(garbage: bytes, name: str, kept: int) -> None:
    for body in (garbage, SOUNDS[name][:kept] + garbage):
        for file in (whole(body), passed(body, 100)):
            seconds = sound_seconds(file)
            assert seconds is None or 0 < seconds < 1e7


@pytest.mark.parametrize("body", [b"", b"\xff" * 9000, b"\xff\xfb\x90\xc4" * 3000, b"RIFF", b"just words, no sound " * 50])
def test_what_is_no_recording_has_no_length(body: bytes) -> None:
    assert sound_seconds(whole(body)) is None
