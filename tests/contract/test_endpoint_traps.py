"""What each endpoint does differently: work in the background, tools beside the usage, pictures without tokens, models nobody names."""

import base64
import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.ledger.ids import id_bytes
from tests.contract.endpoint_cases import (
    CASES,
    DRAWN,
    IMAGES,
    MP3,
    PNG,
    RESPONSES,
    RESPONSES_USAGE,
    SPEECH,
    STREAMED_IMAGE_USAGE,
    compact,
    event,
    response,
    response_events,
)
from tests.contract.ledger_rows import plain
from tests.contract.proxy_harness import Answer, Proxy, proxy, without_footprint
from tests.contract.scripted_upstream import UNTIL_LEFT, ScriptedUpstream, scripted_upstream, streamed, whole

LARGE = base64.b64encode(bytes(range(256)) * 8192).decode()


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def made(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("traps"), upstream.url) as running:
        yield running


def row_of(made: Proxy, answer: Answer) -> dict[str, Any]:
    """The answered call's only attempt, with its estimate."""
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        (row,) = database.execute(
            "SELECT a.*, e.gco2e, e.method, e.warnings FROM attempts a LEFT JOIN estimates e ON e.attempt_id = a.attempt_id"
            " WHERE a.call_id = ?",
            (id_bytes(answer.ours["call-id"]),),
        )
        return plain(row)


# Responses


@pytest.mark.parametrize("kind", ["response.completed", "response.incomplete", "response.failed"])
@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
def test_each_end_of_a_responses_stream_carries_its_usage(upstream: ScriptedUpstream, made: Proxy, kind: str, named: bool) -> None:
    events = response_events(kind, named=named)
    upstream.answers(*streamed(*events))
    answer = made.post(RESPONSES.path, {**RESPONSES.ask, "stream": True})
    assert without_footprint(answer.body) == b"".join(events)
    last = json.loads(answer.body.rstrip().split(b"data: ")[-1])
    assert (last["type"], last["sequence_number"]) == (kind, len(events) - 1)
    assert last["response"]["usage"]["footprint"]["call_id"] == answer.ours["call-id"]
    row = row_of(made, answer)
    assert (row["input_tokens"], row["output_tokens"], row["served_model"]) == (81, 1035, "gpt-5-mini-2025-08-07")


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_work_in_the_background_is_recorded_and_not_weighed_as_nothing(upstream: ScriptedUpstream, made: Proxy, status: str) -> None:
    body = compact(response(status=status, background=True, usage=None, output=[]))
    upstream.answers(*whole(body))
    answer = made.post(RESPONSES.path, {**RESPONSES.ask, "background": True})
    assert answer.body == body
    assert set(answer.ours) == {"call-id"}
    row = row_of(made, answer)
    assert (row["unweighed_reason"], row["gco2e"], row["input_tokens"], row["usage_source"]) == ("pending", None, None, None)


def test_polling_a_response_is_passed_and_not_weighed(upstream: ScriptedUpstream, made: Proxy) -> None:
    body = compact(response())
    upstream.answers(*whole(body))
    before = len(made.calls())
    answer = made.get("/v1/responses/resp_1?include=x")
    assert (answer.body, answer.ours, upstream.last.target) == (body, {}, "/v1/responses/resp_1?include=x")
    assert len(made.calls()) == before


TOOLS = {"image_gen": {"input_tokens": 30, "output_tokens": 1056, "input_tokens_details": {"image_tokens": 9, "text_tokens": 21}}}


@pytest.mark.parametrize("stream", [False, True])
def test_tokens_of_the_picture_tool_stand_beside_the_usage_and_count(upstream: ScriptedUpstream, made: Proxy, stream: bool) -> None:
    drawing = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG}
    changes: dict[str, Any] = {"output": [drawing], "tool_usage": {**TOOLS, "web_search": {"num_requests": 0}}}
    if stream:
        upstream.answers(*streamed(*response_events(**changes)))
    else:
        upstream.answers(*whole(compact(response(**changes))))
    row = row_of(made, made.post(RESPONSES.path, {**RESPONSES.ask, "stream": stream}))
    assert (row["input_tokens"], row["output_tokens"]) == (81 + 30, 1035 + 1056)
    assert (row["image_input_tokens"], row["image_output_tokens"], row["media_images"]) == (9, 1056, 1)


def test_a_response_without_usage_is_counted(upstream: ScriptedUpstream, made: Proxy) -> None:
    said = [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "The jumper is warm and light."}]}]
    called = [{"type": "function_call", "call_id": "c", "name": "look_up", "arguments": '{"sku":"A-1"}'}]
    upstream.answers(*whole(compact(response(usage=None, output=said + called))))
    asked = [
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "Describe it."}, {"type": "input_image", "image_url": "https://x/y.png"}],
        },
        {"type": "function_call_output", "call_id": "c", "output": "a merino jumper"},
    ]
    answer = made.post(RESPONSES.path, {"model": "gpt-5-mini", "instructions": "Be short.", "input": asked})
    row = row_of(made, answer)
    assert row["usage_source"] == "counted"
    assert row["image_input_tokens"] == 1229  # 32 x 32 patches times 1.2: the assumed square of an address that nobody fetches
    assert 15 <= row["input_tokens"] - row["image_input_tokens"] <= 30
    assert 17 <= row["output_tokens"] <= 22
    assert row["input_images"] == 1


