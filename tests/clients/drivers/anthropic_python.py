"""Anthropic's own Python SDK on the Messages door. It must never be given a base URL that ends in /v1: its users' do not."""

from functools import partial
from typing import Any

import anthropic

from tests.clients.drivers.checks import KEY, ORIGIN, TEXT, THROUGH, check, fault, raised, weighed

MODEL = "claude-sonnet-4-5"
MESSAGES: Any = [{"role": "user", "content": TEXT}]
TOOLS: Any = [{"name": "stock", "description": "d", "input_schema": {"type": "object", "properties": {"sku": {"type": "string"}}}}]
client = anthropic.Anthropic(base_url=ORIGIN, api_key=KEY, max_retries=0)


def create(**more: Any) -> Any:
    """One message."""
    return client.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES, **more)


@check
def messages() -> Any:
    raw = client.messages.with_raw_response.create(model=MODEL, max_tokens=200, messages=MESSAGES)
    reply = raw.parse()
    assert (reply.type, reply.role) == ("message", "assistant")
    assert reply.usage.output_tokens > 0
    assert ("x-grammage-gco2e" in raw.headers) == THROUGH
    return reply.content[0].type


@check
def messages_carry_the_footprint() -> None:
    weighed(create().usage)


@check
def streamed() -> Any:
    kinds = [event.type for event in create(stream=True)]
    assert (kinds[0], kinds[-1]) == ("message_start", "message_stop")
    return sorted(set(kinds))


@check
def stream_helper() -> Any:
    with client.messages.stream(model=MODEL, max_tokens=200, messages=MESSAGES) as stream:
        text = "".join(stream.text_stream)
        final: Any = stream.get_final_message()
    assert text == final.content[0].text == create().content[0].text
    return text


@check
def tools() -> Any:
    reply = create(tools=TOOLS, tool_choice={"type": "any"})
    assert reply.stop_reason == "tool_use"
    return reply.content[-1].name


@check
def counted() -> Any:
    return client.messages.count_tokens(model=MODEL, messages=MESSAGES).input_tokens


@check("400", "401", "403", "404", "429=3", "500")
def errors(name: str) -> Any:
    kinds: dict[str, Any] = {
        "400": anthropic.BadRequestError,
        "401": anthropic.AuthenticationError,
        "403": anthropic.PermissionDeniedError,
        "404": anthropic.NotFoundError,
        "429=3": anthropic.RateLimitError,
        "500": anthropic.InternalServerError,
    }
    for streamed in (False, True):
        error = raised(kinds[name], partial(create, stream=streamed, extra_headers=fault(name)))
        assert error.body["type"] == "error"
        assert error.body["error"]["type"]
        assert error.response.headers.get("retry-after") == ("3" if name == "429=3" else None)


@check
async def asynchronous() -> Any:
    async with anthropic.AsyncAnthropic(base_url=ORIGIN, api_key=KEY, max_retries=0) as made:
        reply = await made.messages.create(model=MODEL, max_tokens=200, messages=MESSAGES)
    return reply.usage.output_tokens
