"""The simulated provider as real clients meet it: over a socket with the official SDK, and in process through its door."""

import base64
import gzip
import http.client
import json
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletionFunctionToolParam, ChatCompletionUserMessageParam
from pydantic import BaseModel

from proxy.clock import Clock
from proxy.simulate.app import SimulatedProviderApp, create_simulated_provider
from proxy.simulate.endpoints.sampling import MODELS
from proxy.simulate.exchange import Asked
from proxy.simulate.faults import FAULTS
from proxy.simulate.tokens import count
from proxy.simulate.wording import language_of
from tests.serving import serve

FACTS = "Product: Ridge 3\nMaterial: recycled polyester mesh\nWeight: 280 g\nColours: black, sand\nPrice: £115"
PROMPT = "Write a product sheet in {language}.\n" + FACTS
SEEN: list[Asked] = []


@pytest.fixture(scope="module")
def app() -> SimulatedProviderApp:
    return create_simulated_provider(clock=Clock(), seen=SEEN)


@pytest.fixture(scope="module")
def url(app: SimulatedProviderApp) -> Iterator[str]:
    with serve(app) as base:
        yield base


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url + "/v1", api_key="any", max_retries=0) as made:
        yield made


def post(url: str, body: object, fault: str = "", path: str = "/v1/chat/completions") -> http.client.HTTPResponse:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    headers = {"content-type": "application/json", "connection": "close", **({"x-simulate-fault": fault} if fault else {})}
    connection.request("POST", path, json.dumps(body).encode(), headers)
    return connection.getresponse()


def user(text: str) -> ChatCompletionUserMessageParam:
    return {"role": "user", "content": text}


def chat(**more: object) -> dict[str, object]:
    return {"model": "sim-large", "messages": [user(PROMPT.format(language="English"))], **more}


def events(body: bytes) -> list[dict[str, object]]:
    return [json.loads(part[6:]) for part in body.decode().split("\n\n") if part.startswith("data: {")]


def test_unary_answer_reports_exactly_the_tokens_it_holds(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="sim-large", messages=[user(PROMPT.format(language="English"))])
    text = answer.choices[0].message.content
    assert text is not None
    assert answer.usage is not None
    assert answer.usage.completion_tokens == count(text) > 50
    assert answer.usage.prompt_tokens == count(PROMPT.format(language="English")) + 6
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.system_fingerprint == "simulated"
    assert "recycled polyester mesh" in text
    assert "280 g" in text


def test_headers_look_like_a_providers_and_say_simulated(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="sim-small", messages=[user("Hello")])
    assert raw.headers["x-simulated"] == "true"
    assert raw.headers["x-request-id"].startswith("req_")
    assert {"openai-processing-ms", "openai-version", "x-ratelimit-remaining-requests"} <= set(raw.headers)


def test_stream_gives_the_same_text_and_usage_as_unary(client: OpenAI) -> None:
    messages = [user(PROMPT.format(language="German"))]
    unary = client.chat.completions.create(model="sim-large", messages=messages)
    stream = client.chat.completions.create(
        model="sim-large",
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == unary.choices[0].message.content
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices == []
    assert chunks[-1].usage == unary.usage


def test_stream_without_include_usage_has_no_usage_key_and_no_empty_choices(url: str) -> None:
    plain = post(url, chat(stream=True)).read()
    asked = post(url, chat(stream=True, stream_options={"include_usage": True})).read()
    assert b'"usage"' not in plain
    assert all(event["choices"] for event in events(plain))
    assert asked.count(b'"usage":null') == len(events(plain))
    assert plain.endswith(b"data: [DONE]\n\n")


async def test_async_client_streams(url: str) -> None:
    async with AsyncOpenAI(base_url=url + "/v1", api_key="any") as client:
        stream = await client.chat.completions.create(model="sim-medium", messages=[user("Explain catchphrases")], stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert "catchphrases" in text


@pytest.mark.parametrize(("language", "code"), [("French", "fr"), ("German", "de"), ("English", "en")])
def test_sheet_is_written_in_the_language_asked_for(client: OpenAI, language: str, code: str) -> None:
    prompt = PROMPT.format(language=language)
    answer = client.chat.completions.create(model="sim-large", messages=[user(prompt)])
    text = answer.choices[0].message.content or ""
    prose = text.split("\n\n")[1]
    assert language_of(prose) == code
    assert text.startswith("# ")
    assert text.count("\n- ") == 4


def test_several_choices_differ_and_are_all_counted(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="sim-large", messages=[user(FACTS)], n=3)
    texts = [choice.message.content or "" for choice in answer.choices]
    assert len(set(texts)) > 1
    assert answer.usage is not None
    assert answer.usage.completion_tokens == sum(map(count, texts))


def test_streamed_choices_each_end_once(client: OpenAI) -> None:
    stream = client.chat.completions.create(model="sim-small", messages=[user(FACTS)], n=2, stream=True)
    ends = [choice.index for chunk in stream for choice in chunk.choices if choice.finish_reason]
    assert ends == [0, 1]


def test_max_tokens_and_stop_end_the_text_early(client: OpenAI) -> None:
    message = user(FACTS)
    short = client.chat.completions.create(model="sim-large", messages=[message], max_tokens=7)
    stopped = client.chat.completions.create(model="sim-large", messages=[message], stop="\n\n")
    assert short.choices[0].finish_reason == "length"
    assert short.usage is not None
    assert short.usage.completion_tokens == 7
    assert stopped.choices[0].finish_reason == "stop"
    assert "\n" not in (stopped.choices[0].message.content or "")


def test_reasoning_tokens_are_inside_completion_tokens(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="o-like", messages=[user("Why?")], reasoning_effort="low")
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.reasoning_tokens == 64
    assert answer.usage.completion_tokens == 64 + count(answer.choices[0].message.content or "")


class Copy(BaseModel):
    headline: str
    bullets: list[str]
    words: int
    tone: str | None


def test_structured_output_is_a_valid_instance_of_the_schema(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model="sim-large", messages=[user(FACTS)], response_format=Copy)
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    assert "Ridge 3" in parsed.headline
    assert "Weight: 280 g" in parsed.bullets


TOOL: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "save_sheet",
        "parameters": {"type": "object", "properties": {"weight": {"type": "string"}, "price": {"type": "string"}}, "required": ["weight"]},
    },
}


