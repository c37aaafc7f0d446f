"""The official Python SDK, any version, when things go wrong: errors, retries, timeouts, clients that leave. It must never hang."""

import asyncio
import json
import time
import urllib.request
from functools import partial
from typing import Any

import openai

from tests.clients.drivers.checks import BASE, KEY, TEXT, THROUGH, check, control, fault, last_seen, leaves_after, left, long_check, raised

MODEL = "gpt-4o-mini"
MESSAGES: Any = [{"role": "user", "content": TEXT}]
client = openai.OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
KINDS: dict[str, tuple[type[openai.APIStatusError], str | None]] = {
    "400": (openai.BadRequestError, None),
    "401": (openai.AuthenticationError, "invalid_api_key"),
    "403": (openai.PermissionDeniedError, "unsupported_country_region_territory"),
    "404": (openai.NotFoundError, "model_not_found"),
    "409": (openai.ConflictError, None),
    "422": (openai.UnprocessableEntityError, None),
    "429=7": (openai.RateLimitError, "rate_limit_exceeded"),
    "500": (openai.InternalServerError, None),
    "503=3": (openai.InternalServerError, None),
}


def create(name: str, made: openai.OpenAI = client, **more: Any) -> Any:
    """A chat call with a fault."""
    return made.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=fault(name), **more)


def body_of(error: openai.APIError) -> Any:
    """What the provider said."""
    return error.body


@check("400", "401", "403", "404", "409", "422", "429=7", "500", "503=3")
def errors(name: str) -> Any:
    kind, code = KINDS[name]
    for streamed in (False, True):
        error = raised(kind, partial(create, name, stream=streamed))
        status, _, wait = name.partition("=")
        assert (error.status_code, error.code) == (int(status), code)
        assert (error.request_id or "").startswith("req_")
        assert "Simulated" in error.message
        assert set(body_of(error)) == {"message", "type", "param", "code"}
        if wait:
            assert (error.response.headers["retry-after"], error.response.headers["retry-after-ms"]) == (wait, f"{wait}000")
        if THROUGH:
            assert error.response.headers["x-grammage-call-id"]
            assert "x-grammage-gco2e" not in error.response.headers
    return error.body


@check("embeddings", "images", "responses", "transcriptions", "speech")
def errors_elsewhere(where: str) -> Any:
    calls: dict[str, Any] = {
        "embeddings": lambda more: client.embeddings.create(model="e", input="x", **more),
        "images": lambda more: client.images.generate(model="gpt-image-1", prompt="x", **more),
        "responses": lambda more: client.responses.create(model=MODEL, input="x", **more),
        "transcriptions": lambda more: client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"RIFF"), **more),
        "speech": lambda more: client.audio.speech.create(model="tts-1", voice="alloy", input="x", **more),
    }
    error = raised(openai.RateLimitError, lambda: calls[where]({"extra_headers": fault("429=9")}))
    assert (error.code, error.response.headers["retry-after"]) == ("rate_limit_exceeded", "9")
    return error.body


@check
def a_bad_model_reaches_the_provider_or_is_told_clearly() -> Any:
    error = raised(openai.NotFoundError, lambda: client.models.retrieve("there-is-no-such-model"))
    assert error.code
    return error.status_code


@check
def a_lone_surrogate_is_no_server_error() -> Any:
    body = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"\\ud83d cut"}]}'
    request = urllib.request.Request(
        f"{BASE}/chat/completions", body, {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    )
    with urllib.request.urlopen(request) as reply:
        assert json.load(reply)["choices"]
    assert "\\ud83d cut" in last_seen()["body"]


@long_check
def retry_after_is_honoured() -> None:
    before = len(control("seen"))
    started = time.monotonic()
    raised(openai.RateLimitError, lambda: create("429=1", client.with_options(max_retries=1)))
    assert 0.9 <= time.monotonic() - started < 4
    tried = [seen["headers"]["x-stainless-retry-count"] for seen in control("seen")[before:]]
    assert tried == ["0", "1"] or len(control("seen")) == 200


@check
def a_retry_is_marked() -> None:
    raised(openai.InternalServerError, lambda: create("503=0", client.with_options(max_retries=1)))
    assert [seen["headers"]["x-stainless-retry-count"] for seen in control("seen")[-2:]] == ["0", "1"]


@check
def should_retry_false_is_obeyed() -> None:
    made = client.with_options(max_retries=2)
    marker = {"x-test-answer": "should-not-retry", "x-client-request-id": f"once-{time.monotonic_ns()}"}
    raised(openai.InternalServerError, lambda: made.chat.completions.create(model=MODEL, messages=MESSAGES, extra_headers=marker))
    name = "x-client-request-id"
    assert [seen["headers"].get(name) for seen in control("seen")].count(marker[name]) == 1


@check
def a_timeout_reaches_the_provider() -> None:
    before = left()
    raised(openai.APITimeoutError, lambda: create("slow-first-byte=6000", client.with_options(timeout=0.4)))
    leaves_after(before)


@check
def a_stream_that_is_closed_ends_at_the_provider() -> None:
    before = left()
    with create("stall=3", stream=True) as stream:
        for count, _ in enumerate(stream, 1):
            if count == 2:
                break
    leaves_after(before)


@check(False, True)
async def a_cancelled_task_ends_at_the_provider(streamed: Any) -> None:
    before = left()
    async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, max_retries=0) as made:

        async def go() -> None:
            name = "stall=3" if streamed else "slow-first-byte=6000"
            reply: Any = await made.chat.completions.create(model=MODEL, messages=MESSAGES, stream=streamed, extra_headers=fault(name))
            async for _ in reply:
                pass

        try:
            await asyncio.wait_for(go(), 0.5)
        except TimeoutError:
            pass
        else:
            raise AssertionError("it was not cancelled")
    await asyncio.to_thread(leaves_after, before)


@check
def a_cut_stream_raises() -> Any:
    parts: list[str] = []

    def read() -> None:
        for part in create("cut=3", stream=True):
            parts.append(part.choices[0].delta.content or "")

    return type(raised(Exception, read)).__name__, parts


@check
def a_cut_answer_raises() -> None:
    raised((openai.APIConnectionError, openai.InternalServerError), lambda: create("cut"))


@check
def an_error_in_a_stream_raises() -> Any:
    parts: list[str] = []

    def read() -> None:
        for part in client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, extra_headers={"x-test-answer": "error-event"}
        ):
            parts.append(part.choices[0].delta.content or "")

    error = raised(openai.APIError, read)
    assert parts == ["Half "]
    return error.code, error.type


@check
def a_broken_chunk_raises() -> None:
    raised(json.JSONDecodeError, lambda: list(create("malformed-chunk", stream=True)))


@check
def a_provider_without_stream_options_still_streams() -> None:
    assert list(create("refuse-stream-options", stream=True))
    assert "stream_options" not in json.loads(last_seen()["body"]) or not THROUGH
