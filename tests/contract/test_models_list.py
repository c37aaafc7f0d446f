"""GET /v1/models: what may be used, in OpenAI's shape, filtered by who asks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.proxy_harness import KEY, Proxy, proxy, simulated
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole

THEIRS = b'{"object": "list",\n "data": [ {"id":"gpt-x","object":"model","created":1,"owned_by":"openai"} ]}'
WIDE, NARROW = "gk-wide-key-1", "gk-narrow-key-1"


@pytest.fixture
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        made.answers(*whole(THEIRS, (b"x-request-id", b"req_1")))
        yield made


def served(upstream: ScriptedUpstream) -> dict[str, Any]:
    return {"deployments": [{"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": "sk-provider-1"}]}


def names(made: Proxy, **headers: str) -> list[str]:
    listed = made.get("/v1/models", **headers).json
    assert listed["object"] == "list"
    assert all(set(row) == {"id", "object", "created", "owned_by"} and row["object"] == "model" for row in listed["data"])
    return [row["id"] for row in listed["data"]]


def test_with_a_default_upstream_the_providers_list_passes_unchanged(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with proxy(tmp_path, upstream.url) as made:
        answer = made.get("/v1/models?limit=2")
        one = made.get("/v1/models/ft:gpt-4o:org::id")
        assert made.calls() == []
    assert (answer.body, answer.value("x-request-id")) == (THEIRS, "req_1")
    assert one.body == THEIRS
    assert [request.target for request in upstream.received] == ["/v1/models?limit=2", "/v1/models/ft:gpt-4o:org::id"]
    assert upstream.last.value("authorization") == f"Bearer {KEY}".encode()


def test_configured_aliases_are_listed_with_the_sdk(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with (
        proxy(tmp_path, models={"small": served(upstream), "large": served(upstream)}) as made,
        openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client,
    ):
        assert sorted(model.id for model in client.models.list()) == ["large", "small"]
        assert client.models.retrieve("small").owned_by == "azure"
        with pytest.raises(openai.NotFoundError) as caught:
            client.models.retrieve("other")
    assert caught.value.code == "unknown_model"
    assert upstream.received == []


def test_a_pattern_lists_the_catalogues_models_that_it_matches(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with proxy(tmp_path, models={"gpt-4o*": served(upstream)}) as made:
        found = names(made)
    assert "gpt-4o-mini" in found
    assert all(name.startswith("gpt-4o") for name in found)


def test_a_key_sees_what_it_may_use(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    keys = [{"key": WIDE, "name": "wide"}, {"key": NARROW, "name": "narrow", "models": ["small", "draft-*"]}]
    models = {name: served(upstream) for name in ("small", "large", "draft-1", "draft-2")}
    with proxy(tmp_path, keys=keys, models=models) as made:
        assert names(made, authorization=f"Bearer {WIDE}") == ["draft-1", "draft-2", "large", "small"]
        assert names(made, authorization=f"Bearer {NARROW}") == ["draft-1", "draft-2", "small"]
        hidden = made.get("/v1/models/large", authorization=f"Bearer {NARROW}")
        assert (hidden.status, hidden.error["code"]) == (404, "unknown_model")
        refused = made.get("/v1/models", authorization="Bearer nope-nope")
        assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")


def test_without_any_configuration_and_key_the_simulated_models_are_listed(tmp_path: Path) -> None:
    with proxy(tmp_path) as made:
        made.headers = {}
        found = names(made)
        assert found
        assert all(name.startswith("sim-") for name in found)
        assert made.get(f"/v1/models/{found[0]}").json["id"] == found[0]
        answer = made.chat({"model": found[0], "messages": [{"role": "user", "content": "Hello"}]})
        assert (answer.status, answer.value("x-simulated")) == (200, "true")
        assert made.call()["attempt_status"] == 200


def test_the_simulated_providers_own_list_passes(tmp_path: Path) -> None:
    with simulated() as url, proxy(tmp_path, url) as made:
        assert "sim-small" in names(made)


def test_other_methods_on_models_pass_on(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with proxy(tmp_path, upstream.url) as made:
        assert made.send("DELETE", "/v1/models/ft:x").status == 200
    assert (upstream.last.method, upstream.last.target) == ("DELETE", "/v1/models/ft:x")


def test_models_that_cannot_be_asked_for_are_a_clear_error(tmp_path: Path) -> None:
    with proxy(tmp_path, "http://127.0.0.1:9") as made:
        answer = made.get("/v1/models")
    assert (answer.status, answer.error["code"]) == (502, "upstream_unreachable")
    assert json.loads(answer.body)
