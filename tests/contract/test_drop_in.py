"""The official SDK through the proxy, over a socket: nothing it relies on changes, and the footprint is there to read."""

import asyncio
import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from proxy.simulate.exchange import Asked
from tests.contract.proxy_harness import KEY, Proxy, proxy, simulated

MESSAGES: list[Any] = [{"role": "user", "content": "Describe a merino jumper in two sentences."}]
FOOTPRINT = {
    "gco2e",
    "gco2e_low",
    "gco2e_high",
    "energy_wh",
    "operational_gco2e",
    "embodied_gco2e",
    "water_ml",
    "quality",
    "method",
    "zone",
    "call_id",
}
FIGURES = ("gco2e", "gco2e_low", "gco2e_high", "energy_wh", "operational_gco2e", "embodied_gco2e", "water_ml")
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"]}},
    }
]
SCHEMA: Any = {
    "type": "json_schema",
    "json_schema": {
        "name": "sheet",
        "schema": {"type": "object", "properties": {"headline": {"type": "string"}, "pieces": {"type": "integer"}}},
    },
}


@pytest.fixture(scope="module")
def seen() -> list[Asked]:
    return []


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, seen: list[Asked]) -> Iterator[Proxy]:
    with simulated(seen) as upstream, proxy(tmp_path_factory.mktemp("drop-in"), upstream) as running:
        yield running


@pytest.fixture
def client(made: Proxy) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as opened:
        yield opened


def footprint_of(usage: Any) -> dict[str, Any]:
    found = usage.footprint
    assert isinstance(found, dict)
    assert set(found) == FOOTPRINT
    assert all(found[name] > 0 for name in FIGURES)
    assert found["gco2e_low"] < found["gco2e"] < found["gco2e_high"]
    return found


def test_chat(client: openai.OpenAI, made: Proxy) -> None:
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
    reply = raw.parse()
    assert reply.choices[0].message.content
    assert reply.usage is not None
    footprint = footprint_of(reply.usage)
    headers = raw.headers
    assert headers["x-grammage-call-id"] == footprint["call_id"]
    assert float(headers["x-grammage-gco2e"]) == footprint["gco2e"]
    assert headers["x-grammage-basis"] == "final"
    assert (headers["x-grammage-quality"], headers["x-grammage-zone"]) == (footprint["quality"], "assumed:" + footprint["zone"])
    assert headers["x-grammage-method"] == footprint["method"]
    assert reply._request_id == headers["x-request-id"]
    row = made.calls()[-1]
    assert row["call_id"] == footprint["call_id"]
    assert (row["input_tokens"], row["output_tokens"]) == (reply.usage.prompt_tokens, reply.usage.completion_tokens)
    assert (row["usage_source"], row["outcome"], row["operation"], row["retry_count"]) == ("provider", "ok", "chat", 0)
    assert row["gco2e"] == pytest.approx(footprint["gco2e"], rel=1e-3)
    assert row["upstream_request_id"] == reply._request_id


def test_a_record_can_be_looked_up_by_its_id(client: openai.OpenAI, made: Proxy) -> None:
    reply = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert reply.usage is not None
    footprint = footprint_of(reply.usage)
    record: Any = client.get(f"/footprint/{footprint['call_id']}", cast_to=object)
    assert {name: record[name] for name in FIGURES} == {name: footprint[name] for name in FIGURES}
    assert (record["status"], record["usage"]["output_tokens"]) == ("final", reply.usage.completion_tokens)


