"""The official Python SDK, any version: chat, completions, embeddings, headers, many calls at once. It must never use a private name."""

import asyncio
import base64
import json
import struct
from typing import Any

import openai
from pydantic import BaseModel

from tests.clients.drivers.checks import BASE, KEY, ORIGIN, TEXT, THROUGH, check, fault, headed, last_seen, long_check, recorded, weighed

MODEL = "gpt-4o-mini"
MESSAGES: Any = [{"role": "user", "content": TEXT}]
PARAMETERS = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"], "additionalProperties": False}
TOOLS: Any = [{"type": "function", "function": {"name": "stock", "description": "d", "parameters": PARAMETERS, "strict": True}}]
USAGE: Any = {"include_usage": True}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)


class Advert(BaseModel):
    """What structured output is asked for."""

    headline: str
    pieces: int


def said(parts: Any) -> str:
    """The text of a stream; fails on a chunk that breaks the usual reader."""
    return "".join(part.choices[0].delta.content or "" for part in parts)


@check
def unary() -> Any:
    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert (reply.object, reply.model, reply.choices[0].finish_reason) == ("chat.completion", MODEL, "stop")
    weighed(reply.usage)
    return reply.choices[0].message.content


@check
def stream() -> Any:
    with client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as stream:
        parts = list(stream)
    assert all(part.choices for part in parts)
    assert not any("usage" in part.model_fields_set for part in parts)
    return said(parts), len(parts)


@check
def stream_with_usage() -> Any:
    parts = list(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=USAGE))
    assert [part.usage for part in parts[:-1]] == [None] * (len(parts) - 1)
    assert parts[-1].choices == []
    weighed(parts[-1].usage)
    assert parts[-1].usage is not None
    return said(parts[:-1]), parts[-1].usage.total_tokens


@check
def stream_equals_unary() -> Any:
    whole = client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert said(client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)) == whole.choices[0].message.content


@check
def stream_helper() -> Any:
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, stream_options=USAGE) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    weighed(final.usage)
    return sorted(kinds), final.choices[0].message.content


@check("1", "2", "3")
def choices(count: str) -> Any:
    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES, n=int(count))
    assert [choice.index for choice in reply.choices] == list(range(int(count)))
    return [choice.message.content for choice in reply.choices]


@check
def choices_streamed() -> Any:
    told: dict[int, str] = {0: "", 1: ""}
    ends: dict[int, str] = {}
    for part in client.chat.completions.create(model=MODEL, messages=MESSAGES, n=2, stream=True):
        for choice in part.choices:
            told[choice.index] += choice.delta.content or ""
            if choice.finish_reason:
                ends[choice.index] = choice.finish_reason
    assert ends == {0: "stop", 1: "stop"}
    return told


@check
def tools() -> Any:
    reply = client.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="required")
    assert reply.choices[0].finish_reason == "tool_calls"
    call: Any = (reply.choices[0].message.tool_calls or [])[0]
    assert "sku" in json.loads(call.function.arguments)
    again: Any = [*MESSAGES, reply.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "12"}]
    answer = client.chat.completions.create(model=MODEL, messages=again, tools=TOOLS)
    return call.function.name, answer.choices[0].message.content


@check
def tools_streamed() -> Any:
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="required") as stream:
        kinds = {event.type for event in stream}
        final: Any = stream.get_final_completion()
    assert "tool_calls.function.arguments.done" in kinds
    return json.loads(final.choices[0].message.tool_calls[0].function.arguments)


@check
def structured() -> Any:
    reply = client.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Advert)
    assert isinstance(reply.choices[0].message.parsed, Advert)
    weighed(reply.usage)
    return reply.choices[0].message.parsed.model_dump()


@check
def structured_streamed() -> Any:
    with client.chat.completions.stream(model=MODEL, messages=MESSAGES, response_format=Advert) as stream:
        final = stream.get_final_completion()
    assert isinstance(final.choices[0].message.parsed, Advert)


@check
def picture_in_the_question() -> Any:
    parts: Any = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": PIXEL, "detail": "high"}}]
    reply = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": parts}])
    weighed(reply.usage)


@check
def roles_and_settings_are_kept() -> None:
    messages: Any = [{"role": "developer", "content": "Be short."}, {"role": "system", "content": "s"}, *MESSAGES]
    settings: Any = {"temperature": 0.1, "seed": 7, "logit_bias": {"1": -1}, "user": "u", "store": False, "metadata": {"a": "b"}}
    client.chat.completions.create(model=MODEL, messages=messages, **settings, extra_body={"x_new": {"big": 12345678901234567890}})
    sent = json.loads(last_seen()["body"])
    assert [message["role"] for message in sent["messages"]] == ["developer", "system", "user"]
    assert {name: sent[name] for name in settings} == settings
    assert sent["x_new"] == {"big": 12345678901234567890}
    assert "stream_options" not in sent


@check
def sdk_headers_reach_the_provider() -> None:
    client.with_options(organization="org-1", project="proj-1").chat.completions.create(
        model=MODEL, messages=MESSAGES, extra_headers={"idempotency-key": "k-1", "x-client-request-id": "r-1"}, extra_query={"beta": "true"}
    )
    seen = last_seen()
    headers = seen["headers"]
    assert (headers["openai-organization"], headers["openai-project"], headers["idempotency-key"]) == ("org-1", "proj-1", "k-1")
    assert (headers["x-client-request-id"], headers["x-stainless-lang"], headers["x-stainless-retry-count"]) == ("r-1", "python", "0")
    assert (headers["authorization"], seen["query"]) == (f"Bearer {KEY}", "beta=true")
    assert not [name for name in headers if name.startswith("x-grammage")]


