"""Streamed answers on the wire: every byte arrives, our own question for usage never shows, a cut never looks like an end."""

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.contract.proxy_harness import KEY, Answer, Proxy, ask, proxy, until, without_footprint
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, ScriptedUpstream, framed, streamed, whole

ASKED = ask(stream=True, stream_options={"include_usage": True})
UNASKED = ask(stream=True)
USAGE = {"prompt_tokens": 11, "completion_tokens": 4, "total_tokens": 15, "completion_tokens_details": {"reasoning_tokens": 1}}


def chunk(content: str | None = "x", **more: Any) -> bytes:
    """One chat chunk; None: without choices."""
    delta = [] if content is None else [{"index": 0, "delta": {"content": content}, "finish_reason": None}]
    document = {"id": "c", "object": "chat.completion.chunk", "model": "gpt-4o-mini-2024-07-18", "choices": delta, **more}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def event(data: bytes, end: bytes = b"\n\n") -> bytes:
    return b"data: " + data + end


HELLO, WORLD, CAFE = event(chunk("Hello")), event(chunk(" world")), event(chunk("caf\u00e9 \U0001f411"))
FINAL = event(chunk(None, usage=USAGE))
DONE = b"data: [DONE]\n\n"
AZURE = event(b'{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}')
PING = b": ping\n\n"
ODD = b'event: odd\nid: 7\nretry: 10\ndata: {"type":"odd"}\n\n'
BROKEN = b'data: {"id":"c","choices":[{"delta":{"content":"x\n\n'
ERROR = event(b'{"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}')

STOPPED = event(chunk("", usage=USAGE).replace(b'"finish_reason":null', b'"finish_reason":"stop"'))

STREAMS: dict[str, list[bytes]] = {
    "plain": [HELLO, WORLD, CAFE, FINAL, DONE],
    "crlf": [part.replace(b"\n", b"\r\n") for part in (HELLO, WORLD, PING, FINAL, DONE)],
    "cr": [part.replace(b"\n", b"\r") for part in (HELLO, WORLD, FINAL, DONE)],
    "comments": [PING, HELLO, PING, WORLD, FINAL, DONE],
    "comment-after-usage": [HELLO, FINAL, PING, DONE],
    "unknown-events": [ODD, HELLO, ODD, FINAL, DONE],
    "azure": [AZURE, HELLO, WORLD, FINAL, DONE],
    "usage-on-last-content": [HELLO, event(chunk(" world", usage=USAGE)), DONE],
    "usage-on-finish": [HELLO, STOPPED, DONE],
    "usage-everywhere": [event(chunk("a", usage=USAGE)), event(chunk("b", usage=USAGE)), event(chunk(None, usage=USAGE)), DONE],
    "usage-in-the-middle": [HELLO, FINAL, WORLD, DONE],
    "usage-twice": [HELLO, FINAL, WORLD, FINAL, DONE],
    "malformed": [HELLO, BROKEN, WORLD, FINAL, DONE],
    "error": [HELLO, ERROR],
    "error-then-done": [HELLO, ERROR, DONE],
    "no-done": [HELLO, WORLD, FINAL],
    "no-usage": [HELLO, WORLD, DONE],
    "after-done": [HELLO, FINAL, DONE, b": bye\n\n", b"data: more\n\n"],
    "torn-after-done": [HELLO, FINAL, DONE + b": bye"],
    "newline-after-done": [HELLO, FINAL, DONE + b"\r\n"],
    "no-last-newline": [HELLO, FINAL, b"data: [DONE]"],
    "one-last-newline": [HELLO, FINAL, b"data: [DONE]\n"],
    "no-space": [HELLO.replace(b"data: ", b"data:"), FINAL.replace(b"data: ", b"data:"), b"data:[DONE]\n\n"],
    "empty-events": [b"data:\n\n", HELLO, b"\n\n", FINAL, DONE],
    "surrogate": [event(b'{"model":"m","choices":[{"delta":{"content":"\\ud83d"}}]}'), FINAL, DONE],
    "nothing": [],
}


def data_of(body: bytes) -> list[bytes]:
    """The payload of each event."""
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    return [line[5:].strip() for line in lines if line.startswith(b"data:")]