@pytest.mark.parametrize("asked", [False, True])
def test_a_streamed_chat(client: openai.OpenAI, made: Proxy, seen: list[Asked], asked: bool) -> None:
    options: Any = {"include_usage": True} if asked else openai.omit
    raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options=options)
    parts = list(raw.parse())
    assert json.loads(seen[-1].body)["stream_options"] == {"include_usage": True}
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert raw.headers["x-grammage-basis"] == "forecast"
    row = made.calls()[-1]
    assert row["call_id"] == raw.headers["x-grammage-call-id"]
    assert (row["usage_source"], row["stream"], row["stream_complete"], row["partial"]) == ("provider", 1, 1, 0)
    if asked:
        usage = parts[-1].usage
        assert usage is not None
        assert footprint_of(usage)["gco2e"] == pytest.approx(row["gco2e"], rel=1e-3)
        assert [part.usage for part in parts[:-1]] == [None] * (len(parts) - 1)
        assert (usage.prompt_tokens, usage.completion_tokens) == (row["input_tokens"], row["output_tokens"])
    else:
        assert all(part.choices for part in parts)
        assert not any("usage" in part.model_fields_set for part in parts)


def test_the_same_call_streamed_or_not_is_recorded_with_the_same_usage(client: openai.OpenAI, made: Proxy) -> None:
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    list(client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=True))
    whole, streamed = made.calls()[-2:]
    names = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens", "served_model", "gco2e")
    assert [streamed[name] for name in names] == [whole[name] for name in names]


def test_tools_and_several_choices(client: openai.OpenAI, made: Proxy) -> None:
    reply = client.chat.completions.create(model="gpt-4o", messages=MESSAGES, tools=TOOLS, n=2)
    assert [choice.finish_reason for choice in reply.choices] == ["tool_calls"] * 2
    call: Any = (reply.choices[1].message.tool_calls or [])[0]
    assert "sku" in json.loads(call.function.arguments)
    assert reply.usage is not None
    assert made.calls()[-1]["output_tokens"] == reply.usage.completion_tokens


def test_streamed_tools_and_several_choices(client: openai.OpenAI) -> None:
    said = {0: "", 1: ""}
    with client.chat.completions.stream(model="gpt-4o", messages=MESSAGES, tools=TOOLS, n=2) as stream:
        for event in stream:
            if event.type == "chunk":
                for choice in event.chunk.choices:
                    for call in choice.delta.tool_calls or []:
                        said[choice.index] += (call.function.arguments or "") if call.function else ""
        final = stream.get_final_completion()
    assert all("sku" in json.loads(text) for text in said.values())
    assert [choice.finish_reason for choice in final.choices] == ["tool_calls"] * 2


def test_structured_output(client: openai.OpenAI) -> None:
    reply = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, response_format=SCHEMA)
    assert set(json.loads(reply.choices[0].message.content or "")) == {"headline", "pieces"}


def test_reasoning_is_inside_the_output(client: openai.OpenAI, made: Proxy) -> None:
    reply = client.chat.completions.create(model="o4-mini", messages=MESSAGES, reasoning_effort="low")
    assert reply.usage is not None
    row = made.calls()[-1]
    assert (row["output_tokens"], row["reasoning_output_tokens"]) == (reply.usage.completion_tokens, 64)


@pytest.mark.parametrize("stream", [False, True])
def test_completions(client: openai.OpenAI, made: Proxy, stream: bool) -> None:
    prompts = ["Once upon a time", "There was"]
    if stream:
        parts = list(
            client.completions.create(model="gpt-3.5-turbo-instruct", prompt=prompts, stream=True, stream_options={"include_usage": True})
        )
        usage = parts[-1].usage
        assert {choice.index for part in parts for choice in part.choices} == {0, 1}
    else:
        reply = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=prompts)
        usage = reply.usage
        assert len(reply.choices) == 2
    assert usage is not None
    footprint_of(usage)
    row = made.calls()[-1]
    assert (row["operation"], row["input_tokens"], row["output_tokens"]) == ("completions", usage.prompt_tokens, usage.completion_tokens)