@check
def tags_stay_with_the_proxy() -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=MESSAGES, extra_headers={"x-grammage-tag-campaign": "noel-26"}
    )
    if THROUGH:
        assert not [name for name in last_seen()["headers"] if name.startswith("x-grammage")]
        assert recorded(raw.headers["x-grammage-call-id"])["tags"]["campaign"] == "noel-26"


@check
def unknown_fields_are_kept() -> Any:
    reply: Any = client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers={"x-test-answer": "unknown-fields"})
    assert (reply.big, reply.new_field) == (12345678901234567890, {"nested": "\u00e9"})
    assert (reply.choices[0].message.novel, reply.usage.novel_details) == ([1], {"a": 1})
    weighed(reply.usage)


@check
def raw_headers() -> Any:
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=MESSAGES)
    headed(raw.headers, basis="final")
    reply = raw.parse()
    assert reply._request_id == raw.headers["x-request-id"]
    record = recorded(raw.headers["x-grammage-call-id"]) if THROUGH else None
    assert reply.usage is not None
    if record:
        assert record["usage"]["output_tokens"] == reply.usage.completion_tokens
    kept = ("content-type", "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "openai-version", "openai-organization")
    return {name: raw.headers[name] for name in kept}


@check
def raw_headers_of_a_stream() -> Any:
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=MESSAGES, stream=True) as raw:
        headed(raw.headers, basis="forecast")
        lines = [line for line in raw.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert lines[-1] == "data: [DONE]"
    if THROUGH:
        assert recorded(raw.headers["x-grammage-call-id"])["stream_complete"]
    return raw.headers["content-type"], len(lines)


@check("no-usage", "usage-last-chunk", "usage-every-chunk", "split-utf8", "azure-first-chunk", "crlf", "gzip", "gzip,split-utf8")
def odd_streams(name: str) -> Any:
    text = "".join(
        part.choices[0].delta.content or ""
        for part in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, extra_headers=fault(name))
        if part.choices
    )
    whole = client.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=fault(name))
    assert text == whole.choices[0].message.content
    return text


@check("1", "6")
def long_bodies(mib: str) -> Any:
    words = "m\u00e9rinos \U0001f9f6 " * (int(mib) * 1024 * 1024 // 14)
    reply = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": words}], max_tokens=5)
    assert last_seen()["bytes"] > int(mib) * 1024 * 1024 * 0.9
    assert reply.usage is not None
    return reply.usage.prompt_tokens


@check(False, True)
def completions(streamed: Any) -> Any:
    prompts = ["Once", "There was"]
    if not streamed:
        reply = client.completions.create(model="gpt-3.5-turbo-instruct", prompt=prompts)
        weighed(reply.usage)
        return [choice.text for choice in reply.choices]
    parts = list(client.completions.create(model="gpt-3.5-turbo-instruct", prompt=prompts, stream=True))
    assert all(part.choices for part in parts)
    return sorted({choice.index for part in parts for choice in part.choices})


@check("default", "float", "base64")
def embeddings(encoding: str) -> Any:
    more: Any = {} if encoding == "default" else {"encoding_format": encoding}
    reply = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], dimensions=8, **more)
    assert json.loads(last_seen()["body"])["encoding_format"] == ("base64" if encoding == "default" else encoding)
    weighed(reply.usage)
    vector: Any = reply.data[1].embedding
    return [round(x, 5) for x in (struct.unpack("<8f", base64.b64decode(vector)) if encoding == "base64" else vector)]


@check
def embeddings_of_tokens() -> Any:
    reply = client.embeddings.create(model="text-embedding-3-small", input=[[1, 2, 3], [4]], dimensions=4)
    return reply.usage.prompt_tokens


@check
def base_url_without_v1() -> Any:
    bare = openai.OpenAI(base_url=ORIGIN if THROUGH else BASE, api_key=KEY, max_retries=0)
    reply = bare.chat.completions.create(model=MODEL, messages=MESSAGES)
    weighed(reply.usage)
    parts = list(bare.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert said(parts) == reply.choices[0].message.content
    assert last_seen()["path"] == "/v1/chat/completions"
    assert bare.embeddings.create(model="text-embedding-3-small", input="a").data


@check
async def asynchronous() -> Any:
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as made:
        whole = await made.chat.completions.create(model=MODEL, messages=MESSAGES)
        parts = [
            part async for part in await made.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True, stream_options=USAGE)
        ]
        async with made.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
            final = await stream.get_final_completion()
    weighed(whole.usage)
    weighed(parts[-1].usage)
    assert said(parts[:-1]) == whole.choices[0].message.content == final.choices[0].message.content


@check("60")
async def at_once(count: str) -> Any:
    return await _many(int(count))


@long_check("600")
async def many_at_once(count: str) -> Any:
    return await _many(int(count))


async def _many(count: int) -> Any:
    """Calls of different lengths at once, half of them streamed: each gets its own answer and its own footprint."""
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as made:
        gate = asyncio.Semaphore(60)

        async def one(number: int) -> tuple[int, Any]:
            messages: Any = [{"role": "user", "content": f"number {number} " + "word " * 50}]
            settings: Any = {"model": MODEL, "messages": messages, "max_tokens": number % 40 + 1}
            async with gate:
                if number % 2:
                    usage: Any = (await made.chat.completions.create(**settings)).usage
                else:
                    stream: Any = await made.chat.completions.create(**settings, stream=True, stream_options=USAGE)
                    usage = [part async for part in stream][-1].usage
            weighed(usage)
            assert usage.completion_tokens <= number % 40 + 1
            return usage.completion_tokens, usage.footprint["call_id"] if THROUGH else number

        found = await asyncio.gather(*(one(number) for number in range(count)))
    assert len({call for _, call in found}) == count
    return sorted(tokens for tokens, _ in found)
