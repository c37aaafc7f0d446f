"""Each example that people copy: a whole answer, a stream, refusals and usage, in the provider's own wire format, through a real proxy."""

import contextlib
import json
import re
import sqlite3
from typing import Any

import pytest

from config.load import load_settings
from proxy.ledger.ids import id_bytes
from tests.contract.ledger_rows import plain
from tests.contract.proxy_harness import Answer, Child, Proxy, without_footprint
from tests.contract.scripted_upstream import RESET, Part, Received, ScriptedUpstream, whole
from tests.providers.case import KEY, TEXT, Case
from tests.providers.conftest import EXAMPLES, environment
from tests.providers.translated_cases import EMBEDDED, EMBEDDINGS, TRANSLATED
from tests.providers.wire_cases import WIRE

NAMED = (
    "openai azure mistral groq openrouter deepseek xai ollama vllm ovhcloud scaleway anthropic bedrock vertex gemini azure-ai cohere"
    " together fireworks huggingface"
)
CHATS = (*WIRE, *TRANSLATED)
TOKEN = "/token"
chats = pytest.mark.parametrize("case", CHATS, ids=[f"{case.example}:{case.alias}" for case in CHATS])
_ROWS = """
    SELECT a.*, c.stream, c.stream_complete, c.alias, e.gco2e FROM calls c JOIN attempts a ON a.call_id = c.call_id
    LEFT JOIN estimates e ON e.attempt_id = a.attempt_id WHERE c.call_id = ?
"""


def answers(upstream: ScriptedUpstream, *parts: Part) -> None:
    """What the provider says from now on; its token service answers beside it."""
    token = whole(json.dumps({"access_token": "token-of-the-tests", "expires_in": 3600, "token_type": "Bearer"}).encode())
    upstream.received.clear()
    upstream.script = lambda request: token if request.target == TOKEN else parts


def asked(upstream: ScriptedUpstream) -> Received:
    """The one request that the provider got."""
    (request,) = [request for request in upstream.received if request.target != TOKEN]
    return request


def send(made: Proxy, case: Case, **changes: Any) -> Answer:
    body = {"model": f"{case.example}:{case.alias}", "messages": [{"role": "user", "content": "Describe a jumper."}], **changes}
    return made.post("/v1/chat/completions", body)


def row_of(made: Proxy, answer: Answer) -> dict[str, Any]:
    """The call's one row in the ledger."""
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        (row,) = database.execute(_ROWS, (id_bytes(answer.ours["call-id"]),))
        return plain(row)


def holds(row: dict[str, Any], case: Case) -> None:
    """The ledger has the usage that the provider told, and all of it."""
    told = {"cached_input_tokens": 0, "reasoning_output_tokens": 0, **case.recorded, "usage_source": "provider", "unweighed_reason": None}
    assert {name: row[name] for name in told} == told
    assert (row["provider"], row["partial"]) == (case.provider, 0)
    assert row["gco2e"] > 0


def payloads(answer: Answer) -> list[Any]:
    """The events of a stream, less its end mark."""
    found = [line[6:] for line in answer.body.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(payload) for payload in found if payload != "[DONE]"]


def test_every_provider_that_is_promised_has_an_example_and_every_example_a_case() -> None:
    files = {file.stem for file in EXAMPLES.glob("*.yaml")}
    assert set(NAMED.split()) <= files
    assert {case.example for case in CHATS} == files


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_an_example_is_short_explained_and_sound(file: Any) -> None:
    text = file.read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) <= 30
    assert load_settings(file, environment("http://127.0.0.1:1")).models
    assert all(value.startswith("${") for value in re.findall(r"api_key: \"?([^\",}]+)", text)), "a key stands in the file"


@chats
def test_a_whole_answer_arrives_and_its_usage_is_recorded(upstream: ScriptedUpstream, proxy: Proxy, case: Case) -> None:
    answers(upstream, *case.answers())
    answer = send(proxy, case)
    assert answer.status == 200, answer.body
    assert answer.json["choices"][0]["message"]["content"] == TEXT
    assert answer.json["choices"][0]["finish_reason"] == "stop"
    holds(row_of(proxy, answer), case)
    request = asked(upstream)
    assert request.target == case.target
    name, key = case.key
    assert (request.value(name) or b"").decode().startswith(key)
    if not case.translated:
        assert without_footprint(answer.body) == json.dumps(case.unary).encode()


@chats
def test_a_stream_arrives_and_its_usage_is_recorded(upstream: ScriptedUpstream, proxy: Proxy, case: Case) -> None:
    answers(upstream, *case.streams())
    answer = send(proxy, case, stream=True, stream_options={"include_usage": True})
    assert answer.status == 200, answer.body
    assert answer.value("content-type") == "text/event-stream"
    events = payloads(answer)
    assert "".join(event["choices"][0]["delta"].get("content") or "" for event in events if event["choices"]) == TEXT
    holds(row_of(proxy, answer), case)
    assert asked(upstream).target == (case.stream_target or case.target)
    if case.example == "openrouter":  # its usage stands in a chunk with a choice, which leaves as it came
        assert answer.body == b"".join(case.events)
        return
    assert events[-1]["usage"]["footprint"]["gco2e"] > 0
    if case.translated:
        assert answer.body.endswith(b"data: [DONE]\n\n")
        assert events[-1]["choices"] == []
    else:
        assert without_footprint(answer.body) == b"".join(case.events)