def test_what_the_provider_remembers_is_not_counted_as_if_we_saw_it(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(compact(response(usage=None))))
    answer = made.post(RESPONSES.path, {**RESPONSES.ask, "previous_response_id": "resp_0"})
    assert row_of(made, answer)["usage_source"] == "estimated"


def test_a_stream_without_usage_counts_the_new_text_once(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*streamed(*response_events(usage=None)))
    row = row_of(made, made.post(RESPONSES.path, {**RESPONSES.ask, "stream": True}))
    assert row["usage_source"] == "counted"
    assert 6 <= row["output_tokens"] <= 12


def test_nothing_is_forced_upon_a_responses_stream(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*streamed(*response_events()))
    body = b'{ "stream" : true, "model":"gpt-5-mini", "input": "x", "background": true }'
    made.post(RESPONSES.path + "?beta=true", body)
    assert (upstream.last.body, upstream.last.target) == (body, "/v1/responses?beta=true")


# A model that is not named


@pytest.mark.parametrize(
    ("path", "body", "alias"),
    [
        ("/v1/moderations", b'{"input": "x"}', "omni-moderation-latest"),
        ("/v1/images/generations", b'{"prompt": "x"}', "dall-e-2"),
        ("/v1/images/generations", b'{"prompt": "x", "model": null}', "dall-e-2"),
        ("/v1/responses", b"{}", "unnamed"),
    ],
)
def test_a_model_that_need_not_be_named_is_not(upstream: ScriptedUpstream, made: Proxy, path: str, body: bytes, alias: str) -> None:
    upstream.answers(*whole(CASES[path].answer))
    answer = made.post(path, body)
    assert (answer.status, upstream.last.body) == (200, body)
    assert [row["alias"] for row in made.calls() if row["call_id"] == answer.ours["call-id"]] == [alias]


def test_a_speech_without_a_model_is_refused(made: Proxy) -> None:
    answer = made.post(SPEECH.path, {"input": "x", "voice": "alloy"})
    assert (answer.status, answer.error["code"], answer.error["param"]) == (400, "missing_model", "model")


@pytest.mark.parametrize("body", [b"{}", b'{ "input":"x" }', b'{"model":null}', b'{"model":"unnamed","input":"x"}'])
def test_a_deployment_that_has_its_own_model_names_it(upstream: ScriptedUpstream, tmp_path: Path, body: bytes) -> None:
    deployment = {"provider": "openai", "model": "gpt-5-nano", "api_base": f"{upstream.url}/v1"}
    upstream.answers(*whole(RESPONSES.answer))
    with proxy(tmp_path, models={"unnamed": {"deployments": [deployment]}}) as running:
        assert running.post(RESPONSES.path, body).status == 200
    assert json.loads(upstream.last.body) == {**json.loads(body), "model": "gpt-5-nano"}


# Pictures


def test_pictures_without_usage_are_weighed_by_what_was_asked(upstream: ScriptedUpstream, made: Proxy) -> None:
    body = compact({"created": 1, "data": [{"url": "https://x/1.png", "revised_prompt": 'a "size":"1x1" jumper'}]})
    upstream.answers(*whole(body))
    answer = made.post(IMAGES.path, {"model": "dall-e-3", "prompt": "A jumper", "n": 1, "size": "1792x1024", "quality": "hd"})
    assert answer.body == body
    row = row_of(made, answer)
    assert (row["media_images"], row["media_width"], row["media_height"], row["media_quality"]) == (1, 1792, 1024, "hd")
    assert (row["method"], row["usage_source"], row["output_tokens"]) == ("images", "counted", 0)
    plain = row_of(made, made.post(IMAGES.path, {"model": "dall-e-3", "prompt": "A jumper", "n": 1, "size": "1024x1024"}))
    assert plain["gco2e"] < row["gco2e"]


@pytest.mark.parametrize(
    ("asked", "recorded"),
    [
        ({"num_inference_steps": 4, "width": 512, "height": 768}, (1, 512, 768, None, 4)),
        ({"steps": 30, "size": "512*512", "n": 4}, (4, 512, 512, None, 30)),
        ({"size": "auto", "quality": "auto"}, (1, None, None, None, None)),
        ({"size": 7, "quality": ["x"], "n": "two", "steps": -1}, (1, None, None, None, None)),
        ({"size": "0x0", "n": True, "quality": "x" * 40}, (1, None, None, None, None)),
    ],
)
def test_what_is_not_said_of_a_picture_stays_unknown(
    upstream: ScriptedUpstream, made: Proxy, asked: dict[str, Any], recorded: tuple[Any, ...]
) -> None:
    upstream.answers(*whole(b'{"created":1,"images":[]}'))
    row = row_of(made, made.post(IMAGES.path, {"model": "flux-schnell", "prompt": "A jumper", **asked}))
    assert tuple(row[f"media_{name}"] for name in ("images", "width", "height", "quality", "steps")) == recorded
    assert row["gco2e"] > 0


