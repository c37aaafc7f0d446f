"""Tells from an upload's first bytes what it is: the size of a picture, the length of a recording. It must never decode either."""

import io
import struct
import wave

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = 24
_UNKNOWN_SIZE = (1024, 1024)
_LARGEST_SIDE = 1 << 16
COMPRESSED_BYTES_PER_S = 16_000
"""Recordings other than WAV count as 128 kbit/s."""


def size_of(picture: bytes) -> tuple[int, int] | None:
    """Width and height: a PNG's own, 1024 x 1024 for JPEG, WebP and GIF, None for anything else."""
    if picture.startswith(PNG_SIGNATURE) and len(picture) >= _PNG_HEAD:
        width, height = struct.unpack(">II", picture[16:_PNG_HEAD])
        return min(width, _LARGEST_SIDE), min(height, _LARGEST_SIDE)
    known = picture.startswith((b"\xff\xd8\xff", b"GIF8")) or (picture[:4] == b"RIFF" and picture[8:12] == b"WEBP")
    return _UNKNOWN_SIZE if known else None


def seconds_of(recording: bytes) -> float:
    """How long a recording lasts: WAV by its header and the bytes that are there, anything else by its size."""
    if recording[:4] == b"RIFF" and recording[8:12] == b"WAVE":
        try:
            with wave.open(io.BytesIO(recording)) as opened:
                frame = max(1, opened.getnchannels() * opened.getsampwidth())
                frames: int = min(opened.getnframes(), len(recording) // frame)
                rate_hz: int = max(1, opened.getframerate())
                return frames / rate_hz
        except (wave.Error, EOFError):
            return len(recording) / COMPRESSED_BYTES_PER_S
    return len(recording) / COMPRESSED_BYTES_PER_S
