"""What LiteLLM's door does beside chat: other dialects and endpoints, what a caller may not reach, what breaks, who leaves."""

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.endpoint_cases import MP3, PNG, wav_of
from tests.contract.proxy_harness import Answer, Child, Proxy, serve_command, until
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, ScriptedUpstream, streamed, whole
from tests.providers.case import HALVES, KEY, TEXT, chat, chat_events, chunk
from tests.providers.translated_cases import CONVERSE, CONVERSE_EVENTS, MESSAGE, MESSAGE_EVENTS, anthropic_error

TURNS = [{"role": "user", "content": "Describe a jumper."}]
CONTENTS = [{"role": "user", "parts": [{"text": "Describe a jumper."}]}]
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
GENERATE, STREAM = "/v1beta/models/nova:generateContent", "/v1beta/models/nova:streamGenerateContent?alt=sse"
ASKS: dict[str, dict[str, Any]] = {
    CHAT: {"model": "nova", "messages": TURNS},
    "/v1/completions": {"model": "nova", "prompt": "Describe a jumper."},
    RESPONSES: {"model": "nova", "input": "Describe a jumper."},
    MESSAGES: {"model": "nova", "messages": TURNS, "max_tokens": 50},
    GENERATE: {"contents": CONTENTS, "generationConfig": {"maxOutputTokens": 50}},
}
STREAMS = {
    **{path: (path, {**body, "stream": True}) for path, body in ASKS.items() if path != GENERATE},
    GENERATE: (STREAM, ASKS[GENERATE]),
}
ENDS = {CHAT: b"[DONE]", "/v1/completions": b"[DONE]", RESPONSES: b"response.completed", MESSAGES: b"message_stop", GENERATE: b'"STOP"'}
paths = pytest.mark.parametrize("path", ASKS)
EVENTSTREAM = b"application/vnd.amazon.eventstream"


@pytest.fixture(scope="module")
def child(upstream: ScriptedUpstream, folder: Path) -> Iterator[Child]:
    """Deployments whose every call is translated; the environment holds a key that must not be spent."""
    aws = {"aws_access_key_id": "AKIA0123456789", "aws_secret_access_key": KEY}
    bedrock = {"provider": "bedrock", "model": "amazon.nova-lite-v1:0", "region": "eu-west-3", "params": aws}
    claude = {"provider": "anthropic", "model": "claude-sonnet-4-5", "door": "litellm"}
    own = {"provider": "inhouse", "model": "m", "door": "litellm", "api_base": f"{upstream.url}/v1"}
    deployments = {
        "nova": {**bedrock, "api_base": upstream.url},
        "claude": {**claude, "api_base": f"{upstream.url}/v1", "api_key": KEY},
        "keyless": {**claude, "api_base": f"{upstream.url}/v1"},
        "told": {**claude, "api_base": f"{upstream.url}/v1", "params": {"region_name": "eu"}},
        "nowhere": {**claude, "api_base": "http://127.0.0.1:9/v1", "api_key": KEY},
        "own": own,
        "beside": {**own, "provider": "local"},
        "canvas": {**bedrock, "model": "amazon.nova-canvas-v1:0", "api_base": upstream.url},
    }
    content = {
        "version": 1,
        "server": {"listen": "127.0.0.1:0"},
        "auth": "open",
        "models": {
            **{name: {"deployments": [deployment]} for name, deployment in deployments.items()},
            "slow": {"deployments": [deployments["claude"]], "timeouts": {"silence_s": 0.3}, "retry": {"attempts": 1}},
        },
        "ledger": {"url": f"sqlite:///{folder / 'calls.db'}"},
        "user_hash_secret": "a secret of the tests",
    }
    (folder / "grammage.yaml").write_text(json.dumps(content))
    environ = {"ANTHROPIC_API_KEY": "sk-of-the-environment", "ANTHROPIC_BASE_URL": "http://127.0.0.1:1", "OPENAI_API_KEY": "sk-env"}
    with serve_command(folder, "--config", "grammage.yaml", **environ) as made:
        yield made


