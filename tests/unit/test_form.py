"""The reader of forms and of WAV headers: it finds what a client wrote, whatever the files hold, and gives up early on what is none."""

import pytest

from proxy.endpoints.form import MOST_LOOKALIKES, asked_in, read_form, with_model
from proxy.errors import BadRequest
from proxy.probe.glimpse import whole
from proxy.probe.sound_length import sound_seconds
from tests.contract.endpoint_cases import BOUNDARY, form, wav_of

KIND = f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}".encode()
WAV = wav_of(2.5)


@pytest.mark.parametrize(
    "content", [b"", b"\r\n", b"\r\n--", b"--frontier-7f3a", b"\r\n--frontier-7f3", b"\r\n--frontier-7f3ab--\r\n", b"\x00" * 99]
)
@pytest.mark.parametrize("files_first", [True, False])
def test_a_file_stands_where_it_was_put_whatever_it_holds(content: bytes, files_first: bool) -> None:
    body = form({"model": "a"}, (("image[]", content), ("image[]", b"second")), files_first=files_first)
    found = read_form(KIND, body)
    assert [body[part.start : part.end] for part in found.files("image")] == [content, b"second"]
    assert with_model(found, body, "longer") == form(
        {"model": "longer"}, (("image[]", content), ("image[]", b"second")), files_first=files_first
    )


def test_fields_are_read_as_json_would_say_them() -> None:
    body = form({"model": "m", "n": 3, "stream": True, "prompt": 'caf\u00e9 "x"\r\n', "size": "512x512"}, (("mask", b"12345"),))
    assert asked_in(read_form(KIND, body), body) == (
        '{"model":"m","n":3,"stream":true,"prompt":"caf\u00e9 \\"x\\"\\r\\n","size":"512x512","mask":[{"bytes":5}]}'.encode()
    )


def test_what_stands_before_the_first_boundary_stays() -> None:
    body = b"for old readers\r\n" + form({"prompt": "x"})
    assert with_model(read_form(KIND, body), body, "m") == b"for old readers\r\n" + form({"model": "m", "prompt": "x"})


@pytest.mark.parametrize(
    "body",
    [
        form({"model": "m"}, (("file", b"\r\n--frontier-7f3aX" * (MOST_LOOKALIKES + 1)),)),
        form({f"f{number}": "x" for number in range(1001)}),
        form({"model": "m"}).replace(b"\r\n\r\n", b"\r\n" + b"x: y\r\n" * 4000 + b"\r\n"),
        form({"model": "m"}).replace(b"3a\r\n", b"3a --\r\n"),
    ],
    ids=["lookalikes", "parts", "headers", "odd boundary"],
)
def test_a_form_that_only_costs_time_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest) as refusal:
        read_form(KIND, body)
    assert refusal.value.code == "malformed_form"


@pytest.mark.parametrize("told", [None, 0, 0xFFFFFFFF])
def test_a_wav_file_is_as_long_as_its_samples(told: int | None) -> None:
    at = WAV.index(b"data") + 4
    written = WAV if told is None else WAV[:at] + told.to_bytes(4, "little") + WAV[at + 4 :]
    around = b"before" + written + b"after"
    assert sound_seconds(whole(around, 6, 6 + len(written))) == pytest.approx(2.5)


def test_a_wav_file_with_other_chunks_is_read_past_them() -> None:
    listed = WAV[:12] + b"LIST" + (3).to_bytes(4, "little") + b"abc\x00" + WAV[12:]
    assert sound_seconds(whole(listed, 0, len(listed))) == pytest.approx(2.5)


@pytest.mark.parametrize("content", [b"", b"RIFF", WAV[:20], WAV[:44], b"ID3" + WAV, WAV.replace(b"fmt ", b"fmx ")])
def test_what_is_no_wav_file_has_no_length(content: bytes) -> None:
    assert sound_seconds(whole(content, 0, len(content))) is None
