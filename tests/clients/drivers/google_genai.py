"""Google's own Python SDK on the Gemini door, as it calls by default and under the older version. It must never log in anywhere."""

from functools import cache, partial
from typing import Any

from google import genai
from google.genai import errors as genai_errors
from google.genai import types

from tests.clients.drivers.checks import KEY, ORIGIN, TEXT, THROUGH, check, fault, raised

MODEL = "gemini-2.5-flash"


@cache
def make(version: str = "", name: str = "") -> Any:
    """A client, kept because one that nobody holds closes itself; with a fault when one is named."""
    more: Any = {"api_version": version} if version else {}
    return genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=ORIGIN, headers=fault(name) if name else None, **more))


def asked(ask: Any) -> None:
    """One question, its answer read to the end."""
    list(ask(model=MODEL, contents=TEXT))


@check("", "v1beta", "v1")
def generated(version: str) -> Any:
    reply = make(version).models.generate_content(model=MODEL, contents=TEXT)
    assert reply.text
    assert reply.usage_metadata.candidates_token_count > 0
    assert ("x-grammage-gco2e" in {name.lower() for name in reply.sdk_http_response.headers}) == THROUGH
    return reply.text


@check("", "v1beta")
def streamed(version: str) -> Any:
    parts = list(make(version).models.generate_content_stream(model=MODEL, contents=TEXT))
    assert parts[-1].usage_metadata.total_token_count > 0
    text = "".join(part.text or "" for part in parts)
    assert text == make(version).models.generate_content(model=MODEL, contents=TEXT).text
    return text


@check
def counted() -> Any:
    return make().models.count_tokens(model=MODEL, contents=TEXT).total_tokens


@check("400", "401", "404", "429=3", "500")
def errors(name: str) -> Any:
    for call in ("generate_content", "generate_content_stream"):
        ask = getattr(make(name=name).models, call)
        error = raised(genai_errors.APIError, partial(asked, ask))
        assert error.code == int(name[:3])


@check
async def asynchronous() -> Any:
    made = make().aio
    reply = await made.models.generate_content(model=MODEL, contents=TEXT)
    parts = [part async for part in await made.models.generate_content_stream(model=MODEL, contents=TEXT)]
    assert "".join(part.text or "" for part in parts) == reply.text
