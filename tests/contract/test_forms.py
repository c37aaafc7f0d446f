"""Multipart requests: files leave as they came, only small fields are read, and what an answer does not say is found out otherwise."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from proxy.meter.count import count_tokens
from proxy.simulate.picture import draw
from tests.contract.endpoint_cases import (
    BOUNDARY,
    FORMS,
    IMAGE_EDITS,
    IMAGE_VARIATIONS,
    MP3,
    PNG,
    TRANSCRIPTIONS,
    TRANSLATIONS,
    Case,
    compact,
    form,
    wav_of,
)
from tests.contract.proxy_harness import KEY, Answer, Proxy, proxy, simulated, without_footprint
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole
from tests.contract.test_endpoints import holds, only_row

WAV = wav_of(3.0)
PICTURE = draw("input", 1024, 1024)
TEXT = "Un pull en m\u00e9rinos. Tricot\u00e9 main.\n"
SRT = "1\n00:00:00,000 --> 00:00:02,500\nUn pull en m\u00e9rinos.\n\n2\n00:00:02,500 --> 00:00:05,000\nTricot\u00e9 main.\n"
VTT = "WEBVTT\n\n00:00:00.000 --> 00:00:02.500\nUn pull en m\u00e9rinos.\n\n00:00:02.500 --> 00:00:05.000\nTricot\u00e9 main.\n"
form_cases = pytest.mark.parametrize("case", FORMS, ids=[case.path[4:] for case in FORMS])


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def made(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy whose alias `own` stands for a model of another name, and that holds no form above 1 MiB."""
    deployment = {"provider": "openai", "api_base": f"{upstream.url}/v1"}
    own = {"own": {"deployments": [{**deployment, "model": "gpt-4o-transcribe"}]}, "*": {"deployments": [deployment]}}
    limits = {"limits": {"json_body_mb": 1}}
    with proxy(tmp_path_factory.mktemp("forms"), models=own, server=limits) as running:
        yield running


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """The SDK, before a proxy, before the simulated provider."""
    with (
        simulated() as url,
        proxy(tmp_path_factory.mktemp("sdk"), url) as running,
        openai.OpenAI(base_url=running.v1, api_key=KEY, max_retries=0) as opened,
    ):
        yield opened


def send(made: Proxy, case: Case, body: bytes) -> Answer:
    return made.send("POST", case.path, body, case.headers)


def test_a_model_after_the_file_is_replaced_and_nothing_else(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(TRANSCRIPTIONS.answer))
    fields = {"language": "fr", "model": "own", "prompt": "own model own"}
    answer = send(made, TRANSCRIPTIONS, form(fields, TRANSCRIPTIONS.files, files_first=True))
    assert upstream.last.body == form({**fields, "model": "gpt-4o-transcribe"}, TRANSCRIPTIONS.files, files_first=True)
    assert upstream.last.value("content-length") == str(len(upstream.last.body)).encode()
    holds(only_row(made, answer.ours["call-id"]), {"model": "gpt-4o-transcribe", "audio_input_tokens": 60})


def test_the_length_that_a_part_states_of_itself_follows_its_model(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(TRANSCRIPTIONS.answer))
    body = form({"model": "own"}, TRANSCRIPTIONS.files)
    stated = body.replace(b'name="model"\r\n', b'name="model"\r\nContent-Length: 3\r\n')
    send(made, TRANSCRIPTIONS, stated)
    wanted = stated.replace(b"Length: 3\r\n\r\nown", b"Length: 17\r\n\r\ngpt-4o-transcribe")
    assert upstream.last.body == wanted


