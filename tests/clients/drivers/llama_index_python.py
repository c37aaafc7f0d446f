"""LlamaIndex with any OpenAI-compatible server, and instructor. It must never fetch a tokenizer."""

import asyncio
from typing import Any

import instructor
import openai
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from tests.clients.drivers.checks import BASE, KEY, TEXT, check, fault, raised, weighed

MESSAGES = [ChatMessage(role="user", content=TEXT)]


class Advert(BaseModel):
    """What structured output is asked for."""

    headline: str
    pieces: int


def make(name: str = "", **more: Any) -> Any:
    """A model; with a fault when one is named."""
    headers = fault(name) if name else None
    return OpenAILike(model="gpt-4o-mini", api_base=BASE, api_key=KEY, is_chat_model=True, max_retries=0, default_headers=headers, **more)


@check
def chatted_and_streamed() -> Any:
    reply = make().chat(MESSAGES)
    weighed(reply.raw.usage)
    last = None
    for part in make(additional_kwargs={"stream_options": {"include_usage": True}}).stream_chat(MESSAGES):
        last = part
    assert last is not None
    assert last.message.content == reply.message.content
    weighed(last.raw.usage)
    return reply.message.content


@check
def completed() -> Any:
    return make().complete(TEXT).text


@check("401", "404", "429=2", "500")
def errors(name: str) -> Any:
    for call in (lambda: make(name).chat(MESSAGES), lambda: list(make(name).stream_chat(MESSAGES))):
        assert raised(openai.APIStatusError, call).status_code == int(name[:3])


@check("usage-last-chunk", "usage-every-chunk", "azure-first-chunk", "split-utf8", "crlf", "gzip", "no-usage")
def odd_streams(name: str) -> Any:
    return list(make(name).stream_chat(MESSAGES))[-1].message.content


@check
async def at_once() -> Any:
    made = make()
    found = await asyncio.gather(*(made.achat(MESSAGES) for _ in range(30)))
    for one in found:
        weighed(one.raw.usage)


@check("TOOLS", "JSON_SCHEMA")
def instructed(mode: str) -> Any:
    made: Any = instructor.from_openai(openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0), mode=instructor.Mode[mode])
    messages: Any = [{"role": "user", "content": TEXT}]
    found, raw = made.chat.completions.create_with_completion(model="gpt-4o-mini", messages=messages, response_model=Advert, max_retries=0)
    assert isinstance(found, Advert)
    weighed(raw.usage)


@check
def instructed_in_parts() -> Any:
    made: Any = instructor.from_openai(openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0))
    messages: Any = [{"role": "user", "content": TEXT}]
    parts = list(made.chat.completions.create_partial(model="gpt-4o-mini", messages=messages, response_model=Advert, max_retries=0))
    assert parts[-1].headline
