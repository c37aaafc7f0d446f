"""Sizes of pictures by their headers alone."""

import base64
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.probe.picture_size import HEADER_BYTES, picture_size, size_of_data_uri

SIZE = (1536, 1024)


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def jpeg(before: bytes = b"", kind: int = 0xC0) -> bytes:
    frame = struct.pack(">BBHBHHB", 0xFF, kind, 17, 8, SIZE[1], SIZE[0], 3)
    return b"\xff\xd8\xff\xe0" + struct.pack(">H", 16) + bytes(14) + before + frame + bytes(9)


PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + struct.pack(">II", *SIZE) + b"\x08\x02\0\0\0"
WEBP = {
    "lossy": b"VP8 " + bytes(4) + b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", *SIZE),
    "lossless": b"VP8L" + bytes(4) + b"\x2f" + struct.pack("<I", SIZE[0] - 1 | SIZE[1] - 1 << 14) + bytes(8),
    "extended": b"VP8X" + bytes(8) + (SIZE[0] - 1).to_bytes(3, "little") + (SIZE[1] - 1).to_bytes(3, "little"),
}
EXTENTS = b"".join(box(b"ispe", bytes(4) + struct.pack(">II", *size)) for size in ((160, 120), SIZE, (512, 512)))
PICTURES = {
    "png": PNG,
    "gif": b"GIF89a" + struct.pack("<HH", *SIZE),
    "jpeg": jpeg(),
    "progressive jpeg after a thumbnail": jpeg(b"\xff\xe1" + struct.pack(">H", 5002) + b"\xff\xc0" * 2500, 0xC2),
    "jpeg with fill bytes": jpeg(b"\xff\xff\xff"),
    **{f"webp {name}": b"RIFF" + bytes(4) + b"WEBP" + content for name, content in WEBP.items()},
    "avif": box(b"ftyp", b"avif" + bytes(8)) + box(b"meta", EXTENTS),
    "heic": box(b"ftyp", b"heic" + bytes(8)) + box(b"meta", EXTENTS),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_size_stands_in_the_header(name: str) -> None:
    assert picture_size(PICTURES[name]) == SIZE
    assert picture_size(PICTURES[name] + bytes(100)) == SIZE


@pytest.mark.parametrize("name", PICTURES)
def test_a_header_that_breaks_off_tells_no_wrong_size(name: str) -> None:
    for length in range(len(PICTURES[name])):
        assert picture_size(PICTURES[name][:length]) in (None, SIZE, (160, 120))


@given(st.binary(max_size=400), st.sampled_from(sorted(PICTURES)))
def test_garbage_has_no_size_and_harms_nobody(garbage: bytes, name: str) -> None:
    for head in (garbage, PICTURES[name][:12] + garbage):
        size = picture_size(head)
        assert size is None or min(size) > 0


def test_inlined_pictures_tell_their_size_and_addresses_none() -> None:
    payload = base64.b64encode(PNG + zlib.compress(bytes(1000)) + bytes(2 * HEADER_BYTES)).decode()
    assert size_of_data_uri(f"data:image/png;base64,{payload}") == SIZE
    assert size_of_data_uri(f"DATA:image/png;BASE64,{payload}") == SIZE
    for reference in (
        "https://x/y.png",
        "data:image/png,rohe Daten",
        "data:image/png;base64,",
        "data:image/png;base64,\u00e9\u00e9\u00e9\u00e9",
        "",
    ):
        assert size_of_data_uri(reference) is None


def test_a_size_that_no_picture_has_is_not_believed() -> None:
    sides = (1 << 31) - 1
    assert picture_size(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + sides.to_bytes(4) * 2 + b"\x08\x06\0\0\0") is None
