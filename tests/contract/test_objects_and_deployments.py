"""What a provider keeps is asked for where it is kept, by whom it belongs to, over a restart too."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.contract.case import compact
from tests.contract.endpoint_cases import RESPONSES, response
from tests.contract.late_harness import answer_by_path, rows
from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole

KEYS = [{"name": "team-a", "key": "ours-a-0123456789abcdef"}, {"name": "team-b", "key": "ours-b-0123456789abcdef"}]
BOUND = {"name": "bound", "key": "ours-c-0123456789abcdef", "models": ["one"]}
CHIEF = {"name": "chief", "key": "ours-d-0123456789abcdef", "role": "admin"}


@pytest.fixture
def other() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


def settings(first: ScriptedUpstream, second: ScriptedUpstream, **more: Any) -> dict[str, Any]:
    """Two deployments of one provider's dialect, behind one alias and behind one each."""

    def at(upstream: ScriptedUpstream, zone: str) -> dict[str, Any]:
        return {"provider": "local", "api_base": f"{upstream.url}/v1", "api_key": "sk-provider", "zone": zone, "model": "gpt-5-mini"}

    one, two = at(first, "FR"), at(second, "SE")
    return {"models": {"*": {"deployments": [one]}, "both": {"deployments": [one, two]}, "two": {"deployments": [two]}}, **more}


def made_by(upstream: ScriptedUpstream, object_id: str) -> None:
    answer = whole(compact(response(id=object_id)))
    answer_by_path(
        upstream, {"POST /v1/responses": answer, f"/v1/responses/{object_id}": answer, f"/v1/responses/{object_id}/input_items": answer}
    )


def create(opened: Proxy, model: str, key: str, **more: Any) -> None:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    assert opened.send("POST", "/v1/responses", json.dumps({**RESPONSES.ask, "model": model, **more}).encode(), headers).status == 200


def test_an_object_is_asked_for_where_it_is_kept_also_after_a_restart(
    upstream: ScriptedUpstream, other: ScriptedUpstream, tmp_path: Path
) -> None:
    made_by(upstream, "resp_first1")
    made_by(other, "resp_second2")
    key = KEYS[0]["key"]
    with proxy(tmp_path, **settings(upstream, other, keys=KEYS)) as opened:
        create(opened, "two", key)
        opened.get("/v1/responses/resp_second2", authorization=f"Bearer {key}")
        assert other.last.target == "/v1/responses/resp_second2"
    with proxy(tmp_path, **settings(upstream, other, keys=KEYS)) as opened:
        for method, path in (("GET", ""), ("GET", "/input_items"), ("DELETE", "")):
            opened.send(method, f"/v1/responses/resp_second2{path}", headers={"authorization": f"Bearer {key}"})
            assert (other.last.method, other.last.target) == (method, f"/v1/responses/resp_second2{path}")
            assert other.last.value("authorization") == b"Bearer sk-provider"
    assert [request.target for request in upstream.received if "second2" in request.target] == []


def test_after_a_restart_the_place_tells_deployments_of_one_alias_apart(
    upstream: ScriptedUpstream, other: ScriptedUpstream, tmp_path: Path
) -> None:
    made_by(upstream, "resp_first1")
    made_by(other, "resp_second2")
    key, known = KEYS[0]["key"], {"resp_first1": upstream, "resp_second2": other}
    with proxy(tmp_path, **settings(upstream, other, keys=KEYS)) as opened:
        while not all(each.received for each in known.values()):
            create(opened, "both", key)
    with proxy(tmp_path, **settings(upstream, other, keys=KEYS)) as opened:
        for object_id, keeper in known.items():
            opened.get(f"/v1/responses/{object_id}", authorization=f"Bearer {key}")
            assert keeper.last.target == f"/v1/responses/{object_id}"


def test_what_goes_on_with_a_response_goes_to_the_deployment_that_keeps_it(
    upstream: ScriptedUpstream, other: ScriptedUpstream, tmp_path: Path
) -> None:
    made_by(upstream, "resp_first1")
    made_by(other, "resp_second2")
    key = KEYS[0]["key"]
    with proxy(tmp_path, **settings(upstream, other, keys=KEYS)) as opened:
        create(opened, "two", key)
        before = len(upstream.received)
        for _ in range(6):
            create(opened, "both", key, previous_response_id="resp_second2")
        assert [request.target for request in upstream.received[before:]] == [], "the second deployment keeps what is referred to"
        assert len(other.received) == 7