def test_large_pictures_leave_as_they_came(upstream: ScriptedUpstream, made: Proxy) -> None:
    usage = {"input_tokens": 5, "output_tokens": 4160, "total_tokens": 4165}
    body = json.dumps({"created": 1, "data": [{"b64_json": LARGE}] * 4, "usage": usage, "size": "1024x1024"}).encode()
    upstream.answers(*whole(body))
    answer = made.post(IMAGES.path, {"model": "gpt-image-1", "prompt": "x", "n": 4})
    assert without_footprint(answer.body) == body
    row = row_of(made, answer)
    assert (row["media_images"], row["output_tokens"], row["media_width"]) == (4, 4160, 1024)


def test_large_pictures_stream_through(upstream: ScriptedUpstream, made: Proxy) -> None:
    events = [
        event({"type": "image_generation.partial_image", "partial_image_index": 0, "b64_json": LARGE, **DRAWN}),
        event({"type": "image_generation.completed", "b64_json": LARGE, **DRAWN, "usage": STREAMED_IMAGE_USAGE}),
    ]
    upstream.answers(*streamed(*events))
    answer = made.post(IMAGES.path, {"model": "gpt-image-1", "prompt": "x", "stream": True, "partial_images": 1})
    assert without_footprint(answer.body) == b"".join(events)
    row = row_of(made, answer)
    assert (row["output_tokens"], row["media_images"], row["media_height"], row["method"]) == (6440, 1, 1536, "image_tokens")


# Speech


@pytest.mark.parametrize("text", ["caf\\u00e9", "x\\ud83d", "\\ud83d\\udc11 x", ""])
def test_characters_of_a_speech_are_those_of_its_text(upstream: ScriptedUpstream, made: Proxy, text: str) -> None:
    upstream.answers(*whole(MP3, kind=b"audio/mpeg"))
    body = b'{"model":"tts-1","voice":"alloy","input":"%b"}' % text.encode()
    answer = made.post(SPEECH.path, body)
    assert (answer.body, answer.value("content-type")) == (MP3, "audio/mpeg")
    assert row_of(made, answer)["media_characters"] == len(json.loads(body)["input"])


def test_a_longer_speech_weighs_more_and_its_headers_say_what_is_recorded(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(MP3, kind=b"audio/mpeg"))
    short, long = (made.post(SPEECH.path, {**SPEECH.ask, "input": "Warm. " * times}) for times in (10, 400))
    for answer in (short, long):
        assert float(answer.ours["gco2e"]) == pytest.approx(row_of(made, answer)["gco2e"], rel=1e-3)
        assert answer.ours["basis"] == "final"
    assert float(long.ours["gco2e"]) > 10 * float(short.ours["gco2e"])


def test_a_speech_under_a_profile_that_counts_the_network_is_a_forecast(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*whole(MP3, kind=b"audio/mpeg"))
    with proxy(tmp_path, upstream.url, weighing={"profile": "ghgp-cat1"}) as running:
        answer = running.post(SPEECH.path, SPEECH.ask)
        assert answer.ours["basis"] == "forecast"
        assert row_of(running, answer)["gco2e"] > float(answer.ours["gco2e"])


def test_an_answer_of_json_to_a_speech_is_read(upstream: ScriptedUpstream, made: Proxy) -> None:
    body = b'{"error":{"message":"no such voice","type":"invalid_request_error","param":"voice","code":null}}'
    upstream.answers(*whole(body))
    answer = made.post(SPEECH.path, SPEECH.ask)
    assert (answer.body, answer.value("content-length")) == (body, str(len(body)))
    assert row_of(made, answer)["unweighed_reason"] == "not_generated"


def test_a_client_that_leaves_a_speech_is_recorded_as_partial(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.left.clear()
    before = len(made.calls())
    upstream.answers(*streamed(MP3, kind=b"audio/mpeg", end=False), UNTIL_LEFT)
    with (
        httpx.Client(base_url=made.url, headers=made.headers, trust_env=False) as client,
        client.stream("POST", SPEECH.path, json=SPEECH.ask) as reply,
    ):
        next(reply.iter_raw())
    assert upstream.left.wait(15)
    row = made.recorded(before + 1)[before]
    assert (row["outcome"], row["partial"], row["usage_source"]) == ("client_left", 1, "counted")
    assert row["gco2e"] > 0


def test_usage_stands_where_it_stood(upstream: ScriptedUpstream, made: Proxy) -> None:
    upstream.answers(*whole(RESPONSES.answer))
    answer = made.post(RESPONSES.path, RESPONSES.ask)
    usage = answer.json["usage"]
    assert {name: usage[name] for name in RESPONSES_USAGE} == RESPONSES_USAGE
    assert set(usage) - set(RESPONSES_USAGE) == {"footprint"}