@pytest.mark.parametrize("encoding", [None, "float", "base64"])
def test_embeddings(client: openai.OpenAI, made: Proxy, encoding: Any) -> None:
    more = {} if encoding is None else {"encoding_format": encoding}
    reply = client.embeddings.create(model="text-embedding-3-small", input=["one", "two words"], dimensions=8, **more)
    vector: Any = reply.data[1].embedding
    if encoding == "base64":
        vector = struct.unpack("<8f", base64.b64decode(vector))
    assert sum(value * value for value in vector) == pytest.approx(1, rel=1e-3)
    assert footprint_of(reply.usage)
    row = made.calls()[-1]
    assert (row["operation"], row["input_tokens"], row["output_tokens"]) == ("embeddings", reply.usage.prompt_tokens, 0)
    assert row["gco2e"] > 0


async def test_the_asynchronous_client(made: Proxy) -> None:
    async with openai.AsyncOpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
        whole = await client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
        stream = await client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        parts = [part async for part in stream]
        vectors = await client.embeddings.create(model="text-embedding-3-small", input="one", dimensions=4)
    for usage in (whole.usage, parts[-1].usage, vectors.usage):
        footprint_of(usage)
    assert parts[-1].choices == []


FAULTS: list[tuple[str, type[openai.APIStatusError], str | None]] = [
    ("400", openai.BadRequestError, None),
    ("401", openai.AuthenticationError, "invalid_api_key"),
    ("403", openai.PermissionDeniedError, "unsupported_country_region_territory"),
    ("404", openai.NotFoundError, "model_not_found"),
    ("409", openai.ConflictError, None),
    ("422", openai.UnprocessableEntityError, None),
    ("429=7", openai.RateLimitError, "rate_limit_exceeded"),
    ("500", openai.InternalServerError, None),
    ("503=3", openai.InternalServerError, None),
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("fault", "kind", "code"), FAULTS)
def test_errors_keep_class_status_code_and_headers(
    client: openai.OpenAI, made: Proxy, fault: str, kind: type[openai.APIStatusError], code: str | None, stream: bool
) -> None:
    before = len(made.calls())
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, stream=stream, extra_headers={"x-simulate-fault": fault})
    error = caught.value
    status, _, wait = fault.partition("=")
    assert (error.status_code, error.code) == (int(status), code)
    assert (error.request_id or "").startswith("req_")
    assert error.response.headers["x-ratelimit-limit-requests"] == "10000"
    if wait:
        assert (error.response.headers["retry-after"], error.response.headers["retry-after-ms"]) == (wait, f"{wait}000")
    assert error.response.headers["x-grammage-call-id"]
    (row,) = made.calls()[before:]
    assert (row["status"], row["gco2e"], row["unweighed_reason"]) == (int(status), None, "not_generated")
    assert row["outcome"] == ("client_error" if int(status) < 500 else "upstream_error")


def test_the_sdks_own_retry_is_forwarded_and_both_attempts_are_recorded(made: Proxy, tmp_path_factory: pytest.TempPathFactory) -> None:
    before = len(made.calls())
    with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=1) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers={"x-simulate-fault": "503=0"})
    assert [row["retry_count"] for row in made.calls()[before:]] == [0, 1]


@pytest.mark.parametrize(
    "fault",
    ["no-usage", "usage-last-chunk", "usage-every-chunk", "split-utf8", "azure-first-chunk", "crlf", "gzip", "refuse-stream-options"],
)
@pytest.mark.parametrize("asked", [False, True])
def test_streams_of_odd_providers_are_read_by_the_sdk(client: openai.OpenAI, made: Proxy, fault: str, asked: bool) -> None:
    text = "D\u00e9cris ce pull en m\u00e9rinos \u2014 doux, l\u00e9ger."
    messages: list[Any] = [{"role": "user", "content": text}]
    options: Any = {"include_usage": True} if asked else openai.omit
    if asked and fault == "refuse-stream-options":
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(
                model="m", messages=messages, stream=True, stream_options=options, extra_headers={"x-simulate-fault": fault}
            )
        return
    whole = client.chat.completions.create(model="gpt-4o-mini", messages=messages)
    truth = made.calls()[-1]
    parts = list(
        client.chat.completions.create(
            model="gpt-4o-mini", messages=messages, stream=True, stream_options=options, extra_headers={"x-simulate-fault": fault}
        )
    )
    said = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
    assert said == whole.choices[0].message.content
    row = made.calls()[-1]
    counted = fault in ("no-usage", "refuse-stream-options")
    assert row["usage_source"] == ("counted" if counted else "provider")
    if counted:
        assert row["output_tokens"] == pytest.approx(truth["output_tokens"], rel=0.6)
        assert row["input_tokens"] == pytest.approx(truth["input_tokens"], rel=0.6)
    else:
        assert (row["input_tokens"], row["output_tokens"]) == (truth["input_tokens"], truth["output_tokens"])


