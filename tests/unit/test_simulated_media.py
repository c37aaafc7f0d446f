"""What the simulated provider draws, records and reads: valid files of the right size and length, the same for the same seed."""

import array
import io
import struct
import wave
import zlib

import pytest

from proxy.simulate import sound
from proxy.simulate.exchange import Refused
from proxy.simulate.form import read_form
from proxy.simulate.picture import draw
from proxy.simulate.shelf import Kept, Shelf
from proxy.simulate.sniff import seconds_of, size_of
from proxy.simulate.transcript import transcript_of

FORM = "multipart/form-data; boundary=edge"


def chunks_of(png: bytes) -> dict[bytes, bytes]:
    """The chunks of a PNG, each checked against its sum."""
    found, at = {}, 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        data = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + data)
        found[kind] = data
        at += 12 + length
    return found


@pytest.mark.parametrize(("width", "height"), [(1024, 1024), (1536, 1024), (17, 33), (1, 1)])
def test_a_picture_is_a_png_of_its_size_with_every_pixel(width: int, height: int) -> None:
    png = draw("seed", width, height)
    chunks = chunks_of(png)
    assert size_of(png) == (width, height)
    assert len(zlib.decompress(chunks[b"IDAT"])) == height * (1 + -(-width // 4))
    assert b"no model drew it" in chunks[b"tEXt"]
    assert list(chunks)[-1] == b"IEND"
    assert len(png) < 6000


def test_a_picture_depends_on_its_seed_alone_and_mirrors_itself() -> None:
    assert draw("a", 64, 64) == draw("a", 64, 64) != draw("b", 64, 64)
    line = zlib.decompress(chunks_of(draw("a", 64, 64))[b"IDAT"])[1:17]
    pixels = [byte >> shift & 3 for byte in line for shift in (6, 4, 2, 0)]
    assert pixels == pixels[::-1]


def test_a_transparent_picture_has_a_clear_ground() -> None:
    assert chunks_of(draw("a", 32, 32, transparent=True))[b"tRNS"] == b"\x00"
    assert b"tRNS" not in chunks_of(draw("a", 32, 32))


@pytest.mark.parametrize("start", [b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x00\x00\x00\x00WEBPVP8 "])
def test_other_pictures_are_known_by_their_first_bytes(start: bytes) -> None:
    assert size_of(start + bytes(64)) == (1024, 1024)
    assert size_of(b"%PDF" + bytes(64)) is None
    assert size_of(b"\x89PNG\r\n\x1a\n") is None


def test_a_wav_holds_as_many_samples_as_it_lasts_and_is_not_silent() -> None:
    recording = sound.wav("seed", 1.5)
    with wave.open(io.BytesIO(recording)) as opened:
        assert (opened.getnchannels(), opened.getsampwidth(), opened.getframerate(), opened.getnframes()) == (1, 2, 24_000, 36_000)
        values = array.array("h", opened.readframes(36_000))
    assert max(values) > 3000
    assert sound.wav("seed", 1.5) == recording != sound.wav("other", 1.5)
    assert seconds_of(recording) == 1.5


def test_an_mp3_is_whole_frames_of_24_ms() -> None:
    recording = sound.mp3(1.2)
    assert len(recording) == 50 * 192
    assert {recording[at : at + 4] for at in range(0, len(recording), 192)} == {b"\xff\xf3\x84\xc0"}


def test_the_length_of_a_recording_never_exceeds_its_bytes() -> None:
    cut = sound.wav("seed", 10)[:48_044]
    assert seconds_of(cut) == pytest.approx(1.0, rel=0.01)
    assert seconds_of(bytes(32_000)) == 2.0
    assert seconds_of(b"RIFF\x00\x00\x00\x00WAVEfmt ") == 16 / 16_000


def test_a_transcript_fills_the_recording_from_its_start_to_its_end() -> None:
    said = transcript_of("seed", 60.0, "fr")
    assert len(said.text.split()) == 150
    assert said.segments[0].start_s == 0.0
    assert said.segments[-1].end_s == pytest.approx(60.0)
    assert all(one.end_s == two.start_s for one, two in zip(said.segments, said.segments[1:], strict=False))
    assert len([word for segment in said.segments for word in segment.words]) == 150
    assert said == transcript_of("seed", 60.0, "fr") != transcript_of("seed", 60.0, "de")


def test_subtitles_are_written_with_their_own_clock() -> None:
    said = transcript_of("seed", 3725.5, "en")
    assert said.srt().startswith("1\n00:00:00,000 --> 00:00:")
    assert said.vtt().startswith("WEBVTT\n\n00:00:00.000 --> 00:00:")
    assert "--> 01:02:05,500\n" in said.srt()
    assert "--> 01:02:05.500\n" in said.vtt()


def part(head: str, content: bytes) -> bytes:
    return f"--edge\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + content + b"\r\n"


def test_a_form_is_read_field_by_field_and_file_by_file() -> None:
    body = (
        part('name="file"; filename="été.wav"', b"\r\n--edg\x00\xff\r\n")
        + part('name="image[]"; filename="a.png"', b"A")
        + part('name="image[]"; filename="b.png"', b"")
        + part('name="model"', b"sim-image")
        + part('name="n"', b"2")
        + part('name="stream"', b"True")
        + part('name="timestamp_granularities[]"', b"word")
        + part('name="twice"', b"one")
        + part('name="twice"', b"two")
        + b"--edge--\r\n"
    )
    fields, files = read_form(FORM, body)
    assert fields == {"model": "sim-image", "n": 2, "stream": True, "timestamp_granularities": ["word"], "twice": ["one", "two"]}
    assert [(upload.filename, upload.content) for upload in files["file"]] == [("été.wav", b"\r\n--edg\x00\xff\r\n")]
    assert [upload.content for upload in files["image"]] == [b"A", b""]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("multipart/form-data", b"--edge--\r\n"),
        (FORM, b""),
        (FORM, b"no boundary at all"),
        (FORM, part('name="a"', b"x")),
        (FORM, part("filename=b", b"x") + b"--edge--\r\n"),
        (FORM, part('name="a"', b"x") * 1001 + b"--edge--\r\n"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(kind: str, body: bytes) -> None:
    with pytest.raises(Refused, match="Simulated") as caught:
        read_form(kind, body)
    assert caught.value.status == 400


def test_a_full_shelf_forgets_the_oldest_answer() -> None:
    shelf = Shelf(most=2)
    for name in "abc":
        shelf.keep(name, Kept(document={"id": name}))
    assert shelf.find("a") is None
    assert shelf.find("b") is not None
    shelf.drop("b")
    shelf.drop("b")
    assert shelf.find("b") is None
