"""Reads a picture's width and height from its header: PNG, JPEG, WebP, GIF, AVIF and HEIC. It must never decode a pixel, nor raise."""

import binascii
from collections.abc import Callable

HEADER_BYTES = 64 * 1024
"""Cameras put a thumbnail and notes before a JPEG's size; what stands further back is not looked for."""

MOST_PIXELS = 1 << 28
"""A header that claims more is a lie or no picture that a model takes; a few bytes must not weigh like a thousand books."""

MOST_SEGMENTS = 256
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_BARE = frozenset((0x01, *range(0xD0, 0xD9)))
_HEIF_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")

Size = tuple[int, int]


def picture_size(head: bytes) -> Size | None:
    """(width, height) in pixels by the first bytes of a picture; None where they do not tell."""
    for mark, at, read in _KINDS:
        if head[at : at + len(mark)] == mark:
            size = read(head)
            return size if size is not None and min(size) > 0 and size[0] * size[1] <= MOST_PIXELS else None
    return None


def size_of_data_uri(uri: str) -> Size | None:
    """The size of the picture in `uri`, None for an address or another encoding: nothing is ever fetched."""
    if uri[:5].lower() != "data:":
        return None
    comma = uri.find(",", 0, 256)
    if comma < 0 or not uri[:comma].lower().endswith(";base64"):
        return None
    return size_of_base64(uri[comma + 1 : comma + 1 + HEADER_BYTES])


def size_of_base64(text: str) -> Size | None:
    """The size of the picture that `text`, or as much of it as is given, encodes."""
    head = text[: HEADER_BYTES - HEADER_BYTES % 4]
    try:
        return picture_size(binascii.a2b_base64(head[: len(head) - len(head) % 4]))
    except (binascii.Error, ValueError):
        return None


def _png(head: bytes) -> Size | None:
    if head[12:16] != b"IHDR" or len(head) < 24:
        return None
    return int.from_bytes(head[16:20]), int.from_bytes(head[20:24])


def _gif(head: bytes) -> Size | None:
    return (_little(head, 6, 2), _little(head, 8, 2)) if len(head) >= 10 else None


def _jpeg(head: bytes) -> Size | None:
    """The first frame header; segments before it are stepped over."""
    at = 2
    for _ in range(MOST_SEGMENTS):
        while at + 1 < len(head) and head[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 9 > len(head) or head[at] != 0xFF:
            return None
        kind = head[at + 1]
        if kind in _JPEG_SIZES:
            return int.from_bytes(head[at + 7 : at + 9]), int.from_bytes(head[at + 5 : at + 7])
        at += 2 if kind in _JPEG_BARE else 2 + int.from_bytes(head[at + 2 : at + 4])
    return None


def _webp(head: bytes) -> Size | None:
    kind = head[12:16]
    if head[8:12] != b"WEBP" or len(head) < 30:
        return None
    if kind == b"VP8X":
        return _little(head, 24, 3) + 1, _little(head, 27, 3) + 1
    if kind == b"VP8L":
        bits = _little(head, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        return _little(head, 26, 2) & 0x3FFF, _little(head, 28, 2) & 0x3FFF
    return None


def _heif(head: bytes) -> Size | None:
    """The largest extent that the boxes of an AVIF or HEIC picture state: thumbnails and tiles have smaller ones."""
    if head[8:12] not in _HEIF_BRANDS:
        return None
    largest, at = None, head.find(b"ispe")
    for _ in range(MOST_SEGMENTS):
        if at < 0 or at + 16 > len(head):
            break
        size = int.from_bytes(head[at + 8 : at + 12]), int.from_bytes(head[at + 12 : at + 16])
        if largest is None or size[0] * size[1] > largest[0] * largest[1]:
            largest = size
        at = head.find(b"ispe", at + 4)
    return largest


def _little(head: bytes, at: int, size: int) -> int:
    return int.from_bytes(head[at : at + size], "little")


_KINDS: tuple[tuple[bytes, int, Callable[[bytes], Size | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", 0, _png),
    (b"\xff\xd8", 0, _jpeg),
    (b"RIFF", 0, _webp),
    (b"GIF8", 0, _gif),
    (b"ftyp", 4, _heif),
)