@pytest.mark.parametrize("fault", ["no-usage", "gzip", "split-utf8"])
def test_whole_answers_of_odd_providers(client: openai.OpenAI, made: Proxy, fault: str) -> None:
    truth = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    reply = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers={"x-simulate-fault": fault})
    assert reply.choices[0].message.content == truth.choices[0].message.content
    row = made.calls()[-1]
    assert row["usage_source"] == ("counted" if fault == "no-usage" else "provider")
    assert truth.usage is not None
    assert row["output_tokens"] == pytest.approx(truth.usage.completion_tokens, rel=0.6 if fault == "no-usage" else 0)


def test_a_broken_chunk_breaks_the_sdk_as_it_does_without_us(client: openai.OpenAI) -> None:
    with pytest.raises(json.JSONDecodeError):
        list(
            client.chat.completions.create(
                model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_headers={"x-simulate-fault": "malformed-chunk"}
            )
        )


def test_an_unknown_model_is_weighed_as_tier_e_and_never_as_nothing(client: openai.OpenAI, made: Proxy) -> None:
    reply = client.chat.completions.create(model="nobody-knows-this-1", messages=MESSAGES)
    assert footprint_of(reply.usage)["quality"] == "E"
    row = made.calls()[-1]
    assert (row["quality"], "model-unknown" in row["warnings"]) == ("E", True)
    assert row["gco2e"] > 0


def test_unknown_request_fields_reach_the_provider(client: openai.OpenAI, seen: list[Asked]) -> None:
    client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_body={"x_new": {"a": [1, None]}}, extra_query={"v": "2"})
    assert json.loads(seen[-1].body)["x_new"] == {"a": [1, None]}


async def test_many_calls_at_once_are_recorded_exactly_once_with_their_own_usage(made: Proxy) -> None:
    before = {row["call_id"] for row in made.calls()}
    async with openai.AsyncOpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:

        async def one(number: int) -> tuple[str, int, int]:
            messages: Any = [{"role": "user", "content": "word " * (number + 1)}]
            if number % 2:
                reply = await client.chat.completions.create(model="gpt-4o-mini", messages=messages, max_tokens=number + 1)
                usage: Any = reply.usage
            else:
                stream = await client.chat.completions.create(
                    model="gpt-4o-mini", messages=messages, max_tokens=number + 1, stream=True, stream_options={"include_usage": True}
                )
                usage = [part async for part in stream][-1].usage
            return usage.footprint["call_id"], usage.prompt_tokens, usage.completion_tokens

        told = await asyncio.gather(*(one(number) for number in range(24)))
    kept = [(row["call_id"], row["input_tokens"], row["output_tokens"]) for row in made.calls() if row["call_id"] not in before]
    assert sorted(kept) == sorted(told)
    assert len({tokens for _, tokens, _ in told}) == 24


def test_many_calls_are_recorded_exactly_once(made: Proxy, client: openai.OpenAI) -> None:
    before = {row["call_id"] for row in made.calls()}
    ids = []
    for number in range(12):
        raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES, stream=number % 2 == 0)
        ids.append(raw.headers["x-grammage-call-id"])
        if number % 2 == 0:
            list(raw.parse())
    new = [row["call_id"] for row in made.calls() if row["call_id"] not in before]
    assert sorted(new) == sorted(ids)
