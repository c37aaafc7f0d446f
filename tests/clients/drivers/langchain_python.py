"""LangChain's OpenAI package for Python. It must never count tokens itself: that would fetch a tokenizer."""

import asyncio
from typing import Any

import openai
from langchain_core.messages import HumanMessage
from langchain_openai import AzureChatOpenAI, ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

from tests.clients.drivers.checks import BASE, KEY, ORIGIN, TEXT, THROUGH, check, fault, leaves_after, left, raised, weighed

MODEL = "gpt-4o-mini"


class Advert(BaseModel):
    """What structured output is asked for."""

    headline: str
    pieces: int


def make(name: str = "", **more: Any) -> Any:
    """A chat model; with a fault when one is named."""
    headers = fault(name) if name else None
    return ChatOpenAI(model=MODEL, base_url=BASE, api_key=KEY, max_retries=0, default_headers=headers, **more)


def stock(sku: str) -> str:
    """How many are in stock."""
    return "12"


def joined(parts: Any) -> Any:
    """The whole message of a stream."""
    whole = None
    for part in parts:
        whole = part if whole is None else whole + part
    return whole


@check("chat", "responses")
def invoked_and_streamed(which: str) -> Any:
    more: Any = {"use_responses_api": which == "responses"}
    reply = make(**more).invoke(TEXT)
    streamed = joined(make(stream_usage=True, **more).stream(TEXT))
    assert streamed.text == reply.text
    assert streamed.usage_metadata == reply.usage_metadata
    if which == "chat":
        weighed(reply.response_metadata["token_usage"])
    return reply.text, reply.usage_metadata["total_tokens"]


@check
def streamed_without_usage() -> Any:
    whole = joined(make(stream_usage=False).stream(TEXT))
    return whole.text, whole.response_metadata["finish_reason"]


@check
def headers_are_readable() -> Any:
    headers = make(include_response_headers=True).invoke(TEXT).response_metadata["headers"]
    assert ("x-grammage-gco2e" in headers) == THROUGH
    assert headers["x-request-id"].startswith("req_")


@check
def several_choices() -> Any:
    found = make(n=2).generate([[HumanMessage(TEXT)]])
    return [one.text for one in found.generations[0]]


@check(False, True)
def tools(streamed: Any) -> Any:
    bound = make().bind_tools([stock], tool_choice="any")
    reply = joined(bound.stream(TEXT)) if streamed else bound.invoke(TEXT)
    return [(call["name"], call["args"]) for call in reply.tool_calls]


@check("json_schema", "function_calling")
def structured(method: str) -> Any:
    found = make().with_structured_output(Advert, method=method, include_raw=True).invoke(TEXT)
    assert isinstance(found["parsed"], Advert)
    weighed(found["raw"].response_metadata["token_usage"])


@check
def embeddings() -> Any:
    made: Any = OpenAIEmbeddings
    vector = made(model="text-embedding-3-small", base_url=BASE, api_key=KEY, check_embedding_ctx_length=False).embed_query("a")
    return len(vector), round(vector[0], 4)


@check("400", "401", "404", "429=2", "500")
def errors(name: str) -> Any:
    kinds: dict[str, type[openai.APIStatusError]] = {
        "400": openai.BadRequestError,
        "401": openai.AuthenticationError,
        "404": openai.NotFoundError,
        "429=2": openai.RateLimitError,
        "500": openai.InternalServerError,
    }
    for call in (lambda: make(name).invoke(TEXT), lambda: list(make(name).stream(TEXT))):
        assert raised(kinds[name], call).status_code == int(name[:3])


@check("usage-last-chunk", "usage-every-chunk", "azure-first-chunk", "split-utf8", "crlf", "gzip", "no-usage")
def odd_streams(name: str) -> Any:
    whole = joined(make(name, stream_usage=False).stream(TEXT))
    assert whole.text == make(name).invoke(TEXT).text
    return whole.text


@check
async def at_once() -> Any:
    made = make()
    found = await asyncio.gather(*(made.ainvoke(TEXT) for _ in range(30)))
    for one in found:
        weighed(one.response_metadata["token_usage"])
    return len({one.text for one in found})


@check
async def a_cancelled_task_ends_at_the_provider() -> None:
    before = left()
    try:
        await asyncio.wait_for(make("slow-first-byte=6000").ainvoke(TEXT), 0.5)
    except TimeoutError:
        await asyncio.to_thread(leaves_after, before)
        return
    raise AssertionError("it was not cancelled")


@check
def azure() -> Any:
    if THROUGH:
        made: Any = AzureChatOpenAI
        reply = made(azure_endpoint=ORIGIN, api_version="2024-10-21", azure_deployment=MODEL, api_key=KEY, max_retries=0).invoke(TEXT)
        weighed(reply.response_metadata["token_usage"])
