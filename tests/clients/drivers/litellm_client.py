"""LiteLLM as a client of the proxy. It must never use its router, its cache or its callbacks."""

import asyncio
from typing import Any

import litellm
from litellm import exceptions

from tests.clients.drivers.checks import BASE, KEY, TEXT, check, fault, raised, weighed

MODEL = "openai/gpt-4o-mini"
MESSAGES: Any = [{"role": "user", "content": TEXT}]
TOOL: Any = {"type": "function", "function": {"name": "stock", "parameters": {"type": "object", "properties": {"sku": {"type": "string"}}}}}
TO: Any = {"api_base": BASE, "api_key": KEY, "num_retries": 0, "max_retries": 0}


def complete(name: str = "", **more: Any) -> Any:
    """A completion; with a fault when one is named."""
    return litellm.completion(model=MODEL, messages=MESSAGES, extra_headers=fault(name) if name else None, **TO, **more)


def text_of(parts: Any) -> str:
    """The text of a stream."""
    return "".join(part.choices[0].delta.content or "" for part in parts if part.choices)


@check
def completed_and_streamed() -> Any:
    whole = complete()
    weighed(whole.usage)
    assert text_of(complete(stream=True)) == whole.choices[0].message.content
    parts = list(complete(stream=True, stream_options={"include_usage": True}))
    assert parts[-1].usage.total_tokens == whole.usage.total_tokens
    return whole.choices[0].message.content


@check
def tools_and_choices() -> Any:
    reply = complete(tools=[TOOL], tool_choice="required")
    return reply.choices[0].message.tool_calls[0].function.arguments, len(complete(n=2).choices)


@check
def embeddings() -> Any:
    return len(litellm.embedding(model="openai/text-embedding-3-small", input=["a"], encoding_format="float", **TO).data)


@check
def images_and_speech() -> Any:
    made = litellm.image_generation(model="openai/gpt-image-1", prompt="x", **TO)
    spoken: Any = litellm.speech(model="openai/tts-1", voice="alloy", input="Warm.", **TO)
    return len(made.data or []), len(spoken.content)


@check
def responses() -> Any:
    reply: Any = litellm.responses(model=MODEL, input=TEXT, api_base=BASE, api_key=KEY)
    return reply.usage.total_tokens


@check("401", "404", "429=2", "500")
def errors(name: str) -> Any:
    kinds: dict[str, type[Exception]] = {
        "401": exceptions.AuthenticationError,
        "404": exceptions.NotFoundError,
        "429=2": exceptions.RateLimitError,
        "500": exceptions.InternalServerError,
    }
    raised(kinds[name], lambda: complete(name))
    raised(kinds[name], lambda: list(complete(name, stream=True)))


@check("usage-last-chunk", "usage-every-chunk", "azure-first-chunk", "split-utf8", "crlf", "gzip", "no-usage")
def odd_streams(name: str) -> Any:
    return text_of(complete(name, stream=True))


@check
async def at_once() -> Any:
    found: Any = await asyncio.gather(*(litellm.acompletion(model=MODEL, messages=MESSAGES, **TO) for _ in range(30)))
    for one in found:
        weighed(one.usage)
    return len({one.choices[0].message.content for one in found})
