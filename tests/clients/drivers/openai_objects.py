"""The official Python SDK, any version: Responses, models, paths that pass, Azure's client. It must never keep what it makes."""

import json
from typing import Any

import openai
from pydantic import BaseModel

from tests.clients.drivers.checks import BASE, KEY, ORIGIN, TEXT, THROUGH, check, headed, last_seen, weighed

MODEL = "gpt-4o-mini"
client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
PARAMETERS = {"type": "object", "properties": {"sku": {"type": "string"}}, "required": ["sku"], "additionalProperties": False}
TOOLS: Any = [{"type": "function", "name": "stock", "description": "d", "parameters": PARAMETERS, "strict": True}]


class Advert(BaseModel):
    """What structured output is asked for."""

    headline: str
    pieces: int


@check
def responses() -> Any:
    reply = client.responses.create(model=MODEL, input=TEXT)
    weighed(reply.usage)
    assert (reply.object, reply.status) == ("response", "completed")
    return reply.output_text


@check
def responses_streamed() -> Any:
    with client.responses.create(model=MODEL, input=TEXT, stream=True) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    last = events[-1]
    assert last.type == "response.completed"
    weighed(last.response.usage)
    return [event.type for event in events]


@check
def responses_streamed_with_names() -> Any:
    with client.responses.with_streaming_response.create(model=MODEL, input=TEXT, stream=True) as raw:
        headed(raw.headers, basis="forecast")
        lines = [line for line in raw.iter_lines() if line]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    kinds = [json.loads(line.removeprefix("data: "))["type"] for line in lines if line.startswith("data: ")]
    assert names == kinds
    assert not [line for line in lines if line.startswith((":", "id:"))]


@check
def responses_stream_helper() -> Any:
    with client.responses.stream(model=MODEL, input=TEXT) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    weighed(final.usage)
    return len(kinds), final.output_text


@check
def responses_parsed() -> Any:
    reply = client.responses.parse(model=MODEL, input=TEXT, text_format=Advert)
    assert isinstance(reply.output_parsed, Advert)


@check
def responses_with_tools() -> Any:
    reply: Any = client.responses.create(model=MODEL, input=TEXT, tools=TOOLS, tool_choice="required")
    assert "sku" in json.loads(reply.output[0].arguments)
    answer: Any = [{"type": "function_call_output", "call_id": reply.output[0].call_id, "output": "12"}]
    return client.responses.create(model=MODEL, input=answer, previous_response_id=reply.id, tools=TOOLS).output_text


@check
def responses_that_draw() -> Any:
    reply: Any = client.responses.create(model=MODEL, input=TEXT, tools=[{"type": "image_generation"}])
    return sorted(reply.tool_usage["image_gen"] if isinstance(reply.tool_usage, dict) else reply.tool_usage.image_gen.to_dict())


@check
def responses_in_the_background() -> Any:
    first = client.responses.create(model=MODEL, input=TEXT, background=True)
    seen = [first.status, client.responses.retrieve(first.id).status, client.responses.retrieve(first.id).status]
    assert seen == ["queued", "in_progress", "completed"]
    last = client.responses.retrieve(first.id)
    assert last.usage is not None
    with client.responses.retrieve(first.id, stream=True, starting_after=1) as stream:
        numbers = [event.sequence_number for event in stream]
    assert numbers[0] == 2
    client.responses.delete(first.id)


@check
def responses_cancelled() -> Any:
    first = client.responses.create(model=MODEL, input=TEXT, background=True)
    return client.responses.cancel(first.id).status


@check
def responses_counted_and_compacted() -> Any:
    counted = client.responses.input_tokens.count(model=MODEL, input=TEXT)
    made = client.responses.compact(model=MODEL, input=[{"role": "user", "content": TEXT}])
    weighed(made.usage)
    return counted.input_tokens


@check
async def responses_asynchronous() -> Any:
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as made:
        reply = await made.responses.create(model=MODEL, input=TEXT)
        events = [event async for event in await made.responses.create(model=MODEL, input=TEXT, stream=True)]
    weighed(reply.usage)
    return len(events), reply.output_text


@check
def models() -> Any:
    listed = [model.id for model in client.models.list()]
    assert listed
    assert client.models.retrieve(listed[0]).id == listed[0]
    return len(listed) > 0


@check("conversations", "vector_stores", "containers", "skills", "nobody/knows/this")
def other_paths_pass(path: str) -> Any:
    made: Any = client.post(f"/{path}", cast_to=object, body={"name": "x", "deep": {"a": [1, None]}}, options={"headers": {"x-own": "1"}})
    seen = last_seen()
    assert (seen["path"], json.loads(seen["body"]), seen["headers"]["x-own"]) == (
        f"/v1/{path}",
        {"name": "x", "deep": {"a": [1, None]}},
        "1",
    )
    assert made["new"] == {"a": 1}
    return made


@check("GET", "PUT", "PATCH", "DELETE")
def other_methods_pass(method: str) -> Any:
    calls: dict[str, Any] = {"GET": client.get, "PUT": client.put, "PATCH": client.patch, "DELETE": client.delete}
    made: Any = calls[method]("/organization/things/1?after=%20x&b=a%2Fb", cast_to=object)
    assert (last_seen()["method"], last_seen()["query"]) == (method, "after=%20x&b=a%2Fb")
    return made


@check
def azure() -> Any:
    if not THROUGH:
        return None
    made = openai.AzureOpenAI(azure_endpoint=ORIGIN, api_version="2024-10-21", api_key=KEY, max_retries=0)
    messages: Any = [{"role": "user", "content": TEXT}]
    reply = made.chat.completions.create(model=MODEL, messages=messages)
    weighed(reply.usage)
    parts = list(made.chat.completions.create(model=MODEL, messages=messages, stream=True))
    assert "".join(part.choices[0].delta.content or "" for part in parts if part.choices) == reply.choices[0].message.content
    assert made.embeddings.create(model="text-embedding-3-small", input="x").data
    return None
