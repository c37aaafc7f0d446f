"""Anthropic's and Gemini's streams on the wire, and the simulated provider in both dialects: usage once, cuts told, faults survived."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.foreign_cases import ARRAY, GEMINI, GENERATE_RECORDED, MESSAGES, STREAM_GENERATE, generated
from tests.contract.proxy_harness import Proxy, proxy, simulated
from tests.contract.scripted_upstream import RESET, ScriptedUpstream, head, scripted_upstream, streamed, whole

ASKED = {"contents": [{"parts": [{"text": "Hello"}]}]}


@pytest.mark.parametrize("size", [None, 1, 100])
def test_a_stream_as_a_json_array_passes_untouched_and_is_metered(upstream: ScriptedUpstream, tagging: Proxy, size: int | None) -> None:
    parts = [ARRAY] if size is None else [ARRAY[at : at + size] for at in range(0, len(ARRAY), size)]
    upstream.answers(*streamed(*parts, kind=b"application/json; charset=UTF-8"))
    answer = tagging.post(f"/v1beta/models/{GEMINI}:streamGenerateContent", STREAM_GENERATE.ask)
    assert (answer.body, answer.value("content-type")) == (ARRAY, "application/json; charset=UTF-8")
    row = tagging.calls()[-1]
    assert {name: row[name] for name in ("input_tokens", "output_tokens", "reasoning_output_tokens")} == {
        name: GENERATE_RECORDED[name] for name in ("input_tokens", "output_tokens", "reasoning_output_tokens")
    }
    assert (row["call_id"], row["stream"], row["stream_complete"], row["partial"]) == (answer.ours["call-id"], 1, 1, 0)


def test_an_array_that_is_cut_ends_uncleanly_and_is_partial(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*streamed(ARRAY[: ARRAY.rindex(b'"usageMetadata"')], kind=b"application/json", end=False), RESET)
    answer = tagging.post(f"/v1beta/models/{GEMINI}:streamGenerateContent", STREAM_GENERATE.ask)
    assert answer.cut
    row = tagging.calls()[-1]
    assert (row["outcome"], row["partial"], row["stream_complete"], row["output_tokens"] >= 3) == ("upstream_cut", 1, 0, True)


def test_without_usage_the_text_is_counted(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    said = generated("Merino is warm, light and soft.")
    del said["usageMetadata"]
    upstream.answers(*whole(json.dumps(said).encode()))
    answer = tagging.post(f"/v1beta/models/{GEMINI}:generateContent", ASKED)
    assert answer.json == said
    row = tagging.calls()[-1]
    assert (row["usage_source"], 5 <= row["output_tokens"] <= 12, row["input_tokens"] > 0) == ("counted", True, True)
    silent = [event for event in MESSAGES.events if b"usage" not in event]
    upstream.answers(*streamed(*silent))
    answer = tagging.post("/v1/messages", {**MESSAGES.ask, "stream": True})
    assert answer.body == b"".join(silent)
    row = tagging.calls()[-1]
    assert (row["usage_source"], row["output_tokens"] > 0, row["partial"]) == ("counted", True, 0)


@pytest.mark.parametrize(
    ("path", "ask", "counted"),
    [
        ("/v1/messages/count_tokens", MESSAGES.ask, {"input_tokens": 11}),
        (f"/v1beta/models/{GEMINI}:countTokens", ASKED, {"totalTokens": 31}),
    ],
)
def test_counting_tokens_passes_and_is_not_recorded(
    upstream: ScriptedUpstream, tagging: Proxy, path: str, ask: dict[str, Any], counted: dict[str, int]
) -> None:
    upstream.answers(*whole(json.dumps(counted).encode()))
    before = len(tagging.calls())
    answer = tagging.post(path, ask)
    assert answer.json == counted
    assert (upstream.last.target, json.loads(upstream.last.body)) == (path, ask)
    assert len(tagging.calls()) == before


@pytest.fixture(scope="module")
def unconfigured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy without any configuration; nothing leaves it but to the simulated provider."""
    with proxy(tmp_path_factory.mktemp("unconfigured")) as made:
        yield made