def test_a_form_that_names_no_model_gets_the_deployments_name_as_a_part(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    row = {"dall-e-2": {"deployments": [{"provider": "openai", "model": "house-2", "api_base": f"{upstream.url}/v1"}]}}
    upstream.answers(*whole(IMAGE_VARIATIONS.answer))
    with proxy(tmp_path, models=row) as running:
        assert send(running, IMAGE_VARIATIONS, IMAGE_VARIATIONS.sent()).status == 200
    assert upstream.last.body == form({"model": "house-2", **IMAGE_VARIATIONS.ask}, IMAGE_VARIATIONS.files)


@form_cases
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda body: body[:-20], "breaks off"),
        (lambda body: body.replace(BOUNDARY.encode(), b"another"), "boundary stands nowhere"),
        (lambda body: b"", "boundary stands nowhere"),
        (lambda body: form({"model": "a"})[: -len(BOUNDARY) - 6] + form({"model": "b"}), "more than once"),
        (lambda body: body.replace(b"Content-Disposition", b"Disposition", 1), "no name"),
    ],
    ids=["cut", "foreign", "empty", "two models", "nameless"],
)
def test_a_form_that_cannot_be_read_is_refused(upstream: ScriptedUpstream, made: Proxy, case: Case, change: Any, words: str) -> None:
    before = len(upstream.received)
    answer = send(made, case, change(case.sent()))
    assert (answer.status, answer.error["code"], answer.error["type"]) == (400, "malformed_form", "grammage_error")
    assert words in answer.error["message"]
    assert len(upstream.received) == before


def test_a_form_without_a_boundary_is_refused(made: Proxy) -> None:
    answer = made.send("POST", TRANSCRIPTIONS.path, TRANSCRIPTIONS.sent(), {"content-type": "multipart/form-data"})
    assert (answer.status, answer.error["code"]) == (400, "malformed_form")


@pytest.mark.parametrize("case", [IMAGE_VARIATIONS, TRANSCRIPTIONS, TRANSLATIONS], ids=lambda case: case.operation)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", ""])
def test_another_kind_of_body_is_refused_where_a_file_is_needed(made: Proxy, case: Case, kind: str) -> None:
    answer = made.send("POST", case.path, b'{"model":"whisper-1"}', {"content-type": kind} if kind else {})
    assert (answer.status, answer.error["code"]) == (415, "unsupported_content_type")
    assert "multipart/form-data" in answer.error["message"]


@pytest.mark.parametrize("case", [TRANSCRIPTIONS, TRANSLATIONS], ids=lambda case: case.operation)
def test_a_recording_without_a_model_is_refused(made: Proxy, case: Case) -> None:
    answer = send(made, case, form({"language": "fr"}, case.files))
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "missing_model", "model")


def test_a_stream_that_is_no_truth_value_is_refused(made: Proxy) -> None:
    answer = send(made, TRANSCRIPTIONS, TRANSCRIPTIONS.sent(stream="perhaps"))
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "invalid_type", "stream")


def test_a_form_too_large_to_be_held_streams_through_and_is_metered(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(TRANSCRIPTIONS.answer))
    body = form({"model": "gpt-4o-transcribe"}, (("file", bytes(1 << 20)),))
    answer = send(made, TRANSCRIPTIONS, body)
    assert (answer.status, without_footprint(answer.body)) == (200, TRANSCRIPTIONS.answer)
    assert hashlib.sha256(upstream.last.body).digest() == hashlib.sha256(body).digest()
    assert upstream.last.value("content-length") == str(len(body)).encode()
    expected = {**TRANSCRIPTIONS.recorded, "media_audio_input_seconds": None, "request_bytes": len(body)}
    holds(only_row(made, answer.ours["call-id"]), expected)


@pytest.mark.parametrize("text", [TEXT, SRT, VTT], ids=["text", "srt", "vtt"])
def test_a_plain_answer_passes_unchanged_and_its_words_are_counted(upstream: ScriptedUpstream, made: Proxy, text: str) -> None:
    upstream.answers(*whole(text.encode(), kind=b"text/plain; charset=utf-8"))
    answer = send(made, TRANSCRIPTIONS, form({"model": "whisper-1", "response_format": "srt"}, (("file", WAV),)))
    assert (answer.body, answer.value("content-type")) == (text.encode(), "text/plain; charset=utf-8")
    row = only_row(made, answer.ours["call-id"])
    holds(row, {"media_audio_input_seconds": 3.0, "input_tokens": 0, "usage_source": "counted", "partial": 0})
    assert row["output_tokens"] == pytest.approx(count_tokens(TEXT, "whisper-1"), abs=2)
    assert float(answer.ours["gco2e"]) == pytest.approx(row["gco2e"], rel=1e-3)