def test_tool_call_takes_its_arguments_from_the_prompt(client: OpenAI) -> None:
    message = user(FACTS)
    answer = client.chat.completions.create(model="sim-large", messages=[message], tools=[TOOL])
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].type == "function"
    assert json.loads(calls[0].function.arguments) == {"weight": "280 g", "price": "£115"}


def test_streamed_tool_call_joins_to_the_same_arguments(url: str) -> None:
    chunks = events(post(url, chat(stream=True, tools=[TOOL], tool_choice="required")).read())
    joined = "".join(
        call["function"].get("arguments", "")
        for chunk in chunks
        for choice in chunk["choices"]  # type: ignore[attr-defined]  # JSON
        for call in choice["delta"].get("tool_calls", [])
    )
    assert json.loads(joined)["weight"] == "280 g"


def test_text_is_answered_after_a_tool_has_spoken(url: str) -> None:
    messages = [user(FACTS), {"role": "tool", "tool_call_id": "call_1", "content": "saved"}]
    answer = json.loads(post(url, {"model": "sim-large", "messages": messages, "tools": [TOOL]}).read())
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert "Ridge 3" in answer["choices"][0]["message"]["content"]


def test_completions_answer_unary_and_streamed_alike(client: OpenAI) -> None:
    unary = client.completions.create(model="sim-small", prompt=["One line on tea", "One line on rain"], max_tokens=9)
    stream = client.completions.create(model="sim-small", prompt="One line on tea", max_tokens=9, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == unary.choices[0].text
    assert unary.usage is not None
    assert unary.usage.completion_tokens == 18


def test_embeddings_are_unit_vectors_alike_in_both_encodings(client: OpenAI, url: str) -> None:
    decoded = client.embeddings.create(model="sim-embed", input=["tea", "rain"], dimensions=8)
    plain = json.loads(post(url, {"model": "sim-embed", "input": ["tea"], "dimensions": 8}, path="/v1/embeddings").read())
    coded = post(url, {"model": "sim-embed", "input": "tea", "dimensions": 8, "encoding_format": "base64"}, path="/v1/embeddings")
    vector = decoded.data[0].embedding
    assert sum(value * value for value in vector) == pytest.approx(1)
    assert vector != decoded.data[1].embedding
    assert plain["data"][0]["embedding"] == pytest.approx(vector)
    assert struct.unpack("<8f", base64.b64decode(json.loads(coded.read())["data"][0]["embedding"])) == pytest.approx(vector)
    assert decoded.usage.prompt_tokens == 2


def test_models_are_listed_and_an_unknown_one_is_refused(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == list(MODELS)
    assert {"sim-large", "sim-embed", "sim-image-tokens", "sim-speech", "sim-transcribe", "sim-moderate"} < set(MODELS)
    assert client.models.retrieve("sim-small").owned_by == "simulated"
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="sim-huge", messages=[user("x")])
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [("/v1/nothing", {}, 404), ("/v1/models", {}, 405), ("/v1/chat/completions", [], 400), ("/v1/chat/completions", {"model": "m"}, 400)],
)
def test_bad_requests_get_the_providers_error_envelope(url: str, path: str, body: object, status: int) -> None:
    reply = post(url, body, path=path)
    assert reply.status == status
    assert set(json.loads(reply.read())["error"]) == {"message", "type", "param", "code"}


