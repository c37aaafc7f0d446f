"""Makes the simulated provider's recordings: notes that depend on a seed alone, as WAV, bare samples or MP3. It must never read a file.

WAV and bare samples are 16-bit mono at 24 kHz. MP3 holds silence of the same length: frames that say nothing.
"""

import array
import functools
import hashlib
import io
import math
import sys
import wave

RATE_HZ = 24_000
_SAMPLE_BYTES = 2
_NOTE_S = 0.2
_LOUDNESS = 6_000
_LOWEST_HZ = 150
_FADE_PERIODS = 4
# MPEG-2 layer III, 64 kbit/s, 24 kHz, mono: 24 ms in 192 bytes; no main data is silence
_MP3_FRAME = b"\xff\xf3\x84\xc0" + bytes(188)
_MP3_FRAME_S = 0.024


def samples(seed: str, seconds: float) -> bytes:
    """Little-endian samples: a note for every fifth of a second, about one a syllable."""
    wanted = max(1, round(seconds * RATE_HZ)) * _SAMPLE_BYTES
    melody = hashlib.shake_256(seed.encode("utf-8", "surrogatepass")).digest(max(1, math.ceil(seconds / _NOTE_S)))
    notes = {pitch: _note(pitch) for pitch in {byte % 8 for byte in melody}}
    return b"".join(notes[byte % 8] for byte in melody)[:wanted].ljust(wanted, b"\x00")


def wav(seed: str, seconds: float) -> bytes:
    """The samples as a WAV file."""
    written = io.BytesIO()
    with wave.open(written, "wb") as opened:
        opened.setnchannels(1)
        opened.setsampwidth(_SAMPLE_BYTES)
        opened.setframerate(RATE_HZ)
        opened.writeframes(samples(seed, seconds))
    return written.getvalue()


def mp3(seconds: float) -> bytes:
    """Silence of that length, in whole frames."""
    return _MP3_FRAME * max(1, math.ceil(round(seconds / _MP3_FRAME_S, 6)))


@functools.cache
def _note(pitch: int) -> bytes:
    """One note: whole periods of a wave, soft at both ends."""
    period = round(RATE_HZ / (_LOWEST_HZ * 2 ** (pitch / 12)))
    length = round(RATE_HZ * _NOTE_S)
    fade = period * _FADE_PERIODS
    values = array.array(
        "h",
        (round(_LOUDNESS * math.sin(2 * math.pi * at / period) * min(1.0, at / fade, (length - at) / fade)) for at in range(length)),
    )
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
