"""What paths mean, what answers show of work, and ids that never change."""

import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.objects.ids import booking_id, is_simulated
from proxy.objects.lines import LONGEST_LINE_BYTES, OutputLines
from proxy.objects.origins import Origin, Origins
from proxy.objects.paths import UNMETERED, object_ids, passing
from proxy.objects.read import works_in
from proxy.objects.taps import DocumentTap, EventTap, tap_for


@given(st.text(), st.text(), st.text())
def test_an_id_follows_from_what_it_stands_for(provider: str, object_id: str, part: str) -> None:
    made = uuid.UUID(booking_id(provider, object_id, part))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)
    assert booking_id(provider, object_id, part) == str(made)


def test_ids_of_different_things_differ() -> None:
    made = {booking_id(*parts) for parts in (("a", "b"), ("b", "a"), ("ab", ""), ("a", "b", "0"), ("a", "b", "1"))}
    assert len(made) == 5


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("resp_sim" + "0a" * 13, True),
        ("file-sim" + "0a" * 13 + "1", True),
        ("resp_similar", False),
        ("resp_" + "0a" * 14, False),
        ("ftjob-abc", False),
    ],
)
def test_the_simulated_providers_ids_are_known(name: str, ours: bool) -> None:
    assert is_simulated(name) is ours


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/v1/files/file-1/content", "files"),
        ("POST", "/v1/uploads/upload_1/parts", "uploads"),
        ("POST", "/v1/responses/input_tokens", "polling"),
        ("POST", "/v1/responses/resp_1/cancel", "polling"),
        ("DELETE", "/v1/responses/resp_1", "polling"),
        ("GET", "/v1/chat/completions/chatcmpl-1", "polling"),
        ("POST", "/v1/chat/completions/chatcmpl-1", "polling"),
        ("POST", "/v1/threads", "polling"),
        ("POST", "/v1/threads/thread_1/messages", "polling"),
        ("POST", "/v1/threads/thread_1/runs", "making"),
        ("POST", "/v1/threads/runs", "making"),
        ("POST", "/v1/batches", "making"),
        ("POST", "/v1/batches/batch_1/cancel", "polling"),
        ("POST", "/v1/fine_tuning/jobs", "making"),
        ("POST", "/v1/fine_tuning/jobs/ftjob-1/resume", "polling"),
        ("POST", "/v1/fine_tuning/alpha/graders/run", "making"),
        ("POST", "/v1/evals", "polling"),
        ("POST", "/v1/evals/eval_1/runs", "making"),
        ("POST", "/v1/videos/video_1/remix", "making"),
        ("POST", "/v1/agents/sessions", UNMETERED),
        ("POST", "/v1/realtime/calls", UNMETERED),
        ("POST", "/v1/models/x:predict", UNMETERED),
        ("GET", "/v1/models/x", "models"),
        ("PUT", "/v1/brand/new", UNMETERED),
        ("POST", "/v1/", UNMETERED),
    ],
)
def test_paths_mean_what_they_do(method: str, path: str, kind: str) -> None:
    assert passing(method, path).kind == kind


def test_ids_stand_in_paths_the_innermost_first() -> None:
    assert object_ids("/v1/threads/thread_1/runs/run_2/steps") == ("run_2", "thread_1")
    assert object_ids("/v1/fine_tuning/jobs") == ()
    assert object_ids("/v1/files/file-abc1/content") == ("file-abc1",)


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b'{"object":"batch"}', b'{"object":7,"id":"x"}', b'{"object":"batch","id":7}',
     b'{"object":"list","data":7}',
     b'{"object":"response","id":"r","background":"yes"}', b'{"object":"thread.run","id":"r","status":["completed"],"usage":{"a":1}}',
     b'{"type":"x","response":7}', b'{"reward":1,"metadata":7}', b"\xff\xfe"],
)  # fmt: skip
def test_strange_answers_show_no_ended_work(body: bytes) -> None:
    assert [work for work in works_in(body) if work.parts] == []
    assert [work for work in works_in(body) if work.ended and not work.at_once] == []


def test_work_that_failed_says_how() -> None:
    found = works_in(b'{"object":"fine_tuning.job","id":"ftjob-1","status":"failed","trained_tokens":null,"finished_at":5,"created_at":3}')
    assert [(work.ended, work.reason, work.ended_s, work.created_s) for work in found] == [(True, "failed", 5, 3)]