@pytest.mark.parametrize("through_a_socket", [False, True])
def test_the_simulated_provider_answers_in_every_dialect(tmp_path: Path, through_a_socket: bool) -> None:
    with simulated() as url, proxy(tmp_path, url if through_a_socket else None) as made:
        said = made.post("/v1/messages", {**MESSAGES.ask, "model": "sim-small"}).json
        assert (said["type"], said["stop_reason"], said["content"][0]["type"]) == ("message", "end_turn", "text")
        assert said["usage"]["footprint"]["gco2e"] > 0
        events = made.post("/v1/messages", {**MESSAGES.ask, "model": "sim-small", "stream": True}).body
        assert events.index(b'"footprint"') < events.index(b"event: message_stop")
        told = made.post("/v1beta/models/sim-small:generateContent", ASKED).json
        assert told["candidates"][0]["finishReason"] == "STOP"
        parts = made.post("/v1beta/models/sim-small:streamGenerateContent", ASKED).json
        stream = made.post("/v1beta/models/sim-small:streamGenerateContent?alt=sse", ASKED).body.split(b"\n\n")[:-1]
        assert len(parts) == len(stream) > 10
        counted = made.post("/v1/messages/count_tokens", {**MESSAGES.ask, "model": "sim-small"}).json
        rows = made.calls()
        assert [row["operation"] for row in rows] == ["messages"] * 2 + ["generate_content"] + ["stream_generate_content"] * 2
        assert {row["usage_source"] for row in rows} == {"provider"}
        assert counted == {"input_tokens": rows[0]["input_tokens"]}
        assert rows[0]["output_tokens"] == said["usage"]["output_tokens"] == rows[1]["output_tokens"]
        assert rows[2]["output_tokens"] == told["usageMetadata"]["candidatesTokenCount"] == rows[3]["output_tokens"]


FAULTS = [("429=3", 429, "rate_limit_error", "RESOURCE_EXHAUSTED"), ("500", 500, "api_error", "INTERNAL")]


@pytest.mark.parametrize(("fault", "status", "kind", "word"), FAULTS, ids=[fault for fault, *_ in FAULTS])
def test_faults_of_the_simulated_provider_speak_the_dialect(unconfigured: Proxy, fault: str, status: int, kind: str, word: str) -> None:
    answer = unconfigured.post("/v1/messages", {**MESSAGES.ask, "model": "sim-small"}, x_simulate_fault=fault)
    assert (answer.status, answer.json["error"]["type"]) == (status, kind)
    assert answer.value("retry-after") == ("3" if status == 429 else None)
    answer = unconfigured.post("/v1beta/models/sim-small:generateContent", ASKED, x_simulate_fault=fault)
    assert (answer.status, answer.json["error"]["status"]) == (status, word)


@pytest.mark.parametrize("fault", ["cut", "malformed-chunk", "no-usage", "split-utf8", "crlf", "gzip", "slow-first-byte=1"])
@pytest.mark.parametrize(
    "path", ["/v1/messages", "/v1beta/models/sim-small:streamGenerateContent?alt=sse", "/v1/models/sim-small:streamGenerateContent"]
)
def test_every_fault_of_a_stream_is_recorded_once(unconfigured: Proxy, fault: str, path: str) -> None:
    before = len(unconfigured.calls())
    answer = unconfigured.post(path, {**MESSAGES.ask, **ASKED, "model": "sim-small", "stream": True}, x_simulate_fault=fault)
    row = unconfigured.recorded(before + 1)[-1]
    assert answer.cut == (fault == "cut")
    assert (row["outcome"], row["partial"]) == (("upstream_cut", 1) if fault == "cut" else ("ok", 0))
    assert row["gco2e"] > 0
    assert len(unconfigured.calls()) == before + 1


def test_the_models_are_listed_in_the_callers_dialect(unconfigured: Proxy) -> None:
    bare = Proxy(unconfigured.url, unconfigured.ledger, {})
    listed = bare.get("/v1/models", anthropic_version="2023-06-01").json
    assert listed["has_more"] is False
    assert {"type", "id", "display_name", "created_at"} == set(listed["data"][0])
    one = bare.get("/v1/models/sim-small", anthropic_version="2023-06-01").json
    assert (one["type"], one["id"]) == ("model", "sim-small")
    assert {row["name"] for row in bare.get("/v1beta/models").json["models"]} >= {"models/sim-small"}
    assert bare.get("/v1beta/models/sim-small").json["name"] == "models/sim-small"
    missing = bare.get("/v1beta/models/sim-nope", x_goog_api_key="k")
    assert "code" in missing.json["error"]
    assert bare.get("/models").json["object"] == "list"


def test_a_providers_list_of_models_gets_ours_at_its_end_unless_it_goes_on(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    models = {"c*": {"deployments": [{"provider": "anthropic", "api_base": f"{upstream.url}/v1"}]}}
    body = b'{"data": [{"type":"model","id":"claude-x"}], "has_more": false}'
    upstream.answers(*whole(body))
    with proxy(tmp_path, upstream.url) as made:
        assert made.get("/v1/models", anthropic_version="x").body == body
    with proxy(tmp_path, models=models) as made:
        listed = made.get("/v1/models", anthropic_version="x").json["data"]
    assert listed
    assert all(row["id"].startswith("c") for row in listed)


def test_a_provider_that_hangs_up_before_its_head_is_said_in_the_dialect(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(head(b"200 OK", [(b"content-type", b"application/json"), (b"content-length", b"50")]) + b'{"id"')
    answer = tagging.post("/v1/messages", MESSAGES.ask)
    assert (answer.status, answer.json["error"]["type"]) == (502, "api_error")
    assert answer.json["request_id"] == answer.ours["call-id"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made