def test_what_reads_an_uploaded_file_goes_where_files_go(upstream: ScriptedUpstream, other: ScriptedUpstream, tmp_path: Path) -> None:
    made_by(upstream, "resp_first1")
    made_by(other, "resp_second2")
    with proxy(tmp_path, **settings(upstream, other, keys=KEYS)) as opened:
        files = {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]}
        for more in (files, {"conversation": "conv_1"}):
            before = len(upstream.received)
            for _ in range(6):
                create(opened, "both", KEYS[0]["key"], **more)
            assert len(upstream.received) == before + 6
    assert other.received == []


def test_objects_of_one_key_of_ours_are_no_other_keys(upstream: ScriptedUpstream, other: ScriptedUpstream, tmp_path: Path) -> None:
    made_by(upstream, "resp_first1")
    with proxy(tmp_path, **settings(upstream, other, keys=[*KEYS, CHIEF])) as opened:
        create(opened, "one", KEYS[0]["key"])
        before = len(upstream.received)
        refused = opened.get("/v1/responses/resp_first1", authorization=f"Bearer {KEYS[1]['key']}")
        assert (refused.status, refused.error["code"]) == (404, "unknown_object")
        body = json.dumps({**RESPONSES.ask, "model": "one", "previous_response_id": "resp_first1"}).encode()
        headers = {"authorization": f"Bearer {KEYS[1]['key']}", "content-type": "application/json"}
        assert opened.send("POST", "/v1/responses", body, headers).error["code"] == "unknown_object"
        assert len(upstream.received) == before
        assert opened.get("/v1/responses/resp_first1", authorization=f"Bearer {CHIEF['key']}").status == 200


def test_a_key_bound_to_models_may_ask_after_what_it_made(upstream: ScriptedUpstream, other: ScriptedUpstream, tmp_path: Path) -> None:
    made_by(upstream, "resp_first1")
    with proxy(tmp_path, **settings(upstream, other, keys=[BOUND])) as opened:
        create(opened, "one", str(BOUND["key"]))
        headers = {"authorization": f"Bearer {BOUND['key']}", "content-type": "application/json"}
        assert opened.send("GET", "/v1/responses/resp_first1", headers=headers).status == 200
        assert opened.send("POST", "/v1/responses/resp_first1/cancel", b"{}", headers).status == 200
        for path, body in (
            ("/v1/batches", {"input_file_id": "file-1"}),
            ("/v1/fine_tuning/jobs", {"model": "gpt-4o", "training_file": "f"}),
        ):
            refused = opened.send("POST", path, json.dumps(body).encode(), headers)
            assert (refused.status, refused.error["code"]) == (403, "not_allowed")


def test_with_no_configuration_the_simulated_providers_objects_go_back_to_it(tmp_path: Path) -> None:
    with proxy(tmp_path) as opened, OpenAI(base_url=opened.v1, api_key="sk-any-0123456789", max_retries=0) as client:
        made = client.responses.create(model="sim-large", input="tea", background=True)
        assert made.status == "queued"
        assert client.responses.retrieve(made.id).status == "in_progress"
        done = client.responses.retrieve(made.id)
        assert client.responses.retrieve(made.id).usage == done.usage
        again = [event.type for event in client.responses.retrieve(made.id, stream=True)]
        assert again[-1] == "response.completed"
        clip = client.videos.create(model="sim-video", prompt="A jumper", seconds="8")
        assert client.videos.retrieve(clip.id).status == "completed"
        assert client.videos.download_content(clip.id).read()[4:8] == b"ftyp"
        began, late, filmed = rows(opened)
        assert done.usage is not None
        assert (late["origin_call_id"], late["input_tokens"], late["output_tokens"]) == (
            began["call_id"],
            done.usage.input_tokens,
            done.usage.output_tokens,
        )
        assert (filmed["media_video_seconds"], filmed["simulated"]) == (8.0, 1)
        client.responses.delete(made.id)


def test_where_only_simulated_models_are_configured_files_and_batches_go_to_them(tmp_path: Path) -> None:
    only: dict[str, Any] = {"models": {"cheap": {"deployments": [{"provider": "simulated", "model": "sim-small"}]}}, "keys": KEYS}
    with proxy(tmp_path, **only) as opened, OpenAI(base_url=opened.v1, api_key=KEYS[0]["key"], max_retries=0) as client:
        line = {"custom_id": "a", "body": {"model": "sim-small", "messages": [{"role": "user", "content": "tea"}]}}
        uploaded = client.files.create(file=("in.jsonl", json.dumps(line).encode()), purpose="batch")
        made = client.batches.create(input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h")
        assert client.batches.retrieve(made.id).status == "completed"
        began, late = rows(opened)
        assert (late["caller_id"], late["origin_call_id"], late["simulated"]) == ("team-a", began["call_id"], 1)