@pytest.mark.parametrize("name", STREAMS)
def test_with_tagging_off_a_stream_asked_with_usage_is_the_providers_to_the_byte(
    upstream: ScriptedUpstream, plain: Proxy, name: str
) -> None:
    headers = [(b"x-request-id", b"req_1"), (b"cache-control", b"no-cache"), (b"Server", b"x"), (b"openai-processing-ms", b"9")]
    upstream.answers(*streamed(*STREAMS[name], headers=headers))
    answer = plain.chat(ASKED)
    assert answer.body == b"".join(STREAMS[name])
    assert answer.theirs == [(b"content-type", b"text/event-stream"), *((key.lower(), value) for key, value in headers)]
    assert (answer.status, answer.cut, answer.ours) == (200, False, {})


@pytest.mark.parametrize("name", STREAMS)
def test_with_tagging_on_only_the_last_usage_chunk_gets_a_footprint(upstream: ScriptedUpstream, tagging: Proxy, name: str) -> None:
    upstream.answers(*streamed(*STREAMS[name]))
    answer = tagging.chat(ASKED)
    whole_stream = b"".join(STREAMS[name])
    last_carrier = FINAL in STREAMS[name] or name in ("crlf", "cr", "no-space", "usage-everywhere", "usage-on-finish")
    if last_carrier and name != "usage-in-the-middle":
        assert without_footprint(answer.body) == whole_stream
    else:
        assert answer.body == whole_stream
    assert answer.ours["basis"] == "forecast"


@pytest.mark.parametrize("name", STREAMS)
def test_our_own_question_for_usage_never_shows(upstream: ScriptedUpstream, tagging: Proxy, name: str) -> None:
    with_nulls = [part.replace(b'"choices":[{', b'"usage":null,"choices":[{') if b'"usage"' not in part else part for part in STREAMS[name]]
    upstream.answers(*streamed(*with_nulls))
    answer = tagging.chat(UNASKED)
    carriers = (FINAL, *(FINAL.replace(b"\n", end) for end in (b"\r\n", b"\r")), FINAL.replace(b"data: ", b"data:"))
    expected = b"".join(part for part in STREAMS[name] if part not in carriers)
    if name == "usage-everywhere":
        expected = b"".join([*STREAMS[name][:2], DONE])
    assert answer.body == expected


@pytest.mark.parametrize(
    "name", ["plain", "crlf", "azure", "usage-on-last-content", "usage-on-finish", "usage-everywhere", "usage-in-the-middle", "no-done"]
)
@pytest.mark.parametrize("body", [ASKED, UNASKED], ids=["asked", "unasked"])
def test_the_providers_usage_is_recorded_once(upstream: ScriptedUpstream, tagging: Proxy, name: str, body: dict[str, Any]) -> None:
    upstream.answers(*streamed(*STREAMS[name]))
    before = len(tagging.calls())
    answer = tagging.chat(body)
    rows = tagging.calls()
    assert len(rows) == before + 1
    row = rows[-1]
    assert row["call_id"] == answer.ours["call-id"]
    assert (row["input_tokens"], row["output_tokens"], row["reasoning_output_tokens"]) == (11, 4, 1)
    assert (row["usage_source"], row["partial"], row["stream"], row["stream_complete"]) == ("provider", 0, 1, 1)
    assert row["served_model"] == "gpt-4o-mini-2024-07-18"


def test_a_stream_without_usage_is_counted(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*streamed(*STREAMS["no-usage"]))
    tagging.chat(UNASKED)
    row = tagging.calls()[-1]
    assert (row["usage_source"], row["partial"], row["stream_complete"]) == ("counted", 0, 1)
    assert row["output_tokens"] == 2
    assert 8 <= row["input_tokens"] <= 20


@pytest.mark.parametrize("sizes", [[1], [2, 3], [5, 1, 7], [64]])
@pytest.mark.parametrize("name", ["plain", "crlf", "comment-after-usage", "usage-in-the-middle", "after-done", "malformed"])
def test_tcp_borders_change_nothing(upstream: ScriptedUpstream, tagging: Proxy, name: str, sizes: list[int]) -> None:
    stream = b"".join(STREAMS[name])
    upstream.answers(*streamed(*STREAMS[name]))
    in_events = tagging.chat(ASKED)
    upstream.answers(*streamed(*pieces(stream, sizes)))
    in_pieces = tagging.chat(ASKED)
    assert figures_hidden(in_pieces) == figures_hidden(in_events)


def pieces(stream: bytes, sizes: list[int]) -> Iterator[bytes]:
    turns, at = itertools.cycle(sizes), 0
    while at < len(stream):
        size = next(turns)
        yield stream[at : at + size]
        at += size


