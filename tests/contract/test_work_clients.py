"""The real client, through the proxy, before the simulated provider: work in the background, in batches, training, clips."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import NotFoundError, OpenAI

from tests.contract.late_harness import rows
from tests.contract.proxy_harness import Proxy, proxy, simulated


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Proxy]:
    with simulated() as url, proxy(tmp_path, url) as made:
        yield made


@pytest.fixture
def client(opened: Proxy) -> Iterator[OpenAI]:
    with OpenAI(base_url=opened.v1, api_key="sk-any-0123456789", max_retries=0) as made:
        yield made


def jsonl(*documents: object) -> io.BytesIO:
    written = io.BytesIO(b"".join(json.dumps(document).encode() + b"\n" for document in documents))
    written.name = "lines.jsonl"
    return written


def request(number: int) -> dict[str, object]:
    body = {"model": "sim-small", "messages": [{"role": "user", "content": f"Describe jumper {number}."}], "max_completion_tokens": 20}
    return {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def test_a_batch_from_upload_to_results(opened: Proxy, client: OpenAI) -> None:
    uploaded = client.files.create(file=jsonl(*(request(number) for number in range(5))), purpose="batch")
    made = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert made.status == "validating"
    done = client.batches.retrieve(made.id)
    assert (done.status, done.request_counts and done.request_counts.completed) == ("completed", 5)
    assert done.output_file_id is not None
    lines = [json.loads(line) for line in client.files.content(done.output_file_id).text.splitlines()]
    assert [line["custom_id"] for line in lines] == [f"c{number}" for number in range(5)]
    assert [each.id for each in client.batches.list()] == [made.id]
    began, late = rows(opened)
    told = [line["response"]["body"]["usage"] for line in lines]
    assert (late["input_tokens"], late["output_tokens"]) == tuple(
        sum(usage[name] for usage in told) for name in ("prompt_tokens", "completion_tokens")
    )
    assert (late["origin_call_id"], late["alias"]) == (began["call_id"], "sim-small")
    assert late["gco2e"] > 0


def test_a_batch_that_tells_no_usage_is_weighed_from_its_output(tmp_path: Path) -> None:
    with (
        simulated(always="no-usage") as url,
        proxy(tmp_path, url) as opened,
        OpenAI(base_url=opened.v1, api_key="sk-any-0123456789") as client,
    ):
        uploaded = client.files.create(file=jsonl(request(1), request(2)), purpose="batch")
        made = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
        done = client.batches.retrieve(made.id)
        assert (done.usage, len(rows(opened))) == (None, 1)
        assert done.output_file_id is not None
        client.files.content(done.output_file_id).read()
        began, late = rows(opened)
        assert (late["origin_call_id"], late["output_tokens"]) == (began["call_id"], 40)


def test_a_cancelled_batch_has_its_reason(opened: Proxy, client: OpenAI) -> None:
    uploaded = client.files.create(file=jsonl(request(1)), purpose="batch")
    made = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert client.batches.cancel(made.id).status == "cancelled"
    _, late = rows(opened)
    assert (late["unweighed_reason"], late["gco2e"]) == ("cancelled", None)


def test_a_fine_tuning_job(opened: Proxy, client: OpenAI) -> None:
    turns = [{"role": "user", "content": "A jumper?"}, {"role": "assistant", "content": "A warm one."}]
    uploaded = client.files.create(file=jsonl(*({"messages": turns} for _ in range(20))), purpose="fine-tune")
    made = client.fine_tuning.jobs.create(model="sim-small", training_file=uploaded.id)
    assert [each.id for each in client.fine_tuning.jobs.list()] == [made.id]
    done = client.fine_tuning.jobs.retrieve(made.id)
    assert (done.status, bool(done.trained_tokens)) == ("succeeded", True)
    client.fine_tuning.jobs.retrieve(made.id)
    began, late = rows(opened)
    assert (late["method"], late["input_tokens"], late["origin_call_id"]) == ("training", done.trained_tokens, began["call_id"])


def test_clips(opened: Proxy, client: OpenAI) -> None:
    made = client.videos.create(model="sim-video", prompt="A jumper in the wind", seconds="8", size="1280x720")
    assert client.videos.retrieve(made.id).status == "completed"
    assert b"ftyp" in client.videos.download_content(made.id).read()
    again = client.videos.remix(made.id, prompt="In red")
    assert again.remixed_from_video_id == made.id
    client.videos.delete(made.id)
    with pytest.raises(NotFoundError):
        client.videos.retrieve(made.id)
    first, second = rows(opened)
    for row in (first, second):
        assert (row["operation"], row["media_video_seconds"], row["media_width"], row["method"]) == ("videos", 8.0, 1280, "video")


def test_compaction_decisions_and_counting(opened: Proxy, client: OpenAI) -> None:
    said = [{"role": "user", "content": "Describe a jumper. " * 40}]
    shorter = client.post("/responses/compact", body={"model": "sim-large", "input": said}, cast_to=dict[str, object])
    counted = client.post("/responses/input_tokens", body={"model": "sim-large", "input": said}, cast_to=dict[str, object])
    asked = {"model": "sim-small", "input": "A jumper.", "questions": [{"id": "q", "question": "Is it warm?", "choices": ["yes", "no"]}]}
    decided = client.post("/decisions", body=asked, cast_to=dict[str, object])
    compacted, decision = rows(opened)
    for row, answer in ((compacted, shorter), (decision, decided)):
        usage = answer["usage"]
        assert isinstance(usage, dict)
        assert (row["input_tokens"], row["output_tokens"]) == (usage["input_tokens"], usage["output_tokens"])
        assert usage["footprint"]["gco2e"] > 0
    assert counted["input_tokens"] == compacted["input_tokens"]
