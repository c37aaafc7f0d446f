"""Work that ends after the call that began it is booked once, as that call's, whoever asks after it and however often."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.case import compact, event
from tests.contract.endpoint_cases import RESPONSES, RESPONSES_USAGE, response_events
from tests.contract.late_harness import BACKGROUND, answer_by_path, completed, post, queued, rows
from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.scripted_upstream import RESET, ScriptedUpstream, streamed, whole


@pytest.fixture
def made(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Proxy]:
    with proxy(tmp_path, upstream.url) as opened:
        yield opened


# Responses in the background


def test_a_background_response_is_pending_then_booked_once_as_its_creators(made: Proxy, upstream: ScriptedUpstream) -> None:
    answer_by_path(upstream, {"POST /v1/responses": whole(queued()), "/v1/responses/resp_bg": whole(queued())})
    created = post(made, "/v1/responses", BACKGROUND)
    for _ in range(2):
        assert made.get("/v1/responses/resp_bg").body == queued()
    (began,) = rows(made)
    assert (began["unweighed_reason"], began["upstream_object_id"], began["gco2e"]) == ("pending", "resp_bg", None)
    answer_by_path(upstream, {"/v1/responses/resp_bg": whole(completed())})
    for _ in range(3):
        polled = made.get("/v1/responses/resp_bg")
        assert (polled.body, polled.ours) == (completed(), {})
    began, late = rows(made)
    assert (late["origin_call_id"], began["origin_call_id"]) == (created.ours["call-id"], None)
    assert (late["input_tokens"], late["output_tokens"], late["usage_source"]) == (81, 1035, "provider")
    assert (late["operation"], late["alias"], late["caller_id"], late["tags"]) == tuple(
        began[name] for name in ("operation", "alias", "caller_id", "tags")
    )
    assert json.loads(late["tags"]) == {"campaign": "noel-26"}
    assert late["gco2e"] > 0
    assert "booked-late" in late["warnings"]


def test_a_booking_is_made_once_over_a_restart_and_by_another_process(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    answer_by_path(upstream, {"POST /v1/responses": whole(queued()), "/v1/responses/resp_bg": whole(completed())})
    with proxy(tmp_path, upstream.url) as first:
        created = post(first, "/v1/responses", BACKGROUND).ours["call-id"]
    with proxy(tmp_path, upstream.url) as second, proxy(tmp_path, upstream.url) as third:
        for each in (second, third, second):
            assert each.get("/v1/responses/resp_bg").status == 200
        found = rows(second)
        grams = [emitted(each) for each in (second, third)]
    with proxy(tmp_path, upstream.url) as fourth:
        fourth.get("/v1/responses/resp_bg")
        assert rows(fourth) == found
    began, late = found
    assert (began["call_id"], late["origin_call_id"]) == (created, created)
    assert json.loads(late["tags"]) == {"campaign": "noel-26"}
    assert sorted(bool(each) for each in grams) == [False, True], "metrics of one process count it"


def emitted(made: Proxy) -> float:
    """Grams that the process's metrics tell."""
    lines = made.get("/metrics").body.decode().splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("grammage_emissions_co2e_grams_total"))


def test_two_callers_who_poll_make_one_booking_of_the_creators(made: Proxy, upstream: ScriptedUpstream) -> None:
    answer_by_path(upstream, {"POST /v1/responses": whole(queued()), "/v1/responses/resp_bg": whole(completed())})
    post(made, "/v1/responses", BACKGROUND)
    for key in ("sk-second-0123456789", "sk-third-0123456789"):
        made.get("/v1/responses/resp_bg", authorization=f"Bearer {key}")
    began, late = rows(made)
    assert late["caller_id"] == began["caller_id"]


def test_what_was_begun_elsewhere_is_booked_once_as_the_pollers_and_says_so(made: Proxy, upstream: ScriptedUpstream) -> None:
    answer_by_path(upstream, {"/v1/responses/resp_bg": whole(completed())})
    for _ in range(2):
        made.get("/v1/responses/resp_bg")
    (late,) = rows(made)
    assert late["origin_call_id"] == "unknown"
    assert "creator-unknown" in late["warnings"]
    assert late["caller_id"].startswith("key:")


