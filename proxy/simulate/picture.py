"""Draws the simulated provider's pictures: small PNG files of coloured cells that depend on a seed alone. It must never read a file.

Each says inside, as text, that it is simulated.
"""

import hashlib
import struct
import zlib

from proxy.simulate.sniff import PNG_SIGNATURE

FINEST_CELLS = 8
_BACKGROUND = (244, 241, 235)
_COLOURS = 4
_TITLE = b"Comment\x00Simulated picture: no model drew it."
_INDEXED = 3
_BITS = 2
_PER_BYTE = 8 // _BITS


def draw(seed: str, width: int, height: int, *, cells: int = FINEST_CELLS, transparent: bool = False) -> bytes:
    """A PNG of that size: a grid of cells, its left half mirrored to the right, in three colours on a ground."""
    material = hashlib.sha512(seed.encode("utf-8", "surrogatepass")).digest()
    palette = bytes(_BACKGROUND) + bytes(32 + byte % 192 for byte in material[: 3 * (_COLOURS - 1)])
    shades = hashlib.shake_256(material).digest(FINEST_CELLS * FINEST_CELLS)
    raw = bytearray()
    for row in range(cells):
        across = [shades[row * FINEST_CELLS + min(column, cells - 1 - column)] % _COLOURS for column in range(cells)]
        line = b"\x00" + _packed([across[x * cells // width] for x in range(width)])
        raw += line * ((row + 1) * height // cells - row * height // cells)
    head = struct.pack(">IIBBBBB", width, height, _BITS, _INDEXED, 0, 0, 0)
    clear = [(b"tRNS", b"\x00")] if transparent else []
    chunks = [(b"IHDR", head), (b"tEXt", _TITLE), (b"PLTE", palette), *clear, (b"IDAT", zlib.compress(bytes(raw))), (b"IEND", b"")]
    return PNG_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def _packed(pixels: list[int]) -> bytes:
    """Four pixels a byte, the first in the highest bits."""
    full = [*pixels, *([0] * (-len(pixels) % _PER_BYTE))]
    return bytes(a << 6 | b << 4 | c << 2 | d for a, b, c, d in zip(full[0::4], full[1::4], full[2::4], full[3::4], strict=True))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