def test_a_batch_is_known_by_its_output_once_it_has_one() -> None:
    usage = {"input_tokens": 5, "output_tokens": 1, "total_tokens": 6}
    batch: dict[str, Any] = {
        "object": "batch",
        "id": "batch_1",
        "status": "completed",
        "usage": usage,
        "model": "m",
        "endpoint": "/v1/embeddings",
    }
    (bare,), (filed,) = works_in(json.dumps(batch).encode()), works_in(json.dumps({**batch, "output_file_id": "file-1"}).encode())
    assert (bare.booking, filed.booking, filed.follow) == ("batch_1", "file-1", "file-1")
    assert filed.parts[0].weighed_as == "embeddings"
    (waiting,) = works_in(json.dumps({**batch, "output_file_id": "file-1", "model": None}).encode())
    assert (waiting.ended, waiting.follow) == (False, "file-1"), "its lines tell the model"


LINE = b'{"custom_id":"a","response":{"status_code":200,"body":{"model":"m","usage":{"prompt_tokens":3,"completion_tokens":2}}}}'


@given(st.integers(1, 30), st.integers(1, 300))
def test_lines_are_summed_wherever_they_are_cut(count: int, size: int) -> None:
    content = b"\r\n".join([LINE] * count)
    lines = OutputLines()
    for at in range(0, len(content), size):
        lines.feed(content[at : at + size])
    (part,) = lines.parts()
    assert (part.model, part.usage.input_tokens, part.usage.output_tokens) == ("m", 3 * count, 2 * count)
    assert lines.parts() == (part,), "asking twice changes nothing"


def test_a_line_too_long_to_be_held_is_left_out_and_said() -> None:
    lines = OutputLines()
    lines.feed(LINE + b"\n")
    for _ in range(3):
        lines.feed(b"x" * (LONGEST_LINE_BYTES // 2))
    lines.feed(b"tail of it\n" + LINE)
    (part,) = lines.parts()
    assert (part.usage.input_tokens, part.usage.partial) == (6, True)


@given(st.integers(1, 200))
def test_events_are_read_wherever_they_are_cut(size: int) -> None:
    done = (
        b'{"object":"response","id":"r1","background":true,"status":"completed","model":"m","usage":{"input_tokens":7,"output_tokens":2}}'
    )
    stream = (
        b'event: ping\ndata: {}\n\n: c\r\n\r\nevent: response.completed\ndata: {"type":"response.completed","response":' + done + b"}\n\n"
    )
    tap = EventTap()
    for at in range(0, len(stream), size):
        tap.feed(stream[at : at + size])
    (work,) = tap.works()
    assert (work.object_id, work.ended, work.parts[0].usage.input_tokens) == ("r1", True, 7)


def test_a_cut_document_shows_nothing() -> None:
    tap = DocumentTap()
    tap.feed(b'{"object":"batch","id":"batch_1","status":"comple')
    assert tap.works() == []


def test_only_documents_events_and_files_are_read() -> None:
    assert tap_for(b"image/png", None, None) is None
    assert tap_for(b"", None, None) is None
    assert tap_for(b"application/json; charset=utf-8", None, None) is not None


def test_memory_of_origins_is_bounded() -> None:
    origins = Origins(most=3)
    one = Origin(call_id="c", started_ms=0, alias="a", caller_id="k", tags=(), candidate=None)
    for number in range(10):
        origins.remember(f"o{number}", one)
        origins.note_booked(f"b{number}")
    assert [number for number in range(10) if origins.recall(f"o{number}")] == [7, 8, 9]
    assert [number for number in range(10) if origins.is_booked(f"b{number}")] == [7, 8, 9]


MEMBERS = (
    "object",
    "id",
    "status",
    "background",
    "usage",
    "data",
    "type",
    "response",
    "model",
    "output_file_id",
    "trained_tokens",
    "seconds",
)
WORDS = ("response", "batch", "fine_tuning.job", "thread.run", "eval.run", "video", "list", "completed", "message_batch", "ended", "x")
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(WORDS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from((*MEMBERS, "per_model_usage", "metadata", "reward", "created_at")), values, max_size=8))
def test_no_answer_is_too_strange_to_be_read(document: dict[str, Any]) -> None:
    for work in works_in(json.dumps(document).encode()):
        assert not work.parts or work.ended
        assert work.operation in {"responses", "batches", "fine_tuning", "runs", "evals", "videos", "graders"}