def test_echo_gives_any_bytes_back(url: str) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request("PATCH", "/v1/simulate/echo?x=1", bytes(range(256)), {"content-type": "audio/odd", "connection": "close"})
    reply = connection.getresponse()
    assert reply.read() == bytes(range(256))
    assert reply.headers["content-type"] == "audio/odd"
    assert reply.headers["x-simulate-method"] == "PATCH"


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_ordered_error_comes_in_the_envelope(url: str, status: int) -> None:
    reply = post(url, chat(), fault=str(status))
    assert reply.status == status
    assert json.loads(reply.read())["error"]["message"].startswith("Simulated:")


def test_rate_limit_says_how_long_to_wait(url: str) -> None:
    reply = post(url, chat(), fault="429=7")
    assert (reply.headers["retry-after"], reply.headers["retry-after-ms"]) == ("7", "7000")


@pytest.mark.parametrize("stream", [True, False])
def test_cut_answer_never_looks_like_a_clean_end(url: str, stream: bool) -> None:
    with pytest.raises(http.client.IncompleteRead):
        post(url, chat(stream=stream), fault="cut=3").read()


def test_usage_stands_where_the_fault_puts_it(url: str) -> None:
    last = events(post(url, chat(stream=True), fault="usage-last-chunk").read())
    every = events(post(url, chat(stream=True), fault="usage-every-chunk").read())
    none = events(post(url, chat(stream=True, stream_options={"include_usage": True}), fault="no-usage").read())
    assert [("usage" in event, bool(event["choices"])) for event in last[-2:]] == [(False, True), (True, True)]
    assert all("usage" in event for event in every)
    assert every[-1]["usage"] == last[-1]["usage"]
    assert not any("usage" in event for event in none)
    assert "usage" not in json.loads(post(url, chat(), fault="no-usage").read())


def test_wire_faults_change_the_framing_and_nothing_else(url: str) -> None:
    def texts(body: bytes) -> list[object]:
        return [event["choices"] for event in events(body)]

    plain = texts(post(url, chat(stream=True)).read())
    crlf = post(url, chat(stream=True), fault="crlf").read()
    zipped = post(url, chat(stream=True), fault="gzip")
    azure = events(post(url, chat(stream=True), fault="azure-first-chunk").read())
    assert b"\r\n\r\n" in crlf
    assert texts(crlf.replace(b"\r\n", b"\n")) == plain
    assert zipped.headers["content-encoding"] == "gzip"
    assert texts(gzip.decompress(zipped.read())) == plain
    assert azure[0]["choices"] == []
    assert "prompt_filter_results" in azure[0]
    assert [event["choices"] for event in azure[1:]] == plain
    assert texts(post(url, chat(stream=True), fault="split-utf8").read()) == plain


def test_malformed_chunk_is_broken_json(url: str) -> None:
    body = post(url, chat(stream=True), fault="malformed-chunk").read()
    with pytest.raises(json.JSONDecodeError):
        events(body)
    with pytest.raises(json.JSONDecodeError):
        json.loads(post(url, chat(), fault="malformed-chunk").read())


def test_stream_options_can_be_refused(url: str) -> None:
    assert post(url, chat(stream=True, stream_options={"include_usage": True}), fault="refuse-stream-options").status == 400
    assert post(url, chat(stream=True), fault="refuse-stream-options").status == 200


def test_unknown_fault_is_refused_with_the_known_names(url: str) -> None:
    message = json.loads(post(url, chat(), fault="typo").read())["error"]["message"]
    assert all(name in message for name in FAULTS)


def test_requests_are_kept_only_for_those_who_ask(url: str) -> None:
    SEEN.clear()
    post(url, chat()).read()
    assert [(asked.method, asked.path) for asked in SEEN] == [("POST", "/v1/chat/completions")]


def test_it_runs_alone_and_ends_on_ctrl_c() -> None:
    command = [sys.executable, "-P", "-m", "proxy.cli.main", "simulated-provider", "--port", "0", "--fault", "429=2"]
    with subprocess.Popen(command, env={}, stderr=subprocess.PIPE, text=True) as running:
        assert running.stderr is not None
        base = re.search(r"http://[\d.:]+", running.stderr.readline())
        try:
            reply = post(base.group() if base else "", chat())
        finally:
            running.send_signal(signal.SIGINT)
            _, said = running.communicate(timeout=30)
    assert (reply.status, reply.headers["retry-after"]) == (429, "2")
    assert running.returncode == 0, said