def last(made: Proxy) -> dict[str, Any]:
    return made.calls()[-1]


@paths
def test_every_dialect_and_endpoint_reaches_a_foreign_provider(upstream: ScriptedUpstream, proxy: Proxy, path: str) -> None:
    upstream.answers(*whole(json.dumps(CONVERSE).encode()))
    answer = proxy.post(path, ASKS[path])
    assert answer.status == 200, answer.body
    assert TEXT.encode() in answer.body
    assert upstream.last.target == "/model/amazon.nova-lite-v1%3A0/converse"
    row = last(proxy)
    assert (row["input_tokens"], row["output_tokens"], row["usage_source"]) == (21, 7, "provider")
    assert row["cached_input_tokens"] == (0 if path == GENERATE else 8)


@paths
def test_every_dialect_streams_from_a_foreign_provider(upstream: ScriptedUpstream, proxy: Proxy, path: str) -> None:
    upstream.answers(*streamed(*CONVERSE_EVENTS, kind=EVENTSTREAM))
    target, body = STREAMS[path]
    answer = proxy.post(target, body)
    assert (answer.status, answer.value("content-type")) == (200, "text/event-stream"), answer.body
    assert not answer.cut
    assert all(half.encode() in answer.body for half in HALVES)
    assert ENDS[path] in answer.body
    row = last(proxy)
    assert (row["input_tokens"], row["output_tokens"], row["usage_source"], row["stream_complete"]) == (21, 7, "provider", 1)


@paths
def test_a_cut_stream_ends_uncleanly_in_every_dialect(upstream: ScriptedUpstream, proxy: Proxy, path: str) -> None:
    upstream.answers(*streamed(*CONVERSE_EVENTS[:2], kind=EVENTSTREAM, end=False), RESET)
    target, body = STREAMS[path]
    answer = proxy.post(target, body)
    assert answer.cut, answer.body
    assert ENDS[path] not in answer.body
    assert (last(proxy)["outcome"], last(proxy)["partial"]) == ("upstream_cut", 1)


@pytest.mark.parametrize("stream", [False, True])
@paths
def test_a_refusal_is_told_in_the_callers_dialect(upstream: ScriptedUpstream, proxy: Proxy, path: str, stream: bool) -> None:
    upstream.answers(*whole(b'{"message":"Too many requests."}', (b"retry-after", b"7"), status=b"429 Too Many Requests"))
    target, body = STREAMS[path] if stream else (path, ASKS[path])
    answer = proxy.post(target, body)
    assert (answer.status, answer.value("retry-after")) == (429, "7"), answer.body
    shapes: dict[str, Any] = {
        MESSAGES: {"type": "error", "error": {"type": "rate_limit_error", "message": "Too many requests."}},
        GENERATE: {"error": {"code": 429, "message": "Too many requests.", "status": "RESOURCE_EXHAUSTED"}},
    }
    if path in shapes:
        assert answer.json == shapes[path]
    else:
        assert (answer.error["message"], answer.error["code"]) == ("Too many requests.", "rate_limit_exceeded")


