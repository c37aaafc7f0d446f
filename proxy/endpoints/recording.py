"""How long a recording is, by the header of a WAV file. It must never read a sample."""

RIFF, WAVE, FORMAT, SAMPLES = b"RIFF", b"WAVE", b"fmt ", b"data"
MOST_CHUNKS = 64
UNTOLD = (0, 0xFFFFFFFF)
"""Lengths that a writer leaves who did not know the end when it began."""


def wav_seconds(body: bytes, start: int, end: int) -> float | None:
    """Seconds of the WAV file that stands in `body` from `start` to `end`; None for any other kind of file."""
    if body[start : start + 4] != RIFF or body[start + 8 : start + 12] != WAVE:
        return None
    at, bytes_per_s = start + 12, 0
    for _ in range(MOST_CHUNKS):
        if at + 8 > end:
            return None
        kind, size = body[at : at + 4], int.from_bytes(body[at + 4 : at + 8], "little")
        if kind == FORMAT:
            bytes_per_s = int.from_bytes(body[at + 16 : at + 20], "little")
        elif kind == SAMPLES:
            held = end - at - 8
            return (held if size in UNTOLD else min(size, held)) / bytes_per_s if bytes_per_s and held else None
        at += 8 + size + size % 2
    return None