def test_a_response_that_was_weighed_when_it_was_made_is_never_booked_again(made: Proxy, upstream: ScriptedUpstream) -> None:
    answer_by_path(upstream, {"/v1/responses": whole(RESPONSES.answer), "/v1/responses/resp_1": whole(RESPONSES.answer)})
    post(made, "/v1/responses", RESPONSES.ask)
    made.get("/v1/responses/resp_1")
    (only,) = rows(made)
    assert (only["upstream_object_id"], only["unweighed_reason"]) == ("resp_1", None)


def test_a_stored_completion_holds_an_old_usage_that_counts_no_more(made: Proxy, upstream: ScriptedUpstream) -> None:
    stored = compact(
        {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o", "usage": {"prompt_tokens": 9, "completion_tokens": 9}}
    )
    listed = compact({"object": "list", "data": [json.loads(stored)]})
    answer_by_path(upstream, {"/v1/chat/completions": whole(listed), "/v1/chat/completions/chatcmpl-1": whole(stored)})
    for path in ("/v1/chat/completions", "/v1/chat/completions/chatcmpl-1"):
        assert made.get(path).status == 200
    assert rows(made) == []


def background_events() -> tuple[bytes, ...]:
    return tuple(
        part.replace(b'"resp_1"', b'"resp_bg"').replace(b'"background": false', b'"background": true') for part in response_events()
    )


def test_a_stream_in_the_background_that_ends_is_booked_from_its_own_end(made: Proxy, upstream: ScriptedUpstream) -> None:
    answer_by_path(upstream, {"/v1/responses": streamed(*background_events()), "/v1/responses/resp_bg": whole(completed())})
    created = post(made, "/v1/responses", {**BACKGROUND, "stream": True})
    assert b'"footprint"' in created.body
    made.get("/v1/responses/resp_bg")
    began, late = rows(made)
    assert (began["unweighed_reason"], began["gco2e"], began["input_tokens"]) == ("pending", None, None)
    assert (late["origin_call_id"], late["output_tokens"]) == (created.ours["call-id"], 1035)


def test_a_stream_in_the_background_that_breaks_is_booked_when_it_is_taken_up_again(made: Proxy, upstream: ScriptedUpstream) -> None:
    begun, *rest = background_events()
    answer_by_path(upstream, {"/v1/responses": [*streamed(begun, end=False), RESET], "/v1/responses/resp_bg": streamed(*rest)})  # type: ignore[list-item]  # a part of a script
    assert post(made, "/v1/responses", {**BACKGROUND, "stream": True}).cut
    for _ in range(2):
        assert made.get("/v1/responses/resp_bg?stream=true&starting_after=0").body == b"".join(rest)
    began, late = rows(made)
    assert (began["unweighed_reason"], began["upstream_object_id"]) == ("pending", "resp_bg")
    assert (late["input_tokens"], late["output_tokens"], late["origin_call_id"]) == (81, 1035, began["call_id"])


def test_a_cancelled_response_has_a_reason_and_no_figure(made: Proxy, upstream: ScriptedUpstream) -> None:
    cancelled = completed("cancelled", usage=None)
    answer_by_path(upstream, {"POST /v1/responses": whole(queued()), "/v1/responses/resp_bg/cancel": whole(cancelled)})
    created = post(made, "/v1/responses", BACKGROUND).ours["call-id"]
    assert post(made, "/v1/responses/resp_bg/cancel", {}).body == cancelled
    _, late = rows(made)
    assert (late["unweighed_reason"], late["gco2e"], late["origin_call_id"]) == ("cancelled", None, created)


def test_the_footprint_of_the_first_call_shows_what_was_booked_later(made: Proxy, upstream: ScriptedUpstream) -> None:
    answer_by_path(upstream, {"POST /v1/responses": whole(queued()), "/v1/responses/resp_bg": whole(completed())})
    call_id = post(made, "/v1/responses", BACKGROUND).ours["call-id"]
    before = made.get(f"/v1/footprint/{call_id}").json
    assert (before["status"], before["gco2e"], before["late"]) == ("pending", None, [])
    made.get("/v1/responses/resp_bg")
    after = made.get(f"/v1/footprint/{call_id}").json
    _, late = rows(made)
    assert (after["status"], [each["call_id"] for each in after["late"]]) == ("final", [late["call_id"]])
    assert after["gco2e"] == pytest.approx(late["gco2e"], rel=1e-3)
    assert after["usage"]["output_tokens"] == 1035
    booked = made.get(f"/v1/footprint/{late['call_id']}").json
    assert (booked["origin_call_id"], booked["gco2e"]) == (call_id, after["gco2e"])


# Other work


def test_fine_tuning_is_weighed_as_training_and_not_as_answers(made: Proxy, upstream: ScriptedUpstream) -> None:
    job = {"id": "ftjob-1", "object": "fine_tuning.job", "model": "gpt-4o-mini-2024-07-18", "created_at": 1}
    answer_by_path(
        upstream,
        {
            "POST /v1/fine_tuning/jobs": whole(compact({**job, "status": "queued", "trained_tokens": None})),
            "/v1/fine_tuning/jobs/ftjob-1": whole(compact({**job, "status": "succeeded", "trained_tokens": 3_000_000, "finished_at": 2})),
        },
    )
    created = post(made, "/v1/fine_tuning/jobs", {"model": "gpt-4o-mini-2024-07-18", "training_file": "file-1"}).ours["call-id"]
    for _ in range(2):
        made.get("/v1/fine_tuning/jobs/ftjob-1")
    began, late = rows(made)
    assert (began["operation"], began["alias"], began["unweighed_reason"]) == ("fine_tuning", "gpt-4o-mini-2024-07-18", "pending")
    assert (late["method"], late["input_tokens"], late["output_tokens"], late["origin_call_id"]) == ("training", 3_000_000, 0, created)
    assert late["gco2e"] > 10


RUN = {"id": "run_1", "object": "thread.run", "thread_id": "thread_1", "model": "gpt-4o", "created_at": 1}
RUN_USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def test_a_run_on_a_thread_is_booked_when_it_is_polled(made: Proxy, upstream: ScriptedUpstream) -> None:
    answer_by_path(
        upstream,
        {
            "POST /v1/threads/thread_1/runs": whole(compact({**RUN, "status": "queued", "usage": None})),
            "GET /v1/threads/thread_1/runs/run_1": whole(compact({**RUN, "status": "completed", "usage": RUN_USAGE})),
        },
    )
    created = post(made, "/v1/threads/thread_1/runs", {"assistant_id": "asst_1"}).ours["call-id"]
    for _ in range(2):
        made.get("/v1/threads/thread_1/runs/run_1")
    began, late = rows(made)
    assert (began["operation"], late["input_tokens"], late["output_tokens"], late["origin_call_id"]) == ("runs", 100, 20, created)


def test_a_streamed_run_is_booked_from_its_last_event_and_passes_unchanged(made: Proxy, upstream: ScriptedUpstream) -> None:
    def named(name: str, document: dict[str, Any]) -> bytes:
        return b"event: %b\ndata: %b\n\n" % (name.encode(), compact(document))

    events = (
        named("thread.run.created", {**RUN, "status": "queued", "usage": None}),
        named("thread.message.delta", {"id": "msg_1", "object": "thread.message.delta", "delta": {}}),
        named("thread.run.completed", {**RUN, "status": "completed", "usage": RUN_USAGE}),
        b"event: done\ndata: [DONE]\n\n",
    )
    upstream.answers(*streamed(*events))
    created = post(made, "/v1/threads/thread_1/runs", {"assistant_id": "asst_1", "stream": True})
    assert created.body == b"".join(events)
    began, late = rows(made)
    assert (began["unweighed_reason"], late["output_tokens"], late["origin_call_id"]) == ("pending", 20, created.ours["call-id"])


def test_a_run_of_an_evaluation_is_booked_by_model(made: Proxy, upstream: ScriptedUpstream) -> None:
    run = {"id": "evalrun_1", "object": "eval.run", "eval_id": "eval_1", "model": "gpt-4o", "created_at": 1}
    used = [
        {"model_name": name, "invocation_count": 2, "prompt_tokens": 50, "cached_tokens": 0, "completion_tokens": 5, "total_tokens": 55}
        for name in ("gpt-4o", "gpt-4o-mini")
    ]
    answer_by_path(
        upstream,
        {
            "POST /v1/evals/eval_1/runs": whole(compact({**run, "status": "queued", "per_model_usage": []})),
            "GET /v1/evals/eval_1/runs/evalrun_1": whole(compact({**run, "status": "completed", "per_model_usage": used})),
        },
    )
    post(made, "/v1/evals/eval_1/runs", {"name": "x"})
    for _ in range(2):
        made.get("/v1/evals/eval_1/runs/evalrun_1")
    _, first, second = rows(made)
    assert [(row["model"], row["input_tokens"], row["output_tokens"]) for row in (first, second)] == [
        ("gpt-4o", 50, 5),
        ("gpt-4o-mini", 50, 5),
    ]


def test_a_grader_is_weighed_at_once_from_its_count(made: Proxy, upstream: ScriptedUpstream) -> None:
    answer = compact({"reward": 0.8, "metadata": {"name": "g", "token_usage": 210, "sampled_model_name": "gpt-4o-mini"}, "sub_rewards": {}})
    upstream.answers(*whole(answer))
    assert post(made, "/v1/fine_tuning/alpha/graders/run", {"grader": {}, "model_sample": "x"}).body == answer
    (row,) = rows(made)
    assert (row["operation"], row["input_tokens"], row["usage_source"], row["served_model"]) == ("graders", 210, "estimated", "gpt-4o-mini")
    assert row["gco2e"] > 0


def test_a_clip_is_counted_when_it_is_asked_for_and_never_again(made: Proxy, upstream: ScriptedUpstream) -> None:
    clip = {"id": "video_1", "object": "video", "status": "queued", "model": "sora-2", "seconds": "8", "size": "1280x720", "created_at": 1}
    upstream.answers(*whole(compact(clip)))
    post(made, "/v1/videos", {"model": "sora-2", "prompt": "x", "seconds": "8"})
    post(made, "/v1/videos/video_1/remix", {"prompt": "red"})
    upstream.answers(*whole(compact({**clip, "status": "completed"})))
    for path in ("/v1/videos/video_1", "/v1/videos", "/v1/videos/video_1/content"):
        made.get(path)
    first, remix = rows(made)
    assert (first["operation"], first["media_video_seconds"], first["method"]) == ("videos", 8.0, "video")
    assert (remix["operation"], remix["media_video_seconds"], remix["model"], remix["origin_call_id"]) == ("videos", 8.0, "sora-2", None)
    assert remix["gco2e"] > 0


def test_counting_tokens_and_ending_work_are_counted_and_not_recorded(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b'{"object":"response.input_tokens","input_tokens":11}'))
    for path in ("/v1/responses/input_tokens", "/v1/batches/batch_9/cancel", "/v1/threads", "/v1/evals", "/v1/chat/completions/chatcmpl-1"):
        assert post(made, path, {"model": "gpt-4o"}).status == 200
    assert rows(made) == []


def test_an_event_of_another_stream_is_no_work(made: Proxy, upstream: ScriptedUpstream) -> None:
    events = (event({"type": "response.output_text.delta", "delta": '"response": {"id":"x"}'}), b"data: not json\n\n", b": ping\n\n")
    upstream.answers(*streamed(*events))
    assert made.get("/v1/responses/resp_9?stream=true").body == b"".join(events)
    assert rows(made) == []


def test_usage_of_a_response_is_what_its_case_says() -> None:
    assert (RESPONSES_USAGE["input_tokens"], RESPONSES_USAGE["output_tokens"]) == (81, 1035)