def test_events_of_a_responses_stream_are_numbered_without_a_gap(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*streamed(*MESSAGE_EVENTS))
    answer = proxy.post(RESPONSES, {"model": "claude", "input": "?", "stream": True})
    events = [json.loads(line[6:]) for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[0]["type"] == "response.created"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == TEXT


def test_an_answer_of_the_responses_api_has_an_id_as_openai_writes_them(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*streamed(*MESSAGE_EVENTS))
    body = proxy.post(RESPONSES, {"model": "claude", "input": "?", "stream": True}).body
    upstream.answers(*whole(json.dumps(MESSAGE).encode()))
    ids = [proxy.post(RESPONSES, {"model": "claude", "input": "?"}).json["id"]]
    ids += {json.loads(line[6:])["response"]["id"] for line in body.decode().splitlines() if '"response":' in line}
    assert len(ids) == 2, "one id in all events of a stream"
    assert all(re.fullmatch("resp_[0-9a-f-]{36}", each) for each in ids), ids


def test_a_caller_cannot_turn_a_call_to_another_address_or_key(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*whole(json.dumps(MESSAGE).encode()))
    turned = {
        "api_base": "http://127.0.0.1:1",
        "base_url": "http://127.0.0.1:1",
        "api_key": "sk-other",
        "custom_llm_provider": "openai",
        "mock_response": "not from the provider",
        "extra_headers": {"x-injected": "1"},
        "extra_body": {"injected": 1},
        "fallbacks": ["other"],
        "metadata": {"injected": "1"},
        "aws_bedrock_runtime_endpoint": "http://127.0.0.1:1",
        "num_retries": 5,
        "top_k": 7,
    }
    answer = proxy.post(CHAT, {"model": "claude", "messages": TURNS, **turned})
    assert answer.status == 200, answer.body
    assert answer.json["choices"][0]["message"]["content"] == TEXT
    assert upstream.last.value("x-api-key") == KEY.encode()
    assert upstream.last.value("x-injected") is None
    sent = json.loads(upstream.last.body)
    assert sent["top_k"] == 7
    assert not {"injected", *turned} - {"top_k"} & set(sent)


@pytest.mark.parametrize("model", ["keyless", "told"])
def test_a_model_without_a_key_spends_none_of_the_environments(upstream: ScriptedUpstream, proxy: Proxy, model: str) -> None:
    upstream.received.clear()
    answer = proxy.post(CHAT, {"model": model, "messages": TURNS})
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert not upstream.received


def test_a_picture_on_our_own_network_is_not_fetched(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.received.clear()
    picture = {"type": "image_url", "image_url": {"url": f"{upstream.url}/secret.png"}}
    answer = proxy.post(CHAT, {"model": "nova", "messages": [{"role": "user", "content": [picture]}]})
    assert (answer.status, answer.error["code"]) == (400, "invalid_image_url")
    assert not upstream.received


@pytest.mark.parametrize(
    "part",
    [{"type": "image_url", "image_url": {"url": "file:///etc/hostname"}}, {"type": "image_url"}, {"type": "document", "source": 1}, 5],
)
def test_what_a_caller_wrote_wrong_is_the_callers_fault_and_no_deployments(upstream: ScriptedUpstream, proxy: Proxy, part: Any) -> None:
    upstream.received.clear()
    answer = proxy.post(CHAT, {"model": "nova", "messages": [{"role": "user", "content": [part]}]})
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    assert "could not be translated" in answer.error["message"]
    assert not upstream.received


def test_a_prompt_that_is_too_long_has_the_code_that_clients_know(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    body = anthropic_error("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")
    upstream.answers(*whole(json.dumps(body).encode(), status=b"400 Bad Request"))
    answer = proxy.post(CHAT, {"model": "claude", "messages": TURNS})
    assert (answer.status, answer.error["code"]) == (400, "context_length_exceeded")
    assert answer.error["message"] == body["error"]["message"]


def test_an_unknown_model_and_an_overload_keep_their_status(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*whole(json.dumps(anthropic_error("not_found_error", "model: x")).encode(), status=b"404 Not Found"))
    answer = proxy.post(CHAT, {"model": "claude", "messages": TURNS})
    assert (answer.status, answer.error["code"], answer.error["message"]) == (404, "model_not_found", "model: x")
    upstream.answers(*whole(json.dumps(anthropic_error("overloaded_error", "Overloaded")).encode(), status=b"529 Overloaded"))
    answer = proxy.post(CHAT, {"model": "claude", "messages": TURNS})
    assert (answer.status, answer.error["message"]) == (529, "Overloaded")


def test_an_answer_that_cannot_be_read_is_a_bad_gateway(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*whole(b"<html>not an answer</html>"))
    answer = proxy.post(CHAT, {"model": "claude", "messages": TURNS})
    assert answer.status == 502
    assert b"Describe a jumper" not in answer.body


def test_a_provider_that_is_not_there_is_said_to_be_unreachable(proxy: Proxy) -> None:
    answer = proxy.post(CHAT, {"model": "nowhere", "messages": TURNS})
    assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")


@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_stays_silent_is_given_up(upstream: ScriptedUpstream, proxy: Proxy, stream: bool) -> None:
    upstream.answers(UNTIL_LEFT)
    answer = proxy.post(CHAT, {"model": "slow", "messages": TURNS, "stream": stream})
    assert (answer.status, answer.error["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("stream", [False, True])
def test_the_upstream_call_ends_when_the_client_leaves(upstream: ScriptedUpstream, proxy: Proxy, stream: bool) -> None:
    upstream.left.clear()
    begun = streamed(*MESSAGE_EVENTS[:4], end=False) if stream else []
    upstream.answers(*begun, UNTIL_LEFT)
    before, asked = len(proxy.calls()), len(upstream.received)
    client = httpx.Client(base_url=proxy.url, trust_env=False, timeout=15 if stream else 0.5)
    with client:
        if stream:
            with client.stream("POST", CHAT, json={"model": "claude", "messages": TURNS, "stream": True}) as reply:
                next(reply.iter_raw())
        else:
            with pytest.raises(httpx.ReadTimeout):
                client.post(CHAT, json={"model": "claude", "messages": TURNS})
    assert upstream.left.wait(15)
    assert len(upstream.received) == asked + 1
    (row,) = until(lambda: proxy.calls()[before:] or None)
    assert (row["outcome"], row["partial"]) == ("client_left", 1)


def test_a_usage_that_no_provider_told_is_counted_by_us_and_said_so(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*streamed(*chat_events({}, "m")[:3], b"data: [DONE]\n\n"))
    answer = proxy.post(CHAT, {"model": "own", "messages": TURNS, "stream": True, "stream_options": {"include_usage": True}})
    assert answer.status == 200, answer.body
    assert b'"usage"' not in answer.body
    assert last(proxy)["usage_source"] == "counted"


def test_a_whole_answer_without_usage_is_counted_too(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*whole(json.dumps({name: value for name, value in chat({}).items() if name != "usage"}).encode()))
    answer = proxy.post(CHAT, {"model": "own", "messages": TURNS})
    assert answer.status == 200, answer.body
    assert "usage" not in answer.json
    row = last(proxy)
    assert (row["usage_source"], row["input_tokens"] > 5, row["output_tokens"] > 3) == ("counted", True, True)


def test_tool_calls_and_thoughts_come_through(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    blocks = [
        {"type": "thinking", "thinking": "A jumper.", "signature": "s1"},
        {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {"sku": "J-1"}},
    ]
    upstream.answers(*whole(json.dumps({**MESSAGE, "content": blocks, "stop_reason": "tool_use"}).encode()))
    tools = [
        {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"sku": {"type": "string"}}}}}
    ]
    answer = proxy.post(CHAT, {"model": "claude", "messages": TURNS, "tools": tools})
    assert answer.status == 200, answer.body
    choice = answer.json["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) == ("toolu_1", "look_up", {"sku": "J-1"})
    assert (choice["finish_reason"], choice["message"]["reasoning_content"]) == ("tool_calls", "A jumper.")
    assert json.loads(upstream.last.body)["tools"][0]["name"] == "look_up"


def test_pictures_voices_and_transcripts_are_translated(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*whole(json.dumps({"created": 1, "data": [{"b64_json": PNG}]}).encode()))
    drawn = proxy.post("/v1/images/generations", {"model": "own", "prompt": "A jumper", "size": "1024x1024"})
    assert (drawn.status, drawn.json["data"][0]["b64_json"]) == (200, PNG)
    upstream.answers(*whole(MP3, kind=b"audio/mpeg"))
    spoken = proxy.post("/v1/audio/speech", {"model": "own", "input": "Un pull.", "voice": "alloy"})
    assert (spoken.status, spoken.body, spoken.value("content-type")) == (200, MP3, "audio/mpeg")
    upstream.answers(*whole(json.dumps({"text": TEXT}).encode()))
    heard = transcribe(proxy, wav_of(2.0))
    assert heard.status == 200, heard.body
    assert heard.json["text"] == TEXT
    assert b'filename="jumper.wav"' in upstream.last.body
    assert [row["unweighed_reason"] for row in proxy.calls()[-3:]] == [None, None, None]


def test_a_picture_of_a_form_is_edited_by_a_provider_that_takes_no_form(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*whole(json.dumps({"images": [PNG]}).encode()))
    picture = b64decode(PNG)
    part = b'--edge\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    file = (
        b'--edge\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n' + picture + b"\r\n"
    )
    body = part % (b"model", b"canvas") + part % (b"prompt", b"Greener.") + part % (b"image", b"/etc/hostname") + file + b"--edge--\r\n"
    edited = proxy.send("POST", "/v1/images/edits", body, {"content-type": "multipart/form-data; boundary=edge"})
    assert edited.status == 200, edited.body
    assert edited.json["data"][0]["b64_json"] == PNG
    assert b64encode(picture) in upstream.last.body
    assert b"hostname" not in upstream.last.body


def transcribe(made: Proxy, sound: bytes) -> Answer:
    edge = b"--edge\r\nContent-Disposition: form-data; name="
    body = (
        edge
        + b'"model"\r\n\r\nown\r\n'
        + edge
        + b'"file"; filename="jumper.wav"\r\nContent-Type: audio/wav\r\n\r\n'
        + sound
        + b"\r\n--edge--\r\n"
    )
    return made.send("POST", "/v1/audio/transcriptions", body, {"content-type": "multipart/form-data; boundary=edge"})


def test_what_cannot_be_translated_is_refused_and_says_so(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.received.clear()
    refusals = [
        ("/v1/moderations", {"model": "claude", "input": "?"}, 404, "unknown_path"),
        ("/v1/embeddings", {"model": "claude", "input": "?"}, 400, None),
        (CHAT, {"model": "claude", "messages": "none"}, 400, "invalid_type"),
        (RESPONSES, {"model": "claude", "input": "?", "previous_response_id": "resp_1"}, 400, "unsupported_parameter"),
        ("/v1/images/generations", {"model": "own", "prompt": "?", "stream": True}, 400, "unsupported_parameter"),
    ]
    for path, body, status, code in refusals:
        answer = proxy.post(path, body)
        assert (answer.status, answer.error["code"]) == (status, code), answer.body
    assert not upstream.received


def test_a_server_of_ones_own_is_asked_without_a_key_of_the_environments(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*whole(json.dumps(chat({"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28})).encode()))
    assert proxy.post(CHAT, {"model": "own", "messages": TURNS}).status == 200
    assert b"sk-env" not in (upstream.last.value("authorization") or b"")
    assert chunk({"content": "x"}).startswith(b"data: ")


def test_a_callers_key_for_another_maker_does_not_go_to_a_server_of_ones_own(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    upstream.answers(*whole(json.dumps(chat({"prompt_tokens": 21, "completion_tokens": 7, "total_tokens": 28})).encode()))
    body = {"model": "beside", "max_tokens": 9, "messages": TURNS}
    assert proxy.post("/v1/messages", body, x_api_key="sk-ant-of-the-caller", anthropic_version="2023-06-01").status == 200
    assert b"sk-ant" not in b"".join(value for _, value in upstream.last.headers)
