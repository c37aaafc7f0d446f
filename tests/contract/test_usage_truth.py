"""Usages of every dialect come to the ledger as inclusive buckets, and weigh in the right order: cached, read, written."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from estimators import Estimate, Usage, prepare
from estimators.usage import Media
from proxy.meter.usage import read_usage
from proxy.simulate.picture import draw
from tests.contract.case import compact
from tests.contract.foreign_cases import CLAUDE, GEMINI
from tests.contract.late_harness import rows
from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, whole
from tests.weighing_samples import US, shipped_card, shipped_factors

TOKENS = 6000
ASKED = {"messages": [{"role": "user", "content": "x"}]}
CLAUDE_ASKED = {"model": CLAUDE, "max_tokens": 9, **ASKED}
GENERATE = f"/v1beta/models/{GEMINI}:generateContent"
CONTENTS = {"contents": [{"parts": [{"text": "x"}]}]}
TOLD_OPENAI = {"prompt_tokens": 10, "completion_tokens": 5}
TOLD = {"input_tokens": 10, "output_tokens": 5}
TOLD_GEMINI = {"promptTokenCount": 10, "candidatesTokenCount": 5}
RESPONSE_ASKED = {"model": "gpt-4o", "input": "x"}
DIALECTS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any], dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"model": "gpt-4o", **ASKED}, "usage", TOLD_OPENAI, {"choices": [], "model": "gpt-4o"}),
    "responses": ("/v1/responses", RESPONSE_ASKED, "usage", TOLD, {"status": "completed", "model": "gpt-4o"}),
    "compact": ("/v1/responses/compact", RESPONSE_ASKED, "usage", TOLD, {"model": "gpt-4o"}),
    "decisions": ("/v1/decisions", RESPONSE_ASKED, "usage", TOLD, {"model": "gpt-4o"}),
    "messages": ("/v1/messages", CLAUDE_ASKED, "usage", TOLD, {"type": "message", "model": CLAUDE, "content": []}),
    "gemini": (GENERATE, CONTENTS, "usageMetadata", TOLD_GEMINI, {"modelVersion": GEMINI, "candidates": []}),
}
LIKE = {"compact": "responses", "decisions": "responses"}
WRITTEN_TO_CACHE = {"cached_tokens": 0, "cache_write_tokens": TOKENS}
MORE: dict[str, dict[str, dict[str, Any]]] = {
    "plain": {},
    "cached": {
        "chat": {"prompt_tokens": 10 + TOKENS, "prompt_tokens_details": {"cached_tokens": TOKENS}},
        "responses": {"input_tokens": 10 + TOKENS, "input_tokens_details": {"cached_tokens": TOKENS}},
        "messages": {"cache_read_input_tokens": TOKENS},
        "gemini": {"promptTokenCount": 10 + TOKENS, "cachedContentTokenCount": TOKENS},
    },
    "fresh": {
        "chat": {"prompt_tokens": 10 + TOKENS, "prompt_tokens_details": WRITTEN_TO_CACHE},
        "responses": {"input_tokens": 10 + TOKENS, "input_tokens_details": WRITTEN_TO_CACHE},
        "messages": {"cache_creation_input_tokens": TOKENS, "cache_creation": {"ephemeral_1h_input_tokens": TOKENS}},
        "gemini": {"promptTokenCount": 10, "toolUsePromptTokenCount": TOKENS},
    },
    "written": {
        "chat": {"completion_tokens": 5 + TOKENS, "completion_tokens_details": {"reasoning_tokens": TOKENS}},
        "responses": {"output_tokens": 5 + TOKENS, "output_tokens_details": {"reasoning_tokens": TOKENS}},
        "messages": {"output_tokens": 5 + TOKENS, "output_tokens_details": {"thinking_tokens": TOKENS}},
        "gemini": {"thoughtsTokenCount": TOKENS},
    },
}
BUCKETS = ("input_tokens", "cached_input_tokens", "output_tokens", "reasoning_output_tokens")
EXPECTED = {
    "plain": (10, 0, 5, 0),
    "cached": (10 + TOKENS, TOKENS, 5, 0),
    "fresh": (10 + TOKENS, 0, 5, 0),
    "written": (10, 0, 5 + TOKENS, TOKENS),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_token_cached_weighs_less_than_one_read_and_that_less_than_one_written(
    upstream: ScriptedUpstream, tagging: Proxy, dialect: str
) -> None:
    path, asked, key, plain, rest = DIALECTS[dialect]
    before, grams = len(rows(tagging)), {}
    for name, buckets in EXPECTED.items():
        upstream.answers(*whole(compact({**rest, key: {**plain, **MORE[name].get(LIKE.get(dialect, dialect), {})}})))
        assert tagging.post(path, asked).status == 200
        row = rows(tagging)[-1]
        assert (tuple(row[bucket] for bucket in BUCKETS), row["usage_source"]) == (buckets, "provider"), name
        grams[name] = row["gco2e"]
    assert len(rows(tagging)) == before + len(EXPECTED)
    assert 0 < grams["plain"] < grams["cached"] < grams["fresh"] < grams["written"]
    assert grams["cached"] - grams["plain"] < 0.2 * (grams["fresh"] - grams["plain"])


def picture(side: int) -> str:
    return "data:image/png;base64," + base64.b64encode(draw("picture", side, side)).decode()


def shown(side: int) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": picture(side)}}]}
    ]


def chat(made: Proxy, upstream: ScriptedUpstream, model: str, messages: Any, usage: dict[str, Any]) -> dict[str, Any]:
    upstream.answers(*whole(compact({"model": model, "choices": [], "usage": usage})))
    assert made.post("/v1/chat/completions", {"model": model, "messages": messages}).status == 200
    return rows(made)[-1]


def test_the_pictures_in_a_count_that_does_not_tell_them_are_told_apart_where_they_are_billed_at_more(
    upstream: ScriptedUpstream, tagging: Proxy
) -> None:
    """One tile: 8,500 of the 8,512 tokens that users saw."""
    told = {"prompt_tokens": 8512, "completion_tokens": 20}
    mini = chat(tagging, upstream, "gpt-4o-mini-2024-07-18", shown(512), told)
    assert (mini["input_tokens"], mini["image_input_tokens"], mini["usage_source"]) == (8512, 8500, "provider")
    text = chat(tagging, upstream, "gpt-4o-mini-2024-07-18", ASKED["messages"], told)
    assert (text["input_tokens"], text["image_input_tokens"]) == (8512, 0)
    assert text["gco2e"] > 2 * mini["gco2e"]
    large = chat(tagging, upstream, "gpt-4o", shown(512), told)
    assert large["image_input_tokens"] == 0, "whose tokens are what they take: nothing is to be told apart"


def test_a_picture_is_never_more_than_the_count_and_never_overrules_what_the_provider_tells(
    upstream: ScriptedUpstream, tagging: Proxy
) -> None:
    small = chat(tagging, upstream, "gpt-4o-mini", shown(512), {"prompt_tokens": 100, "completion_tokens": 20})
    assert (small["input_tokens"], small["image_input_tokens"]) == (100, 100)
    details = {"prompt_tokens_details": {"image_tokens": 2833}}
    told = chat(tagging, upstream, "gpt-4o-mini", shown(512), {"prompt_tokens": 2845, "completion_tokens": 20, **details})
    assert (told["input_tokens"], told["image_input_tokens"]) == (2845, 2833)
    word = [{"role": "user", "content": "an image of speech"}]
    assert chat(tagging, upstream, "gpt-4o-mini", word, {"prompt_tokens": 9, "completion_tokens": 2})["image_input_tokens"] == 0


def test_a_stream_and_a_response_with_pictures_are_told_apart_too(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    items = [{"role": "user", "content": [{"type": "input_image", "image_url": picture(512), "detail": "low"}]}]
    upstream.answers(*whole(compact({"model": "gpt-4o-mini", "status": "completed", "usage": {"input_tokens": 2850, "output_tokens": 3}})))
    assert tagging.post("/v1/responses", {"model": "gpt-4o-mini", "input": items}).status == 200
    assert rows(tagging)[-1]["image_input_tokens"] == 2833


BATCH = {"id": "batch_n", "object": "batch", "endpoint": "/v1/chat/completions", "status": "completed", "model": "llama-3.1-8b"}


@pytest.mark.parametrize("requests", [1, 2000])
def test_a_batch_weighs_what_its_requests_weigh_and_not_one_endless_conversation(
    upstream: ScriptedUpstream, tmp_path: Path, requests: int
) -> None:
    usage = {"input_tokens": 1000 * requests, "output_tokens": 500 * requests, "total_tokens": 1500 * requests}
    counts = {"total": requests + 3, "completed": requests, "failed": 3}
    with proxy(tmp_path, upstream.url) as made:
        one = chat(made, upstream, "llama-3.1-8b", ASKED["messages"], {"prompt_tokens": 1000, "completion_tokens": 500})
        upstream.answers(*whole(compact({**BATCH, "usage": usage, "request_counts": counts})))
        assert made.get("/v1/batches/batch_n").status == 200
        late = rows(made)[-1]
    assert (late["input_tokens"], late["output_tokens"]) == (1000 * requests, 500 * requests)
    assert late["usage_calls"] == (None if requests == 1 else requests)
    assert 0.5 < late["gco2e"] / (one["gco2e"] * requests) < 1


def test_a_batch_without_a_usage_counts_its_lines(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    told = {"prompt_tokens": 1000, "completion_tokens": 500, "total_tokens": 1500}
    body = {"object": "chat.completion", "model": "llama-3.1-8b", "choices": [], "usage": told}
    lines = b"".join(compact({"custom_id": str(at), "response": {"status_code": 200, "body": body}}) + b"\n" for at in range(300))
    with proxy(tmp_path, upstream.url) as made:
        one = chat(made, upstream, "llama-3.1-8b", ASKED["messages"], told)
        upstream.answers(*whole(lines, kind=b"application/octet-stream"))
        made.get("/v1/files/file-out/content")
        late = rows(made)[-1]
    assert (late["usage_calls"], late["input_tokens"]) == (300, 300_000)
    assert 0.5 < late["gco2e"] / (one["gco2e"] * 300) < 1


def test_an_evaluation_says_how_often_its_model_was_called(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    of_model = {"model_name": "gpt-4o", "invocation_count": 40, "prompt_tokens": 4000, "completion_tokens": 800, "cached_tokens": 0}
    run = {"id": "evalrun_1", "object": "eval.run", "status": "completed", "per_model_usage": [of_model]}
    with proxy(tmp_path, upstream.url) as made:
        upstream.answers(*whole(json.dumps(run).encode()))
        made.get("/v1/evals/eval_1/runs/evalrun_1")
        late = rows(made)[-1]
    assert (late["usage_calls"], late["input_tokens"], late["output_tokens"]) == (40, 4000, 800)


def test_an_embedding_of_geminis_reads_and_writes_nothing(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*whole(compact({"embedding": {"values": [0.1]}, "usageMetadata": {"promptTokenCount": 77}})))
    assert tagging.post("/v1beta/models/gemini-embedding-001:embedContent", {"content": {"parts": [{"text": "x"}]}}).status == 200
    row = rows(tagging)[-1]
    assert (row["method"], row["input_tokens"], row["output_tokens"]) == ("embeddings", 77, 0)
    assert row["gco2e"] > 0


def test_a_fine_tuning_job_of_a_closed_model_is_known_as_badly_as_the_model(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    job = {"id": "ftjob-9", "object": "fine_tuning.job", "status": "succeeded", "model": "gpt-4.1-2025-04-14", "trained_tokens": 1_000_000}
    with proxy(tmp_path, upstream.url, weighing={"profile": "ghgp-cat1"}) as made:
        upstream.answers(*whole(compact(job)))
        made.get("/v1/fine_tuning/jobs/ftjob-9")
        footprint = made.get("/v1/footprint/" + rows(made)[-1]["call_id"]).json
        row = rows(made)[-1]
    assert (row["method"], row["input_tokens"], row["output_tokens"]) == ("training", 1_000_000, 0)
    assert 10 < row["gco2e"] < 10_000
    assert footprint["quality"] in "DE"


def test_text_and_pictures_of_a_realtime_answer_are_inside_its_input() -> None:
    """The names that a realtime session has for them."""
    details = {
        "text_tokens": 30,
        "audio_tokens": 50,
        "image_tokens": 20,
        "cached_tokens": 64,
        "cached_tokens_details": {"audio_tokens": 40},
    }
    told = {"total_tokens": 150, "input_tokens": 100, "output_tokens": 50, "input_token_details": details}
    found = read_usage(compact({**told, "output_token_details": {"text_tokens": 10, "audio_tokens": 40}}))
    assert found == Usage(
        input_tokens=100, cached_input_tokens=64, audio_input_tokens=50, image_input_tokens=20, output_tokens=50, audio_output_tokens=40
    )


def weighed(usage: Usage, model: str, operation: str) -> Estimate:
    return prepare(shipped_card(model), US, shipped_factors(), operation=operation).estimate(usage)


@pytest.mark.parametrize("operation", ["audio", "transcription", "video"])
def test_twice_the_seconds_weigh_more_and_nothing_is_no_weight_at_all(operation: str) -> None:
    model = "sora-2" if operation == "video" else "gpt-live-1"
    grams = []
    for seconds in (4.0, 8.0, 60.0):
        heard = Media(audio_input_seconds=seconds, audio_output_seconds=seconds if operation == "audio" else None)
        clip = Media(clips=1, video_seconds=seconds, width=720, height=1280)
        grams.append(weighed(Usage(media=clip if operation == "video" else heard), model, operation).gco2e.mean)
    assert 0 < grams[0] < grams[1] < grams[2]


@pytest.mark.parametrize(("model", "dearer"), [("sora-2", "sora-2-pro"), ("veo-3.1-fast-generate-preview", "veo-3.1-generate-preview")])
def test_the_names_of_clips_models_are_known_and_a_larger_clip_weighs_more(model: str, dearer: str) -> None:
    small, large = (Usage(media=Media(clips=1, video_seconds=8, width=wide, height=high)) for wide, high in ((720, 1280), (1024, 1792)))
    of_model = weighed(small, model, "video")
    assert "model-unknown" not in of_model.warnings
    assert of_model.gco2e.mean < weighed(large, model, "video").gco2e.mean
    assert of_model.gco2e.mean < weighed(small, dearer, "video").gco2e.mean
