"""A refusal, a cut and an empty answer in every dialect: what gives way to a larger model there."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.escalation_house import LARGE_MODEL, SMALL_MODEL, aliases, assert_both_are_weighed, by_model, house, models_sent, policy
from tests.contract.proxy_harness import without_footprint
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, streamed, whole


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


DIALECTS: dict[str, tuple[str, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "messages": (
        "/v1/messages",
        {"max_tokens": 500, "messages": [{"role": "user", "content": "x"}]},
        {"content": [], "stop_reason": "refusal", "usage": {"input_tokens": 100, "output_tokens": 50}},
        {"content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "usage": {"input_tokens": 100, "output_tokens": 70}},
    ),
    "responses": (
        "/v1/responses",
        {"input": "x", "store": False},
        {
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "refusal", "refusal": "No."}]}],
            "usage": {"input_tokens": 100, "output_tokens": 50},
        },
        {
            "status": "completed",
            "output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}],
            "usage": {"input_tokens": 100, "output_tokens": 70},
        },
    ),
    "completions": (
        "/v1/completions",
        {"prompt": "x"},
        {"choices": [{"text": "", "finish_reason": "content_filter"}], "usage": {"prompt_tokens": 100, "completion_tokens": 50}},
        {"choices": [{"text": "Hi", "finish_reason": "stop"}], "usage": {"prompt_tokens": 100, "completion_tokens": 70}},
    ),
}


def speaking(url: str) -> dict[str, Any]:
    """Aliases that take every dialect as it comes."""
    more = {"provider": "local", "dialects": ["openai", "anthropic", "gemini"], "catalogue_model": None}
    found = aliases(url)
    for entry in found.values():
        entry["deployments"][0].update(more)
        entry["deployments"][0].update(catalogue_model=entry["deployments"][0]["model"])
        entry["deployments"][0].pop("region")
    return found


@pytest.mark.parametrize("operation", DIALECTS)
def test_every_dialect_says_a_refusal_in_its_own_way(tmp_path: Path, upstream: ScriptedUpstream, operation: str) -> None:
    path, asked, small, large = DIALECTS[operation]
    good = whole(json.dumps({"model": LARGE_MODEL, **large}).encode())
    by_model(upstream, small=whole(json.dumps({"model": SMALL_MODEL, **small}).encode()), large=good)
    with house(tmp_path, upstream, policy(), models=speaking(upstream.url)) as made:
        answer = made.post(path, {"model": "large", **asked})
        assert models_sent(upstream) == [SMALL_MODEL, LARGE_MODEL]
        assert without_footprint(answer.body) == good[0].partition(b"\r\n\r\n")[2]
        assert answer.ours["escalated"] == "refused"
        assert_both_are_weighed(made, answer, "refused")


def test_a_refusal_of_geminis_gives_way_too(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    usage = {"promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 150}
    refused = whole(json.dumps({"candidates": [{"finishReason": "SAFETY"}], "usageMetadata": usage}).encode())
    good = whole(json.dumps({"candidates": [{"content": {"parts": [{"text": "Hi"}]}}], "usageMetadata": usage}).encode())
    upstream.script = lambda request: refused if SMALL_MODEL in request.target else good
    with house(tmp_path, upstream, policy(), models=speaking(upstream.url)) as made:
        answer = made.post("/v1beta/models/large:generateContent", {"contents": [{"parts": [{"text": "x"}]}]})
        assert [SMALL_MODEL in each.target for each in upstream.received] == [True, False]
        assert (answer.ours["escalated"], answer.ours["model"].removeprefix("assumed:")) == ("refused", LARGE_MODEL)
        assert len(made.calls()) == 2


def test_a_held_stream_of_messages_gives_way(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    def stream(text: str, ended: str, model: str, output: int) -> list[bytes]:
        start = {"type": "message_start", "message": {"model": model, "usage": {"input_tokens": 100, "output_tokens": 1}}}
        events: list[dict[str, Any]] = [
            start,
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": ended}, "usage": {"output_tokens": output}},
            {"type": "message_stop"},
        ]
        return streamed(*(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in events))

    by_model(upstream, small=stream("Once", "max_tokens", SMALL_MODEL, 50), large=stream("A jumper.", "end_turn", LARGE_MODEL, 70))
    escalate = {"to": "large", "buffer_streams": True}
    with house(tmp_path, upstream, policy(escalate=escalate), models=speaking(upstream.url)) as made:
        asked = {"model": "large", "stream": True, "max_tokens": 4000, "messages": [{"role": "user", "content": "x"}]}
        answer = made.post("/v1/messages", asked)
        assert (b"A jumper." in answer.body, b"Once" in answer.body, answer.cut) == (True, False, False)
        assert answer.ours["escalated"] == "truncated"
        assert [row["output_tokens"] for row in made.calls()] == [50, 70]
