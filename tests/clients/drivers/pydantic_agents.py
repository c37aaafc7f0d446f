"""pydantic-ai's agents on OpenAI models. It must never let an agent repair what came back wrong."""

import asyncio
from typing import Any

from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from tests.clients.drivers.checks import BASE, KEY, TEXT, check, fault, raised_later


class Advert(BaseModel):
    """What structured output is asked for."""

    headline: str
    pieces: int


def make(name: str = "", output: Any = str, kind: Any = OpenAIChatModel) -> Any:
    """An agent; its provider with a fault when one is named."""
    client = AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0, default_headers=fault(name) if name else None)
    return Agent(kind("gpt-4o-mini", provider=OpenAIProvider(openai_client=client)), output_type=output, retries=0)


async def streamed(name: str = "", kind: Any = OpenAIChatModel) -> Any:
    """The text of a stream and its tokens."""
    async with make(name, kind=kind).run_stream(TEXT) as stream:
        text = "".join([part async for part in stream.stream_text(delta=True, debounce_by=None)])
    return text


@check("chat", "responses")
async def run_and_streamed(which: str) -> Any:
    kind = OpenAIChatModel if which == "chat" else OpenAIResponsesModel
    whole = await make(kind=kind).run(TEXT)
    assert await streamed(kind=kind) == whole.output
    usage = whole.usage() if callable(whole.usage) else whole.usage
    assert usage.output_tokens > 0
    return whole.output, usage.output_tokens


@check
async def structured() -> Any:
    return (await make(output=Advert).run(TEXT)).output.model_dump()


@check("400", "401", "404", "429=2", "500")
async def errors(name: str) -> Any:
    for call in (lambda: make(name).run(TEXT), lambda: streamed(name)):
        assert (await raised_later(ModelHTTPError, call)).status_code == int(name[:3])


@check("usage-last-chunk", "usage-every-chunk", "azure-first-chunk", "split-utf8", "crlf", "gzip", "no-usage")
async def odd_streams(name: str) -> Any:
    return await streamed(name)


@check
async def at_once() -> Any:
    found = await asyncio.gather(*(make().run(TEXT) for _ in range(30)))
    return len({one.output for one in found})