def test_seconds_told_are_recorded_and_the_footprint_stands_beside_them(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(compact({"text": "Un pull.", "usage": {"type": "duration", "seconds": 42}})))
    answer = send(made, TRANSCRIPTIONS, form({"model": "whisper-1"}, (("file", MP3),)))
    assert {name: value for name, value in answer.json["usage"].items() if name != "footprint"} == {"type": "duration", "seconds": 42}
    assert answer.json["usage"]["footprint"]["gco2e"] > 0
    holds(only_row(made, answer.ours["call-id"]), {"media_audio_input_seconds": 42.0, "input_tokens": 0})


def test_a_recording_of_unknown_length_is_weighed_by_what_was_written_down(upstream: ScriptedUpstream, made: Proxy) -> None:
    weights = []
    for words in (40, 4000):
        upstream.answers(*whole(compact({"text": "wool " * words})))
        answer = send(made, TRANSLATIONS, form({"model": "whisper-1"}, (("file", MP3),)))
        row = only_row(made, answer.ours["call-id"])
        assert row["media_audio_input_seconds"] is None
        weights.append(row["gco2e"])
    assert 20 < weights[1] / weights[0] < 200


def test_an_edit_asked_in_json_is_metered_as_one_in_a_form(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(IMAGE_EDITS.answer))
    picture = {"image_url": f"data:image/png;base64,{PNG}"}
    asked = {"model": "gpt-image-1", "prompt": "In red", "images": [picture, {"file_id": "file-1"}], "mask": picture, "n": 2}
    answer = made.post(IMAGE_EDITS.path, asked)
    assert json.loads(upstream.last.body) == asked
    holds(only_row(made, answer.ours["call-id"]), IMAGE_EDITS.recorded)


def test_an_edit_that_names_no_model_has_the_providers_own(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(IMAGE_EDITS.answer))
    answer = send(made, IMAGE_EDITS, form({"prompt": "In red"}, IMAGE_EDITS.files))
    holds(only_row(made, answer.ours["call-id"]), {"model": "gpt-image-1.5", "input_images": 3})


def test_the_sdk_edits_and_varies_pictures(client: openai.OpenAI) -> None:
    two: Any = [("\u00e9.png", PICTURE, "image/png"), ("b.png", PICTURE, "image/png")]
    edited: Any = client.images.edit(model="sim-image-tokens", prompt="Blue", image=two, mask=PICTURE)
    assert edited.usage.footprint["gco2e"] > 0
    *_, last = client.images.edit(model="sim-image-tokens", prompt="Blue", image=PICTURE, stream=True)
    assert last.type == "image_edit.completed"
    usage: Any = last.usage
    assert usage.footprint["gco2e"] > 0
    raw = client.images.with_raw_response.create_variation(model="sim-image", image=PICTURE, n=3)
    assert len(raw.parse().data or []) == 3
    assert float(raw.headers["x-grammage-gco2e"]) > 0


def test_the_sdk_has_recordings_written_down(client: openai.OpenAI) -> None:
    def write(model: str, **more: Any) -> Any:
        return client.audio.transcriptions.create(model=model, file=("\u00e9t\u00e9.wav", WAV), **more)

    by_seconds, by_tokens = write("sim-transcribe"), write("sim-transcribe-tokens")
    assert (by_seconds.usage.type, by_tokens.usage.type) == ("duration", "tokens")
    assert by_seconds.usage.footprint["gco2e"] > 0
    assert by_tokens.usage.footprint["gco2e"] > 0
    assert write("sim-transcribe", response_format="text").strip() == by_seconds.text
    assert write("sim-transcribe", response_format="vtt").startswith("WEBVTT")
    assert write("sim-transcribe", response_format="verbose_json").duration == 3.0
    *deltas, done = write("sim-transcribe-tokens", stream=True)
    assert "".join(event.delta for event in deltas) == done.text == by_tokens.text
    assert done.usage.footprint["gco2e"] > 0
    raw = client.audio.translations.with_raw_response.create(model="sim-transcribe", file=("a.wav", WAV))
    assert raw.parse().text
    assert float(raw.headers["x-grammage-gco2e"]) > 0


def test_the_built_in_provider_takes_forms_too(tmp_path: Path) -> None:
    with proxy(tmp_path) as running:
        answer = send(running, TRANSCRIPTIONS, form({"model": "sim-transcribe"}, (("file", WAV),)))
    assert answer.json["usage"]["seconds"] == 3
    assert answer.json["usage"]["footprint"]["gco2e"] > 0