@chats
def test_a_stream_whose_usage_nobody_asked_for_is_recorded_and_shows_none(upstream: ScriptedUpstream, proxy: Proxy, case: Case) -> None:
    answers(upstream, *case.streams())
    answer = send(proxy, case, stream=True)
    text = [event["choices"][0]["delta"].get("content") for event in payloads(answer) if event["choices"]]
    assert "".join(part or "" for part in text) == TEXT
    holds(row_of(proxy, answer), case)
    if case.translated:
        assert all("usage" not in event and event["choices"] for event in payloads(answer))


@chats
def test_a_rate_limit_keeps_its_status_its_words_and_its_delay(upstream: ScriptedUpstream, proxy: Proxy, case: Case) -> None:
    answers(upstream, *case.errs(b"429 Too Many Requests", case.limited, (b"retry-after", b"7")))
    for stream in (False, True):
        upstream.received.clear()
        answer = send(proxy, case, stream=stream)
        assert (answer.status, answer.value("retry-after")) == (429, "7"), answer.body
        refused(proxy, answer, case, case.limited)
        assert not case.translated or answer.error["code"] == "rate_limit_exceeded"


@chats
def test_a_refused_key_is_said_in_the_providers_words(upstream: ScriptedUpstream, proxy: Proxy, case: Case) -> None:
    answers(upstream, *case.errs(b"401 Unauthorized", case.refused))
    answer = send(proxy, case)
    assert answer.status == 401, answer.body
    refused(proxy, answer, case, case.refused)
    assert not case.translated or answer.error["code"] == "invalid_api_key"


def refused(made: Proxy, answer: Answer, case: Case, body: dict[str, Any]) -> None:
    """Nothing was generated, and nothing weighed; the words are the provider's."""
    row = row_of(made, answer)
    assert (row["unweighed_reason"], row["gco2e"]) == ("not_generated", None)
    if not case.translated:
        assert answer.body == json.dumps(body).encode()
        return
    error = body["error"] if isinstance(body.get("error"), dict) else body
    assert answer.error["message"] == error["message"]


@chats
def test_a_stream_that_is_cut_ends_uncleanly_and_is_partial(upstream: ScriptedUpstream, proxy: Proxy, case: Case) -> None:
    cut = next(at for at, event in enumerate(case.events) if b"Bonjour" in event) + 1
    answers(upstream, *case.streams(end=False)[: cut + 1], RESET)
    answer = send(proxy, case, stream=True)
    assert answer.cut
    row = row_of(proxy, answer)
    assert (row["outcome"], row["partial"], row["stream_complete"]) == ("upstream_cut", 1, 0)


@pytest.mark.parametrize("case", EMBEDDINGS, ids=[case.alias for case in EMBEDDINGS])
def test_embeddings_are_translated_and_their_usage_is_recorded(upstream: ScriptedUpstream, proxy: Proxy, case: Case) -> None:
    answers(upstream, *case.answers())
    answer = proxy.post("/v1/embeddings", {"model": f"{case.example}:{case.alias}", "input": ["pull"]})
    assert answer.status == 200, answer.body
    assert answer.json["data"][0]["embedding"] == EMBEDDED
    holds(row_of(proxy, answer), case)
    assert asked(upstream).target == case.target


def test_a_pattern_keeps_the_callers_name_without_the_providers(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    (case,) = [case for case in TRANSLATED if case.example == "anthropic"]
    answers(upstream, *case.answers())
    answer = proxy.post("/v1/chat/completions", {"model": "anthropic/claude-haiku-4-5", "messages": [{"role": "user", "content": "?"}]})
    assert answer.status == 200, answer.body
    assert json.loads(asked(upstream).body)["model"] == "claude-haiku-4-5"


def test_a_message_of_anthropics_goes_through_as_it_is(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    (case,) = [case for case in TRANSLATED if case.example == "anthropic"]
    answers(upstream, *case.answers())
    body = {"model": "anthropic/claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "?"}], "unknown": [1.0]}
    answer = proxy.post("/v1/messages", body)
    assert answer.status == 200, answer.body
    assert without_footprint(answer.body) == json.dumps(case.unary).encode()
    assert asked(upstream).body == json.dumps({**body, "model": "claude-haiku-4-5"}).encode()
    holds(row_of(proxy, answer), case)


def test_regions_of_the_examples_are_known(upstream: ScriptedUpstream, proxy: Proxy) -> None:
    stated = {case.example: case for case in CHATS if "region: " in (EXAMPLES / f"{case.example}.yaml").read_text()}
    assert set(stated) == {"azure", "azure-ai", "bedrock", "ovhcloud", "scaleway", "vertex"}
    for case in stated.values():
        answers(upstream, *case.answers())
        row = row_of(proxy, send(proxy, case))
        assert not row["place_assumed"], case.example


def test_no_key_of_a_providers_is_told_to_anyone(upstream: ScriptedUpstream, proxy: Proxy, child: Child) -> None:
    for case in TRANSLATED:
        words = {**case.refused, "message": f"key {KEY} is not valid"} if "message" in case.refused else case.refused
        answers(upstream, *case.errs(b"401 Unauthorized", words))
        answer = send(proxy, case)
        assert KEY.encode() not in answer.body
    assert KEY not in child.text
