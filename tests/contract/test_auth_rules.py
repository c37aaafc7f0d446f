"""Who may spend and who may read: keys of ours, keys of callers, and where each of them is allowed to go."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.proxy_harness import KEY, Answer, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole
from tests.serving import free_port

REPLY = whole(b'{"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5}}')
PROVIDER_KEY, OTHER_PROVIDER_KEY = "sk-provider-azure-1", "sk-provider-mistral-1"
CALLER, LIMITED, VIEWER, ADMIN = "gk-caller-1", "gk-limited-1", "gk-viewer-1", "gk-admin-1"
KEYS: list[dict[str, Any]] = [
    {"key": CALLER, "name": "team", "tags": {"brand": "acme"}},
    {"key": LIMITED, "name": "limited", "models": ["small", "draft-*"]},
    {"key": VIEWER, "name": "eyes", "role": "viewer"},
    {"key": ADMIN, "name": "boss", "role": "admin"},
]


@pytest.fixture(scope="module")
def azure() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        made.answers(*REPLY)
        yield made


@pytest.fixture(scope="module")
def mistral() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        made.answers(*REPLY)
        yield made


def deployment(upstream: ScriptedUpstream, provider: str, key: str | None = None) -> dict[str, Any]:
    return {"provider": provider, "api_base": f"{upstream.url}/v1", **({"api_key": key} if key else {})}


@pytest.fixture(scope="module")
def keyed(azure: ScriptedUpstream, mistral: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    served = {"deployments": [deployment(azure, "azure", PROVIDER_KEY)]}
    models = {
        "small": served,
        "draft-*": served,
        "large": {"deployments": [deployment(azure, "azure"), deployment(mistral, "mistral", OTHER_PROVIDER_KEY)]},
        "keyless": {"deployments": [deployment(azure, "azure")]},
        "*": served,
    }
    with proxy(tmp_path_factory.mktemp("keyed"), keys=KEYS, models=models) as made:
        made.headers = {}
        yield made


@pytest.fixture(scope="module")
def passing(azure: ScriptedUpstream, mistral: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    models = {
        "first-keyless": {"deployments": [deployment(azure, "openai"), deployment(mistral, "mistral", OTHER_PROVIDER_KEY) | {"order": 1}]},
        "first-keyed": {"deployments": [deployment(mistral, "mistral", OTHER_PROVIDER_KEY), deployment(azure, "openai") | {"order": 1}]},
        "two-keyless": {"deployments": [deployment(azure, "openai"), deployment(mistral, "mistral")]},
        "simulated": {"deployments": [{"provider": "simulated", "model": "sim-small"}]},
    }
    with proxy(tmp_path_factory.mktemp("passing"), azure.url, models=models) as made:
        yield made


def small(made: Proxy, key: str, model: str = "small", **headers: str) -> Answer:
    return made.chat(ask(model=model), authorization=f"Bearer {key}", **headers)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/files"])
def test_no_key_or_an_unknown_one_is_401(keyed: Proxy, azure: ScriptedUpstream, path: str) -> None:
    before = len(azure.received)
    for headers in ({}, {"authorization": "Bearer nope-nope"}, {"authorization": "Basic eA=="}, {"x-api-key": "nope"}):
        answer = keyed.post(path, ask(), **headers)
        assert (answer.status, answer.error["code"], answer.error["type"]) == (401, "invalid_api_key", "grammage_error")
        assert "nope" not in answer.body.decode()
    assert len(azure.received) == before


def test_the_sdk_raises_its_authentication_error(keyed: Proxy) -> None:
    with openai.OpenAI(base_url=keyed.v1, api_key="nope", max_retries=0) as client, pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="small", messages=[])
    assert caught.value.code == "invalid_api_key"


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key"])
def test_a_key_of_ours_opens_and_never_leaves(keyed: Proxy, azure: ScriptedUpstream, name: str) -> None:
    value = f"Bearer {CALLER}" if name == "authorization" else CALLER
    assert keyed.send("POST", "/v1/chat/completions", b'{"model":"small"}', {name: value}).status == 200
    assert (azure.last.value("api-key"), azure.last.value("authorization")) == (PROVIDER_KEY.encode(), None)
    assert all(CALLER.encode() not in header for _, header in azure.last.headers)
    assert keyed.calls()[-1]["caller_id"] == "team"


def test_a_deployment_without_a_key_is_passed_over_for_one_with(keyed: Proxy, mistral: ScriptedUpstream, azure: ScriptedUpstream) -> None:
    before = len(azure.received)
    assert small(keyed, CALLER, "large").status == 200
    assert mistral.last.value("authorization") == f"Bearer {OTHER_PROVIDER_KEY}".encode()
    assert len(azure.received) == before


def test_an_alias_that_nobody_has_a_key_for_says_so(keyed: Proxy, azure: ScriptedUpstream) -> None:
    before = len(azure.received)
    answer = small(keyed, CALLER, "keyless")
    assert (answer.status, answer.error["code"]) == (401, "invalid_api_key")
    assert "api_key" in answer.error["message"]
    assert len(azure.received) == before


@pytest.mark.parametrize(
    ("model", "status"), [("small", 200), ("draft-7", 200), ("draft-", 200), ("large", 403), ("smaller", 403), ("draft", 403)]
)
def test_a_key_may_use_its_models_and_patterns_alone(keyed: Proxy, model: str, status: int) -> None:
    answer = small(keyed, LIMITED, model)
    assert answer.status == status
    if status == 403:
        assert answer.error["code"] == "model_not_allowed"
        assert "draft-*, small" in answer.error["message"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/images/generations", "/v1/chat/completions/"])
def test_a_key_with_a_list_of_models_cannot_spend_around_it(keyed: Proxy, azure: ScriptedUpstream, path: str) -> None:
    before = len(azure.received)
    answer = keyed.post(path, {"model": "large", "input": "x"}, authorization=f"Bearer {LIMITED}")
    assert answer.status == 403
    assert len(azure.received) == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"model":"large","model":"small"}', 400),
        (b'{"model":"small","Model":"large"}', 400),
        (b'{"model":"small","models":["large"]}', 403),
        (b'{"model":"small","\\u006dodels":["large"]}', 403),
        (b'{"model":"small","\\u006dodel":"small"}', 400),
        (b'{"model":"small","metadata":{"model":"x"},"user":"\\u00e9 \\"model\\""}', 200),
    ],
)
def test_a_key_with_a_list_of_models_names_one_model(keyed: Proxy, azure: ScriptedUpstream, body: bytes, status: int) -> None:
    before = len(azure.received)
    assert keyed.post("/v1/chat/completions", body, authorization=f"Bearer {LIMITED}").status == status
    assert len(azure.received) - before == (status == 200)


@pytest.mark.parametrize("path", ["/v1/batches", "/v1/messages/batches", "/v1/evals/e_1/runs", "/v1/fine_tuning/alpha/graders/run"])
def test_a_models_name_beside_a_batch_of_others_opens_nothing(keyed: Proxy, azure: ScriptedUpstream, path: str) -> None:
    before = len(azure.received)
    answer = keyed.post(path, {"model": "small", "input_file_id": "file-1"}, authorization=f"Bearer {LIMITED}")
    assert (answer.status, len(azure.received)) == (403, before)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_a_viewer_reads_and_does_not_spend(keyed: Proxy, azure: ScriptedUpstream, path: str) -> None:
    before = len(azure.received)
    answer = keyed.post(path, {"model": "small", "input": "x"}, authorization=f"Bearer {VIEWER}")
    assert (answer.status, answer.error["type"]) == (403, "grammage_error")
    assert len(azure.received) == before


def test_tags_bound_to_a_key_cannot_be_overridden(keyed: Proxy) -> None:
    small(keyed, CALLER, x_grammage_tag_brand="evil", x_grammage_tag_stage="draft", baggage="grammage.brand=worse")
    assert keyed.calls()[-1]["tags"] == '{"brand":"acme","stage":"draft"}'


@pytest.mark.parametrize(("key", "status"), [(None, 401), (CALLER, 403), (LIMITED, 403), (VIEWER, 200), (ADMIN, 200)])
def test_metrics_are_for_viewers_and_admins(keyed: Proxy, key: str | None, status: int) -> None:
    answer = keyed.get("/metrics", **({"authorization": f"Bearer {key}"} if key else {}))
    assert answer.status == status
    if status != 200:
        assert answer.error["type"] == "grammage_error"


def test_metrics_are_open_on_a_loopback_address_without_keys(passing: Proxy) -> None:
    passing.headers, kept = {}, passing.headers
    assert b"grammage_build_info" in passing.get("/metrics").body
    passing.headers = kept


def test_the_admin_address_serves_metrics_without_a_key(azure: ScriptedUpstream, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "c.yaml").write_text(
        f"version: 1\nserver: {{listen: '127.0.0.1:0'}}\nadmin: {{listen: '127.0.0.1:{port}'}}\nupstream: {azure.url}/v1\n"
        f"keys: [{{key: {CALLER}, name: team}}]\n"
    )
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(tmp_path / "grammage.db")
        assert made.get("/metrics").status == 401
        admin = Proxy(f"http://127.0.0.1:{port}", made.ledger)
        assert b"grammage_build_info" in admin.get("/metrics").body
        assert admin.chat().status == 404
        child.process.send_signal(signal.SIGTERM)
        assert child.exit_code() == 0


@pytest.mark.parametrize(("key", "status"), [(CALLER, 200), (ADMIN, 200), (LIMITED, 404), (VIEWER, 404), (None, 401), ("nope-nope", 401)])
def test_a_footprint_is_for_its_key_and_the_admin(keyed: Proxy, key: str | None, status: int) -> None:
    call_id = small(keyed, CALLER).ours["call-id"]
    answer = keyed.get(f"/v1/footprint/{call_id}", **({"authorization": f"Bearer {key}"} if key else {}))
    assert answer.status == status
    if status == 200:
        assert answer.json["call_id"] == call_id
    else:
        assert answer.error["code"] == ("unknown_call" if status == 404 else "invalid_api_key")


def test_under_pass_through_a_footprint_is_for_the_same_provider_key(passing: Proxy) -> None:
    call_id = passing.chat(ask(model="first-keyless")).ours["call-id"]
    assert passing.get(f"/v1/footprint/{call_id}").status == 200
    assert passing.get(f"/v1/footprint/{call_id}", authorization="Bearer sk-someone-else").status == 404
    passing.headers, kept = {}, passing.headers
    assert passing.get(f"/v1/footprint/{call_id}").status == 404
    passing.headers = kept


def test_a_callers_key_goes_to_the_provider_it_was_meant_for(passing: Proxy, azure: ScriptedUpstream) -> None:
    assert passing.chat(ask(model="first-keyless")).status == 200
    assert azure.last.value("authorization") == f"Bearer {KEY}".encode()


@pytest.mark.parametrize("extra", [{}, {"x_api_key": KEY}, {"api_key": KEY}])
def test_a_callers_key_never_goes_to_another_provider(passing: Proxy, mistral: ScriptedUpstream, extra: dict[str, str]) -> None:
    assert passing.chat(ask(model="first-keyed"), **extra).status == 200
    assert mistral.last.values("authorization") == [f"Bearer {OTHER_PROVIDER_KEY}".encode()]
    assert all(KEY.encode() not in value for _, value in mistral.last.headers)


def test_of_two_keyless_deployments_only_the_first_ones_provider_sees_the_key(passing: Proxy, mistral: ScriptedUpstream) -> None:
    before = len(mistral.received)
    for _ in range(3):
        assert passing.chat(ask(model="two-keyless")).status == 200
    assert len(mistral.received) == before


def test_a_callers_key_for_one_provider_does_not_go_to_the_default_one(mistral: ScriptedUpstream, tmp_path: Path) -> None:
    """The only configured deployment is Mistral's: a path that is not metered must not take the caller's key to OpenAI."""
    with scripted_upstream() as outside:  # every way out leads here, so nothing can leave the machine
        outside.answers(*whole(b"", status=b"403 Forbidden"))
        (tmp_path / "c.yaml").write_text(
            "version: 1\nserver: {listen: '127.0.0.1:0'}\n"
            f"models: {{m: {{deployments: [{{provider: mistral, api_base: '{mistral.url}/v1'}}]}}}}\n"
        )
        with serve_command(tmp_path, "--config", "c.yaml", HTTPS_PROXY=outside.url, NO_PROXY="127.0.0.1") as child:
            made = child.proxy(tmp_path / "grammage.db")
            answer = made.post("/v1/responses", {"model": "m", "input": "x"})
        went_out = [request.target for request in outside.received]
    assert went_out == []
    assert answer.status == 403 or mistral.last.target == "/v1/responses"


def test_callers_are_told_apart_and_their_keys_are_not_kept(passing: Proxy) -> None:
    passing.chat(ask(model="simulated"))
    passing.chat(ask(model="simulated"), authorization="Bearer sk-someone-else")
    passing.chat(ask(model="simulated"), authorization="Bearer sk-someone-else")
    first, second, third = (row["caller_id"] for row in passing.calls()[-3:])
    assert first != second == third
    assert KEY.encode() not in passing.ledger.read_bytes()
    assert b"someone-else" not in passing.ledger.read_bytes()


def test_users_and_idempotency_keys_are_kept_as_hashes(passing: Proxy) -> None:
    passing.chat(ask(model="simulated", user="jane@example.org"), idempotency_key="order-4711")
    row = passing.calls()[-1]
    assert row["user_hash"]
    assert row["idempotency_key_hash"]
    assert "jane" not in str(row)
    assert "4711" not in str(row)


def test_browsers_of_named_origins_may_call(azure: ScriptedUpstream, tmp_path: Path) -> None:
    origin = "https://app.example.org"
    with proxy(tmp_path, azure.url, server={"cors": {"origins": [origin]}}) as made:
        asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "authorization,x-custom"}
        before = made.send("OPTIONS", "/v1/chat/completions", None, asked)
        assert (before.status, before.value("access-control-allow-origin")) == (200, origin)
        assert "x-custom" in (before.value("access-control-allow-headers") or "")
        answer = made.chat(origin=origin)
        assert answer.value("access-control-allow-origin") == origin
        exposed = [name.strip().lower() for name in (answer.value("access-control-expose-headers") or "").split(",")]
        assert {name.decode() for name, _ in answer.headers if name.startswith(b"x-grammage-")} <= set(exposed)
        broken = made.chat(b"{", origin=origin)
        assert (broken.status, broken.value("access-control-allow-origin")) == (400, origin)
        stranger = made.chat(origin="https://evil.example")
        assert stranger.value("access-control-allow-origin") is None
        refused = made.send("OPTIONS", "/v1/chat/completions", None, {**asked, "origin": "https://evil.example"})
        assert refused.status == 400


def test_without_origins_there_is_no_cors(passing: Proxy) -> None:
    assert passing.chat(ask(model="simulated"), origin="https://app.example.org").value("access-control-allow-origin") is None


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/files", "/v1beta/models/simulated:generateContent"])
def test_another_sites_page_without_a_key_spends_nothing(passing: Proxy, azure: ScriptedUpstream, path: str) -> None:
    sent, body = len(azure.received), json.dumps(ask(model="simulated")).encode()
    plain = {"content-type": "text/plain"}  # what a browser sends to another site without asking first
    passing.headers, kept = {}, passing.headers
    for origin in ("https://evil.example", "http://127.0.0.1:1", "null"):
        refused = passing.send("POST", path, body, {**plain, "origin": origin})
        assert refused.status == 403, origin
    assert len(azure.received) == sent
    for origin in (passing.url, "app://obsidian.md"):
        assert passing.send("POST", "/v1/chat/completions", body, {**plain, "origin": origin}).status == 200
    assert (
        passing.send("POST", "/v1/chat/completions", body, {**plain, "origin": "https://x.example", "authorization": "Bearer k"}).status
        == 200
    )
    passing.headers = kept


def test_a_base_path_stands_before_everything(azure: ScriptedUpstream, tmp_path: Path) -> None:
    with proxy(tmp_path, azure.url, server={"base_path": "/llm"}) as made:
        assert made.post("/llm/v1/chat/completions", ask()).status == 200
        assert azure.last.target == "/v1/chat/completions"
        assert made.post("/llm/v1/responses?x=1", {"a": 1}).status == 200
        assert azure.last.target == "/v1/responses?x=1"
        call_id = made.post("/llm/v1/embeddings", {"model": "m"}).ours["call-id"]
        record = made.get(f"/llm/v1/footprint/{call_id}")
        assert record.json["links"]["self"] == f"/llm/v1/footprint/{call_id}"
        assert made.get("/llm/livez").status == 200
        for path in ("/v1/chat/completions", "/livez", "/llmv1/chat/completions", "/llm"):
            answer = made.post(path, ask())
            assert (answer.status, answer.error["code"]) == (404, "unknown_path")
            assert "/llm/v1" in answer.error["message"]


def reloads(made: Proxy) -> str | None:
    body = made.get("/metrics", authorization=f"Bearer {ADMIN}").body.decode()
    return next((line.split()[-1] for line in body.splitlines() if line.startswith("grammage_config_reload_success ")), None)


def test_sighup_takes_over_a_good_file_and_keeps_the_old_on_a_bad_one(azure: ScriptedUpstream, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    start = (
        f"version: 1\nserver: {{listen: '127.0.0.1:0'}}\nkeys: [{{key: {CALLER}, name: team}}, {{key: {ADMIN}, name: boss, role: admin}}]\n"
    )
    alias = "models: {{{name}: {{deployments: [{{provider: azure, api_base: '{url}/v1', api_key: {key}}}]}}}}\n"
    file.write_text(start + alias.format(name="old", url=azure.url, key=PROVIDER_KEY))
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(tmp_path / "grammage.db")
        made.headers = {}
        assert (small(made, CALLER, "old").status, small(made, CALLER, "new").status) == (200, 404)

        file.write_text(start + alias.format(name="new", url=azure.url, key=PROVIDER_KEY))
        child.process.send_signal(signal.SIGHUP)
        until(lambda: small(made, CALLER, "new").status == 200 or None)
        assert small(made, CALLER, "old").status == 404

        file.write_text("version: 1\nmodels: [this, is, wrong]\n")
        child.process.send_signal(signal.SIGHUP)
        until(lambda: (reloads(made) in ("0", "0.0")) or None)
        assert small(made, CALLER, "new").status == 200
        until(lambda: "the old one stays" in child.text or None)

        file.unlink()
        child.process.send_signal(signal.SIGHUP)
        assert small(made, CALLER, "new").status == 200
        child.process.send_signal(signal.SIGTERM)
        assert child.exit_code() == 0
    assert PROVIDER_KEY not in child.text
    assert CALLER not in child.text