def figures_hidden(answer: Answer) -> tuple[bytes, bool]:
    return answer.body.replace(answer.ours["call-id"].encode(), b"ID"), answer.cut


def test_events_leave_as_they_come(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    go_on = threading.Event()
    start, *rest = streamed(HELLO, WORLD, DONE)
    upstream.answers(start, rest[0], go_on, *rest[1:])
    with httpx.Client(base_url=tagging.url) as client, client.stream("POST", "/v1/chat/completions", json=UNASKED) as reply:
        arriving = reply.iter_raw()
        assert next(arriving) == HELLO
        go_on.set()
        assert b"".join(arriving) == WORLD + DONE


def test_an_event_split_inside_a_character_arrives_whole(upstream: ScriptedUpstream, plain: Proxy) -> None:
    at = CAFE.index(b"\xc3") + 1
    upstream.answers(*streamed(CAFE[:at], CAFE[at:], DONE))
    with openai.OpenAI(base_url=plain.v1, api_key=KEY, max_retries=0) as client:
        said = [part.choices[0].delta.content for part in client.chat.completions.create(**UNASKED)]
    assert said == ["caf\u00e9 \U0001f411"]


CUTS: dict[str, list[object]] = {
    "closed": [],
    "reset": [RESET],
    "torn-event": [framed(b'data: {"choices":[{"del')],
    "torn-frame": [b"40\r\ndata: {"],
}


@pytest.mark.parametrize("end", CUTS)
@pytest.mark.parametrize("body", [ASKED, UNASKED], ids=["asked", "unasked"])
def test_a_cut_stream_never_looks_ended(upstream: ScriptedUpstream, tagging: Proxy, end: str, body: dict[str, Any]) -> None:
    arrived = threading.Event()
    upstream.answers(*streamed(HELLO, WORLD, end=False), arrived, *CUTS[end])
    with (
        httpx.Client(base_url=tagging.url) as client,
        client.stream("POST", "/v1/chat/completions", json=body, headers=tagging.headers) as reply,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            _read_all(reply, arrived)
        call_id = reply.headers["x-grammage-call-id"]
    row = tagging.calls()[-1]
    assert (row["call_id"], row["outcome"], row["stream_complete"], row["partial"]) == (call_id, "upstream_cut", 0, 1)
    assert (row["usage_source"] in ("counted", "estimated"), row["output_tokens"]) == (True, 2)
    assert row["gco2e"] > 0


def _read_all(reply: httpx.Response, arrived: threading.Event) -> None:
    for got in reply.iter_raw():
        assert b"[DONE]" not in got
        arrived.set()


def test_the_sdk_sees_an_error_when_a_stream_is_cut(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*streamed(HELLO, end=False))
    with openai.OpenAI(base_url=tagging.v1, api_key=KEY, max_retries=0) as client, pytest.raises((openai.APIError, httpx.HTTPError)):
        list(client.chat.completions.create(**UNASKED))


def test_usage_seen_before_a_cut_is_kept_and_marked_partial(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    growing = {"prompt_tokens": 500, "completion_tokens": 40, "total_tokens": 540}
    upstream.answers(*streamed(event(chunk("a", usage=growing)), event(chunk("b", usage=growing)), end=False))
    answer = tagging.chat(UNASKED)
    assert answer.cut
    row = tagging.calls()[-1]
    assert (row["usage_source"], row["input_tokens"], row["output_tokens"], row["partial"]) == ("provider", 500, 40, 1)


def test_a_client_that_leaves_a_stream_ends_the_providers_work_and_is_recorded(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.left.clear()
    upstream.answers(*streamed(HELLO, WORLD, end=False), UNTIL_LEFT)
    before = len(tagging.calls())
    with httpx.Client(base_url=tagging.url) as client, client.stream("POST", "/v1/chat/completions", json=UNASKED) as reply:
        assert b"Hello" in next(reply.iter_raw())
    assert upstream.left.wait(10)
    row = tagging.recorded(before + 1)[-1]
    assert (row["outcome"], row["partial"], row["stream_complete"], row["usage_source"]) == ("client_left", 1, 0, "counted")
    assert row["output_tokens"] >= 1


def test_a_client_that_leaves_while_it_waits_ends_the_providers_work(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.left.clear()
    upstream.answers(UNTIL_LEFT)
    before = len(tagging.calls())
    with httpx.Client(base_url=tagging.url) as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/chat/completions", json=ask(), timeout=0.3)
    assert upstream.left.wait(10)
    row = tagging.recorded(before + 1)[-1]
    assert (row["outcome"], row["status"], row["partial"]) == ("client_left", 499, 1)
    assert row["input_tokens"] > 0


def test_a_whole_answer_that_is_cut_is_an_error_and_recorded(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    torn = whole(b'{"id":"x","choices":[]}')[0][:-5]
    upstream.answers(torn)
    answer = tagging.chat()
    assert (answer.status, answer.error["code"], answer.error["type"]) == (502, "upstream_broke", "grammage_error")
    row = tagging.calls()[-1]
    assert (row["call_id"], row["outcome"], row["partial"]) == (answer.ours["call-id"], "upstream_error", 1)


@pytest.mark.parametrize("status", [b"400 Bad Request", b"422 Unprocessable Entity"])
def test_a_provider_that_refuses_the_usage_option_is_asked_again_without(upstream: ScriptedUpstream, tmp_path: Path, status: bytes) -> None:
    refusal = whole(b'{"error":{"message":"unknown field stream_options"}}', status=status)
    upstream.script = lambda request: refusal if b"stream_options" in request.body else streamed(HELLO, DONE)
    start = len(upstream.received)
    with proxy(tmp_path, upstream.url) as made:
        first, second = made.chat(UNASKED), made.chat(UNASKED)
        rows = made.calls()
    assert first.body == second.body == HELLO + DONE
    bodies = [request.body for request in upstream.received[start:]]
    assert [b"stream_options" in body for body in bodies] == [True, False, False]
    assert json.loads(bodies[1]) == UNASKED
    assert [row["usage_source"] for row in rows] == ["counted", "counted"]


def test_one_clients_bad_options_do_not_end_the_question_for_usage(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    refusal = whole(b'{"error":{"message":"stream_options.include_obfuscation must be a boolean"}}', status=b"400 Bad Request")
    upstream.script = lambda request: refusal if b"obfuscation" in request.body else streamed(HELLO, FINAL, DONE)
    with proxy(tmp_path, upstream.url) as made:
        bad = made.chat(ask(stream=True, stream_options={"include_obfuscation": "yes"}))
        good = made.chat(UNASKED)
        rows = made.calls()
    assert (bad.status, good.status) == (400, 200)
    assert json.loads(upstream.last.body)["stream_options"] == {"include_usage": True}
    assert rows[-1]["usage_source"] == "provider"


def test_done_reaches_the_client_although_the_provider_keeps_the_line_open(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.left.clear()
    upstream.answers(*streamed(HELLO, DONE, end=False), UNTIL_LEFT)
    with httpx.Client(base_url=tagging.url) as client, client.stream("POST", "/v1/chat/completions", json=UNASKED) as reply:
        got = b""
        for part in reply.iter_raw():
            got += part
            if b"[DONE]" in got:
                break
    assert got == HELLO + DONE
    until(lambda: upstream.left.is_set() or None)


def test_a_whole_answer_to_a_streamed_request_is_weighed_as_one(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*whole(b'{"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}'))
    answer = tagging.chat(UNASKED)
    assert answer.ours["basis"] == "final"
    assert answer.json["usage"]["footprint"]["call_id"] == answer.ours["call-id"]
    assert (tagging.calls()[-1]["stream"], tagging.calls()[-1]["output_tokens"]) == (0, 6)


def test_one_aliases_refusal_of_forced_usage_is_not_everybodys(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    refusal = b'{"error":{"message":"Unknown parameter: stream_options"}}'
    upstream.answers(*whole(refusal, status=b"400 Bad Request"))
    tagging.chat({**UNASKED, "model": "refuses"})
    assert b"stream_options" not in upstream.last.body
    upstream.answers(*streamed(FINAL, DONE))
    tagging.chat({**UNASKED, "model": "refuses"})
    first = upstream.last.body
    tagging.chat({**UNASKED, "model": "takes"})
    assert b"include_usage" in upstream.last.body
    assert b"include_usage" in first  # refused twice in a row: nothing was learned of the alias


def test_a_provider_that_always_sends_usage_is_not_asked_for_it(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*streamed(FINAL, DONE))
    with proxy(tmp_path, upstream.url, upstream_provider="openrouter") as made:
        answer = made.chat(UNASKED)
        assert b"stream_options" not in upstream.last.body
        assert without_footprint(answer.body) == FINAL + DONE
        assert made.recorded(1)[0]["usage_source"] == "provider"
