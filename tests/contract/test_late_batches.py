"""Batches are weighed at their end, from their usage or the lines of their output, once and flagged."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.case import compact
from tests.contract.late_harness import answer_by_path, post, rows
from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, streamed, whole


@pytest.fixture
def made(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Proxy]:
    with proxy(tmp_path, upstream.url) as opened:
        yield opened


def batch(status: str, **changes: Any) -> bytes:
    return compact({"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "status": status, "created_at": 1, **changes})


BATCH_USAGE = {
    "input_tokens": 900,
    "input_tokens_details": {"cached_tokens": 100},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 50},
    "total_tokens": 1200,
}
BATCH_ASK = {"input_file_id": "file-in1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


def output_line(number: int, model: str = "gpt-4o-mini-2024-07-18") -> bytes:
    usage = {"prompt_tokens": 10 * number, "completion_tokens": number, "total_tokens": 11 * number}
    body = {"id": f"chatcmpl-{number}", "object": "chat.completion", "model": model, "choices": [], "usage": usage}
    told = {"status_code": 200, "request_id": "r", "body": body}
    return compact({"id": f"batch_req_{number}", "custom_id": f"c{number}", "response": told, "error": None}) + b"\n"


def test_a_batch_is_weighed_at_its_end_flagged_and_lighter_than_the_same_calls(made: Proxy, upstream: ScriptedUpstream) -> None:
    done = batch("completed", usage=BATCH_USAGE, model="gpt-4o-mini", output_file_id="file-out1", completed_at=2)
    answer_by_path(
        upstream,
        {
            "POST /v1/batches": whole(batch("validating")),
            "GET /v1/batches/batch_1": whole(done),
            "GET /v1/batches": whole(compact({"object": "list", "data": [json.loads(done)]})),
            "/v1/files/file-out1/content": whole(output_line(1) + output_line(2), kind=b"application/octet-stream"),
        },
    )
    created = post(made, "/v1/batches", BATCH_ASK)
    assert (created.body, set(created.ours)) == (batch("validating"), {"call-id"})
    for path in ("/v1/batches/batch_1", "/v1/batches", "/v1/files/file-out1/content", "/v1/batches/batch_1"):
        assert made.get(path).status == 200
    began, late = rows(made)
    assert (began["operation"], began["unweighed_reason"], began["upstream_object_id"]) == ("batches", "pending", "batch_1")
    assert (late["input_tokens"], late["cached_input_tokens"], late["output_tokens"]) == (900, 100, 300)
    assert (late["operation"], late["alias"], late["origin_call_id"]) == ("batches", "gpt-4o-mini", created.ours["call-id"])
    assert json.loads(late["tags"]) == {"campaign": "noel-26"}
    assert "batch-api" in late["warnings"]
    usage = {"prompt_tokens": 900, "completion_tokens": 300, "prompt_tokens_details": {"cached_tokens": 100}}
    upstream.answers(*whole(compact({"model": "gpt-4o-mini", "choices": [], "usage": usage})))
    assert 0.5 < late["gco2e"] / float(made.chat().ours["gco2e"]) < 0.95


@pytest.mark.parametrize("size", [1, 37, 10_000])
def test_a_batch_without_usage_is_weighed_from_the_lines_of_its_output(made: Proxy, upstream: ScriptedUpstream, size: int) -> None:
    lines = (
        output_line(1) + output_line(2) + output_line(3, "gpt-4o") + compact({"custom_id": "c4", "response": None, "error": {"code": "x"}})
    )
    pieces = [lines[at : at + size] for at in range(0, len(lines), size)]
    answer_by_path(
        upstream,
        {
            "POST /v1/batches": whole(batch("validating")),
            "GET /v1/batches/batch_1": whole(batch("completed", output_file_id="file-out1")),
            "/v1/files/file-out1/content": streamed(*pieces, kind=b"application/octet-stream"),
        },
    )
    created = post(made, "/v1/batches", BATCH_ASK).ours["call-id"]
    made.get("/v1/batches/batch_1")
    assert len(rows(made)) == 1
    for _ in range(2):
        assert made.get("/v1/files/file-out1/content").body == lines
    _, small, large = rows(made)
    assert (small["served_model"], small["input_tokens"], small["output_tokens"]) == ("gpt-4o-mini-2024-07-18", 30, 3)
    assert (large["served_model"], large["input_tokens"], large["output_tokens"]) == ("gpt-4o", 30, 3)
    assert small["call_id"] == large["call_id"]
    assert {row["origin_call_id"] for row in (small, large)} == {created}
    assert all("batch-api" in row["warnings"] for row in (small, large))


def test_another_file_is_no_batch(made: Proxy, upstream: ScriptedUpstream) -> None:
    content = b'{"messages":[{"role":"user","content":"x"}],"usage":{"prompt_tokens":5,"completion_tokens":5}}\n' * 3
    answer_by_path(upstream, {"/v1/files/file-train1/content": whole(content, kind=b"application/octet-stream")})
    assert made.get("/v1/files/file-train1/content").body == content
    assert rows(made) == []


def test_a_batch_that_failed_at_once_generated_nothing(made: Proxy, upstream: ScriptedUpstream) -> None:
    nothing = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    answer_by_path(upstream, {"POST /v1/batches": whole(batch("validating")), "/v1/batches/batch_1": whole(batch("failed", usage=nothing))})
    post(made, "/v1/batches", BATCH_ASK)
    made.get("/v1/batches/batch_1")
    _, late = rows(made)
    assert (late["unweighed_reason"], late["gco2e"]) == ("not_generated", None)


MESSAGE_BATCH = {"id": "msgbatch_1", "type": "message_batch", "created_at": "2026-01-01T00:00:00Z", "results_url": None}


def message_line(number: int) -> bytes:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0, "output_tokens": number}
    message = {"id": f"msg_{number}", "type": "message", "model": "claude-sonnet-4-5", "content": [], "usage": usage}
    return compact({"custom_id": f"c{number}", "result": {"type": "succeeded", "message": message}}) + b"\n"


def test_a_batch_of_messages_is_weighed_from_its_results(made: Proxy, upstream: ScriptedUpstream) -> None:
    counts = {"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0}
    errored = compact({"custom_id": "c3", "result": {"type": "errored", "error": {"type": "error"}}}) + b"\n"
    answer_by_path(
        upstream,
        {
            "POST /v1/messages/batches": whole(compact({**MESSAGE_BATCH, "processing_status": "in_progress"})),
            "/v1/messages/batches/msgbatch_1": whole(compact({**MESSAGE_BATCH, "processing_status": "ended", "request_counts": counts})),
            "/v1/messages/batches/msgbatch_1/results": whole(message_line(1) + message_line(2) + errored, kind=b"application/x-jsonl"),
        },
    )
    created = post(made, "/v1/messages/batches", {"requests": []}).ours["call-id"]
    made.get("/v1/messages/batches/msgbatch_1")
    assert len(rows(made)) == 1
    for _ in range(2):
        made.get("/v1/messages/batches/msgbatch_1/results")
    _, late = rows(made)
    assert (late["input_tokens"], late["cached_input_tokens"], late["output_tokens"]) == (30, 10, 3)
    assert (late["origin_call_id"], late["alias"]) == (created, "claude-sonnet-4-5")
    assert "batch-api" in late["warnings"]


def test_a_list_of_an_accounts_history_books_only_what_began_here(made: Proxy, upstream: ScriptedUpstream) -> None:
    done = [
        json.loads(batch("completed", usage=BATCH_USAGE, model="gpt-4o-mini")),
        json.loads(batch("completed", usage=BATCH_USAGE, model="m")),
    ]
    done[1]["id"] = "batch_of_old2"
    listed = compact({"object": "list", "data": done})
    answer_by_path(upstream, {"POST /v1/batches": whole(batch("validating")), "GET /v1/batches": whole(listed)})
    created = post(made, "/v1/batches", BATCH_ASK).ours["call-id"]
    for _ in range(2):
        made.get("/v1/batches?limit=20")
    _, late = rows(made)
    assert late["origin_call_id"] == created


def test_a_refused_start_of_work_generated_nothing(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(
        *whole(b'{"error":{"message":"no","type":"invalid_request_error","param":null,"code":null}}', status=b"400 Bad Request")
    )
    assert post(made, "/v1/batches", BATCH_ASK).status == 400
    (row,) = rows(made)
    assert (row["unweighed_reason"], row["operation"], row["upstream_object_id"]) == ("not_generated", "batches", None)
