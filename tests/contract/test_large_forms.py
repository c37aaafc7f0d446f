"""Forms too large to be held: they stream through or wait in a file, their bytes leave as they came, and they are metered as small ones."""

import hashlib
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.case import Case, compact
from tests.contract.endpoint_cases import BOUNDARY, IMAGE_EDITS, TRANSCRIPTIONS, form, wav_of
from tests.contract.proxy_harness import KEY, Answer, Proxy, proxy, until, without_footprint
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole
from tests.contract.test_endpoints import holds, only_row, rows_of

WAV = wav_of(2.5)
MIB = 1024 * 1024
PADDED = WAV + bytes(3 * MIB)
"""A recording of 2.5 seconds, told by its header, and more bytes than are held."""

TEXT = b"Un pull en m\xc3\xa9rinos."
LIMITS = {"limits": {"json_body_mb": 1, "upload_mb": 8}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def open_house(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy that sends every model to one place under its own name: nothing depends on the model."""
    with proxy(tmp_path_factory.mktemp("open"), upstream.url, server=LIMITS) as running:
        yield running


@pytest.fixture(scope="module")
def house(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy whose alias `own` stands for a model of another name."""
    deployment = {"provider": "openai", "api_base": f"{upstream.url}/v1"}
    models = {"own": {"deployments": [{**deployment, "model": "whisper-1"}]}, "*": {"deployments": [deployment]}}
    with proxy(tmp_path_factory.mktemp("house"), models=models, server=LIMITS) as running:
        yield running


def send(made: Proxy, body: bytes | Iterable[bytes], case: Case = TRANSCRIPTIONS) -> Answer:
    return made.send("POST", case.path, body, case.headers)


def asked(files_first: bool, model: str = "whisper-1", **fields: str) -> bytes:
    return form({"model": model, "response_format": "text", **fields}, (("file", PADDED),), files_first=files_first)


def is_same(upstream: ScriptedUpstream, body: bytes) -> bool:
    """True when the provider got these bytes, and their length before them."""
    assert upstream.last.value("content-length") == str(len(body)).encode()
    return hashlib.sha256(upstream.last.body).digest() == hashlib.sha256(body).digest()


@pytest.mark.parametrize("files_first", [False, True], ids=["model first", "model last"])
def test_a_large_recording_streams_through_and_is_metered_with_its_model(
    upstream: ScriptedUpstream, open_house: Proxy, files_first: bool
) -> None:
    upstream.answers(*whole(TEXT, kind=b"text/plain"))
    body = asked(files_first)
    answer = send(open_house, body)
    assert (answer.status, answer.body) == (200, TEXT)
    assert is_same(upstream, body)
    row = only_row(open_house, answer.ours["call-id"])
    holds(row, {"alias": "whisper-1", "model": "whisper-1", "operation": "transcription", "usage_source": "counted", "partial": 0})
    assert row["media_audio_input_seconds"] == pytest.approx(2.5, rel=0.02)
    assert row["request_bytes"] == len(body)
    assert row["gco2e"] > 0


@pytest.mark.parametrize("files_first", [False, True], ids=["model first", "model last"])
def test_an_aliass_name_is_replaced_wherever_it_stands(upstream: ScriptedUpstream, house: Proxy, files_first: bool) -> None:
    upstream.answers(*whole(TEXT, kind=b"text/plain"))
    answer = send(house, asked(files_first, model="own", prompt="own model own"))
    assert is_same(upstream, asked(files_first, prompt="own model own"))
    holds(only_row(house, answer.ours["call-id"]), {"alias": "own", "model": "whisper-1"})


def test_a_form_that_names_no_model_gets_the_deployments_name_as_its_first_part(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    row = {"gpt-image-1.5": {"deployments": [{"provider": "openai", "model": "house-2", "api_base": f"{upstream.url}/v1"}]}}
    upstream.answers(*whole(IMAGE_EDITS.answer))
    files = (("image", PADDED),)
    with proxy(tmp_path, models=row, server=LIMITS) as running:
        answer = send(running, form({"prompt": "In red"}, files), IMAGE_EDITS)
        assert (answer.status, without_footprint(answer.body)) == (200, IMAGE_EDITS.answer)
    assert is_same(upstream, form({"model": "house-2", "prompt": "In red"}, files))


def test_a_form_of_unstated_length_is_metered_whether_it_is_small_or_large(upstream: ScriptedUpstream, open_house: Proxy) -> None:
    for padding in (0, 3 * MIB):
        upstream.answers(*whole(TEXT, kind=b"text/plain"))
        body = form({"response_format": "text", "model": "whisper-1"}, (("file", WAV + bytes(padding)),), files_first=True)
        answer = send(open_house, (body[at : at + 65536] for at in range(0, len(body), 65536)))
        assert answer.status == 200
        assert upstream.last.body == body
        holds(only_row(open_house, answer.ours["call-id"]), {"alias": "whisper-1", "request_bytes": len(body)})


def test_the_second_deployment_gets_the_whole_upload_when_the_first_fails(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    deployment = {"provider": "openai", "model": "whisper-1", "api_base": f"{upstream.url}/v1"}
    models = {"own": {"deployments": [deployment, {**deployment, "model": "whisper-2", "order": 2}]}}
    broken = whole(compact({"error": {"message": "down", "type": "server_error"}}), status=b"503 Service Unavailable")
    upstream.answers_in_turn(broken, whole(TEXT, kind=b"text/plain"))
    with proxy(tmp_path, models=models, server=LIMITS) as running:
        answer = send(running, asked(True, model="own"))
        assert (answer.status, answer.body) == (200, TEXT)
        rows = rows_of(running)
    assert is_same(upstream, asked(True, model="whisper-2"))
    assert [(row["status"], row["model"]) for row in rows] == [(503, "whisper-1"), (200, "whisper-2")]


def test_an_upload_that_streams_is_not_sent_twice(upstream: ScriptedUpstream, open_house: Proxy) -> None:
    upstream.answers(*whole(compact({"error": {"message": "down"}}), status=b"503 Service Unavailable"))
    before = len(upstream.received)
    answer = send(open_house, asked(True))
    assert (answer.status, answer.json["error"]["message"]) == (503, "down")
    assert len(upstream.received) == before + 1


def test_a_form_that_names_a_second_model_later_is_cut(upstream: ScriptedUpstream, open_house: Proxy) -> None:
    """Which of two a provider takes is its own affair, and a key may be bound to the first."""
    body = form({"model": "whisper-1"}, (("file", PADDED),)).removesuffix(f"--{BOUNDARY}--\r\n".encode()) + form({"model": "gpt-image-1"})
    answer = send(open_house, body)
    assert (answer.status, answer.error["code"]) == (400, "malformed_form")
    assert all(received.body != body for received in upstream.received)


def test_an_upload_above_the_limit_is_refused(upstream: ScriptedUpstream, open_house: Proxy) -> None:
    large = form({"model": "whisper-1"}, (("file", bytes(9 * MIB)),))
    stated = send(open_house, large)
    assert (stated.status, stated.error["code"]) == (413, "body_too_large")
    unstated = send(open_house, (large[at : at + 65536] for at in range(0, len(large), 65536)))
    assert (unstated.status, unstated.error["code"]) == (413, "body_too_large")
    assert all(received.body != large for received in upstream.received)


@pytest.mark.parametrize("files_first", [False, True], ids=["model first", "model last"])
def test_a_client_that_leaves_while_it_sends_is_recorded_once(open_house: Proxy, files_first: bool) -> None:
    before = len(rows_of(open_house))
    body = asked(files_first)
    head = (
        f"POST {TRANSCRIPTIONS.path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(open_house.address) as connection:
        connection.sendall(head.encode() + body[: 2 * MIB])
    (row,) = until(lambda: rows_of(open_house)[before:] or None)
    assert (row["status"], row["outcome"]) == (499, "client_left")


def test_the_policy_of_a_dry_run_knows_the_model_that_comes_last(upstream: ScriptedUpstream, open_house: Proxy) -> None:
    before = len(upstream.received)
    headers: dict[str, Any] = {**TRANSCRIPTIONS.headers, "x-grammage-dry-run": "true"}
    answer = open_house.send("POST", TRANSCRIPTIONS.path, asked(True), headers)
    assert (answer.status, answer.json["alias"]) == (200, "whisper-1")
    assert not any(received.body == asked(True) for received in upstream.received[before:])  # a cut one of before may come late
