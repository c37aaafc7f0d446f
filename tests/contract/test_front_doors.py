"""Every front door on the wire: base URLs without /v1, Azure's addresses, Anthropic's and Gemini's dialects; keys, errors, cuts."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.contract.endpoint_cases import CHAT, EMBEDDINGS, TRANSCRIPTIONS
from tests.contract.foreign_cases import CLAUDE, GEMINI, GENERATE, GENERATE_RECORDED, MESSAGES
from tests.contract.proxy_harness import KEY, Proxy, proxy, without_footprint
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, Received, ScriptedUpstream, head, scripted_upstream, streamed, whole

DATED = "2024-10-21"
OURS, PROVIDERS = "gk-caller-key-1", "sk-provider-key-1"
ASKED = {"contents": [{"parts": [{"text": "Hello"}]}]}


@pytest.fixture
def bare(tagging: Proxy) -> Proxy:
    """A client that sends no key by itself."""
    return Proxy(tagging.url, tagging.ledger, {})


def keyed(upstream: ScriptedUpstream, **deployment: Any) -> dict[str, Any]:
    """A configuration with one alias, `mine`, and a key of ours."""
    served = {"api_base": f"{upstream.url}/v1", "api_key": PROVIDERS, **deployment}
    return {"keys": [{"key": OURS, "name": "us"}], "models": {"mine": {"deployments": [served]}}}


def key_headers(request: Received) -> dict[str, str]:
    names = ("authorization", "x-api-key", "api-key", "x-goog-api-key")
    return {name: value.decode() for name in names if (value := request.value(name)) is not None}


@pytest.mark.parametrize("path", ["/chat/completions", "/v1//chat/completions/", "/v1/v1/chat/completions", "/openai/v1/chat/completions"])
def test_a_base_url_with_less_or_more_than_v1_is_metered_the_same(upstream: ScriptedUpstream, tagging: Proxy, path: str) -> None:
    upstream.answers(*whole(CHAT.answer))
    answer = tagging.send("POST", path, CHAT.sent(), CHAT.headers)
    assert without_footprint(answer.body) == CHAT.answer
    assert (upstream.last.target, upstream.last.body) == ("/v1/chat/completions", CHAT.sent())
    row = tagging.calls()[-1]
    assert (row["call_id"], row["path"], row["input_tokens"]) == (answer.ours["call-id"], "/v1/chat/completions", 12)


def test_the_sdk_works_without_v1_in_its_base_url(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    with openai.OpenAI(base_url=tagging.url, api_key=KEY, max_retries=0) as client:
        upstream.answers(*whole(CHAT.answer))
        assert client.chat.completions.create(**CHAT.ask).usage is not None
        upstream.answers(*whole(b"the file's bytes", kind=b"application/octet-stream"))
        assert client.files.content("file-1").content == b"the file's bytes"
    assert upstream.last.target == "/v1/files/file-1/content"


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/openapi.json"])
def test_our_own_pages_are_not_a_providers(upstream: ScriptedUpstream, tagging: Proxy, path: str) -> None:
    before = len(upstream.received)
    assert tagging.get(path).status == 200
    assert tagging.get("/nothing-here").error["code"] == "unknown_path"
    assert len(upstream.received) == before


def azure_client(made: Proxy, **more: Any) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(azure_endpoint=made.url, api_key=KEY, api_version=DATED, max_retries=0, **more)


def test_an_azure_client_reaches_a_provider_that_is_not_azure(upstream: ScriptedUpstream, bare: Proxy) -> None:
    upstream.answers(*whole(CHAT.answer))
    with azure_client(bare) as client:
        reply = client.chat.completions.create(**CHAT.ask)
    assert reply.usage is not None
    assert reply.usage.footprint["gco2e"] > 0
    assert upstream.last.target == "/v1/chat/completions"
    assert key_headers(upstream.last) == {"authorization": f"Bearer {KEY}"}
    assert json.loads(upstream.last.body) == {**CHAT.ask}


def test_the_deployment_in_an_azure_path_is_the_model(upstream: ScriptedUpstream, bare: Proxy) -> None:
    upstream.answers(*whole(CHAT.answer))
    with azure_client(bare, azure_deployment="gpt-4o-mini") as client:
        client.chat.completions.create(model="whatever", messages=[{"role": "user", "content": "Hello"}])
    assert json.loads(upstream.last.body)["model"] == "gpt-4o-mini"
    assert bare.calls()[-1]["alias"] == "gpt-4o-mini"


def test_an_azure_request_that_names_its_model_in_the_path_only_gets_it_into_the_body(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*whole(CHAT.answer))
    tagging.post("/openai/deployments/gpt-4o-mini/chat/completions?api-version=x&beta=1", {"messages": []})
    assert upstream.last.target == "/v1/chat/completions?beta=1"
    assert upstream.last.body == b'{"model":"gpt-4o-mini","messages": []}'
    upstream.answers(*whole(TRANSCRIPTIONS.answer))
    path = "/openai/deployments/whisper-1/audio/transcriptions"
    assert tagging.send("POST", path, TRANSCRIPTIONS.sent(), TRANSCRIPTIONS.headers).status == 200
    assert b"\r\n\r\nwhisper-1\r\n" in upstream.last.body
    assert tagging.calls()[-1]["alias"] == "whisper-1"


@pytest.mark.parametrize("stream", [False, True])
def test_an_azure_deployment_with_a_version_is_asked_in_its_dated_scheme(upstream: ScriptedUpstream, tmp_path: Path, stream: bool) -> None:
    upstream.script = lambda _: streamed(*CHAT.events) if stream else whole(CHAT.answer)
    section = keyed(upstream, provider="azure", api_base=upstream.url, model="dep 1", api_version=DATED)
    with proxy(tmp_path, **section) as made:
        made.headers = {"authorization": f"Bearer {OURS}"}
        made.chat({"model": "mine", "stream": stream, "messages": []}, x_grammage_tag_brand="acme")
        assert upstream.last.target == f"/openai/deployments/dep%201/chat/completions?api-version={DATED}"
        assert key_headers(upstream.last) == {"api-key": PROVIDERS}
        made.post("/openai/deployments/mine/chat/completions?api-version=2023-05-15", {"messages": []})
        assert upstream.last.target == f"/openai/deployments/dep%201/chat/completions?api-version={DATED}"
        made.post("/v1/responses", {"model": "mine", "input": "Hello"})
        assert upstream.last.target == f"/openai/responses?api-version={DATED}"
        assert [row["input_tokens"] for row in made.calls()[:2]] == [12, 12]


def test_an_azure_deployment_without_a_version_is_asked_at_its_newer_addresses(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*whole(EMBEDDINGS.answer))
    with proxy(tmp_path, **keyed(upstream, provider="azure", api_base=upstream.url)) as made:
        made.headers = {"api-key": OURS}
        with azure_client(made) as client, client.with_options(api_key=OURS) as named:
            named.embeddings.create(model="mine", input="Once")
        assert upstream.last.target == "/openai/v1/embeddings"
        assert key_headers(upstream.last) == {"api-key": PROVIDERS}
        made.post("/openai/v1/embeddings?api-version=preview", {"model": "mine", "input": "Once"})
        assert upstream.last.target == "/openai/v1/embeddings?api-version=preview"


@pytest.mark.parametrize("path", ["/v1/messages", "/messages", "/anthropic/v1/messages", "/v1/v1/messages"])
@pytest.mark.parametrize("place", ["x-api-key", "authorization"])
def test_a_messages_call_keeps_its_key_its_version_and_its_bytes(upstream: ScriptedUpstream, bare: Proxy, path: str, place: str) -> None:
    upstream.answers(*whole(MESSAGES.answer, (b"request-id", b"req_011")))
    value = f"Bearer {KEY}" if place == "authorization" else KEY
    named = {"anthropic-version": "2023-06-01", "anthropic-beta": "x-1", place: value, **MESSAGES.headers}
    answer = bare.send("POST", path + "?beta=true", MESSAGES.sent(), named)
    assert without_footprint(answer.body) == MESSAGES.answer
    assert answer.value("request-id") == "req_011"
    assert (upstream.last.target, upstream.last.body) == ("/v1/messages?beta=true", MESSAGES.sent())
    assert key_headers(upstream.last) == {place: value}
    assert (upstream.last.value("anthropic-version"), upstream.last.value("anthropic-beta")) == (b"2023-06-01", b"x-1")
    row = bare.calls()[-1]
    assert (row["input_tokens"], row["cached_input_tokens"], row["output_tokens"], row["upstream_request_id"]) == (
        2189,
        2048,
        305,
        "req_011",
    )


def test_our_own_key_opens_the_anthropic_door_and_the_deployments_goes_out(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*whole(MESSAGES.answer))
    with proxy(tmp_path, **keyed(upstream, provider="anthropic", model=CLAUDE)) as made:
        made.headers = {"x-api-key": OURS}
        answer = made.post("/v1/messages", {**MESSAGES.ask, "model": "mine"})
        assert answer.status == 200
        assert key_headers(upstream.last) == {"x-api-key": PROVIDERS}
        assert json.loads(upstream.last.body) == MESSAGES.ask
        made.headers = {"x-api-key": "gk-someone-else"}
        refused = made.post("/v1/messages", MESSAGES.ask)
        assert refused.status == 401
        assert refused.json["error"]["type"] == "authentication_error"


def test_the_user_of_a_messages_call_is_kept_as_a_keyed_hash_only(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*whole(MESSAGES.answer))
    tagging.post("/v1/messages", {**MESSAGES.ask, "metadata": {"user_id": "someone@example.com"}})
    hashed = tagging.calls()[-1]["user_hash"]
    upstream.answers(*whole(CHAT.answer))
    tagging.chat({**CHAT.ask, "user": "someone@example.com"})
    assert hashed == tagging.calls()[-1]["user_hash"] != "someone@example.com"
    tagging.post("/v1/messages", MESSAGES.ask)
    assert tagging.calls()[-1]["user_hash"] is None


ANTHROPIC_ERRORS = [
    (b"{", {}, 400, "invalid_request_error", "malformed_json"),
    (b'{"max_tokens":1}', {}, 400, "invalid_request_error", "missing_model"),
    (b'{"model":"claude-x"}', {"content-encoding": "br"}, 415, "invalid_request_error", "unsupported_content_encoding"),
    (b'{"model":"claude-x"}', {"content-length": str(10**9)}, 413, "request_too_large", "body_too_large"),
    (b'{"model":"claude-x"}', {"x-grammage-max-gco2e": "0"}, 422, "invalid_request_error", "carbon_limit_exceeded"),
    (b'{"model":"claude-x"}', {"via": "1.1 grammage"}, 508, "api_error", "loop_detected"),
]


@pytest.mark.parametrize(("body", "headers", "status", "kind", "code"), ANTHROPIC_ERRORS, ids=[row[4] for row in ANTHROPIC_ERRORS])
def test_our_errors_on_the_anthropic_door_are_anthropics(
    upstream: ScriptedUpstream, tagging: Proxy, body: bytes, headers: dict[str, str], status: int, kind: str, code: str
) -> None:
    before = len(upstream.received)
    answer = tagging.send("POST", "/v1/messages", [body] if "content-length" in headers else body, headers)
    assert answer.status == status
    assert set(answer.json) == {"type", "error", "request_id"}
    assert answer.json["type"] == "error"
    assert answer.json["error"]["type"] == kind
    assert answer.json["error"]["message"].startswith(f"{code}: ")
    assert len(upstream.received) == before


def test_our_errors_on_the_gemini_door_are_geminis(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with proxy(tmp_path, **keyed(upstream, provider="google-gemini")) as made:
        made.headers = {"x-goog-api-key": OURS}
        unknown = made.post("/v1beta/models/other:generateContent", ASKED)
        assert (unknown.status, unknown.json["error"]["status"], unknown.json["error"]["code"]) == (404, "NOT_FOUND", 404)
        assert set(unknown.json["error"]) == {"code", "message", "status"}
        made.headers = {}
        missing = made.post("/v1/models/mine:streamGenerateContent?alt=sse", ASKED)
        assert (missing.status, missing.json["error"]["status"]) == (401, "UNAUTHENTICATED")
        wrong = made.post("/v1beta/models/mine:countTokens?key=gk-wrong-key", ASKED)
        assert (wrong.status, wrong.json["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert b"gk-wrong-key" not in wrong.body


@pytest.mark.parametrize("path", ["/v1/messages", f"/v1beta/models/{GEMINI}:generateContent"])
def test_an_unreachable_provider_is_said_in_the_callers_dialect(tmp_path: Path, path: str) -> None:
    with proxy(tmp_path, "http://127.0.0.1:9") as made:
        answer = made.post(path, {**MESSAGES.ask, **ASKED})
    told = answer.json["error"]
    assert answer.status == 502
    assert told.get("type", told.get("status")) in ("api_error", "UNAVAILABLE")
    assert "upstream_unreachable: " in told["message"]


@pytest.mark.parametrize("path", [f"/v1beta/models/{GEMINI}:generateContent", f"/v1/models/{GEMINI}:generateContent"])
@pytest.mark.parametrize("in_query", [True, False])
def test_a_gemini_call_keeps_its_key_where_it_was_and_its_bytes(upstream: ScriptedUpstream, bare: Proxy, path: str, in_query: bool) -> None:
    upstream.answers(*whole(GENERATE.answer))
    target = f"{path}?key={KEY}&x=1" if in_query else path
    answer = bare.send("POST", target, GENERATE.sent(), {"x-goog-api-key": KEY} if not in_query else {})
    assert without_footprint(answer.body) == GENERATE.answer
    assert (upstream.last.target, upstream.last.body) == (target, GENERATE.sent())
    assert key_headers(upstream.last) == ({} if in_query else {"x-goog-api-key": KEY})
    row = bare.calls()[-1]
    assert {name: row[name] for name in ("input_tokens", "output_tokens", "served_model")} == {
        name: GENERATE_RECORDED[name] for name in ("input_tokens", "output_tokens", "served_model")
    }
    assert (row["alias"], row["caller_id"].startswith("key:")) == (GEMINI, True)


def test_a_key_in_the_query_reaches_neither_ledger_nor_log_nor_error(
    upstream: ScriptedUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    secret, answers = "AIzaSy-a-very-secret-key", []
    upstream.script = lambda _: [RESET]
    with caplog.at_level(logging.DEBUG), proxy(tmp_path, upstream.url) as made:
        made.headers = {}
        for path in (f"models/{GEMINI}:generateContent", f"models/{GEMINI}:countTokens", "files", "models/x:predict", "models/\udce9:x"):
            target = f"/v1beta/{path}?key={secret}".encode("utf-8", "replace").decode("latin-1")
            answers.append(made.post(target, ASKED))
        ledger = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert all(answer.status == 502 for answer in answers[:3])
    assert len(upstream.received) >= 4
    said = capfd.readouterr()
    texts = [caplog.text, said.out, said.err, *(answer.body.decode() + str(answer.headers) for answer in answers)]
    assert not [text for text in texts if secret in text]
    assert secret.encode() not in ledger


def test_our_key_in_the_query_stays_here_and_the_model_is_renamed_in_path_and_body(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*whole(GENERATE.answer))
    with proxy(tmp_path, **keyed(upstream, provider="google-gemini", api_base=f"{upstream.url}/v1beta", model="gemini-2.5-pro")) as made:
        made.headers = {}
        made.post(f"/v1/models/mine:generateContent?key={OURS}&alt=json", ASKED)
        assert upstream.last.target == "/v1/models/gemini-2.5-pro:generateContent?alt=json"
        assert key_headers(upstream.last) == {"x-goog-api-key": PROVIDERS}
        made.get(f"/v1beta/files?%6bey={OURS}&key={OURS}&pageSize=2")
        assert upstream.last.target == "/v1beta/files?pageSize=2"
        batch = {"requests": [{"model": "models/mine", "content": {"parts": [{"text": '"model":"models/mine"'}]}}]}
        made.post(f"/v1beta/models/mine:batchEmbedContents?key={OURS}", batch)
        assert upstream.last.target == "/v1beta/models/gemini-2.5-pro:batchEmbedContents"
        sent = json.loads(upstream.last.body)["requests"][0]
        assert (sent["model"], sent["content"]["parts"][0]["text"]) == ("models/gemini-2.5-pro", '"model":"models/mine"')
        assert [row["caller_id"] for row in made.calls()] == ["us", "us"]


def test_other_paths_of_a_dialect_pass_to_who_speaks_it(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*whole(b'{"ok":true}'))
    google = {"provider": "google-gemini", "api_base": f"{upstream.url}/v1beta", "api_key": "sk-google-key-1"}
    models = {"c": {"deployments": [{"provider": "anthropic", "api_base": f"{upstream.url}/a/v1", "api_key": PROVIDERS}]},
              "g": {"deployments": [google]}}  # fmt: skip
    with proxy(tmp_path, keys=[{"key": OURS, "name": "us"}], models=models) as made:
        made.headers = {"x-api-key": OURS, "anthropic-version": "2023-06-01"}
        made.post("/v1/messages/batches", {"requests": []})
        assert (upstream.last.target, key_headers(upstream.last)) == ("/a/v1/messages/batches", {"x-api-key": PROVIDERS})
        made.get("/v1/files?limit=1")
        assert upstream.last.target == "/a/v1/files?limit=1"
        made.headers = {"x-goog-api-key": OURS}
        made.get("/v1beta/cachedContents")
        assert (upstream.last.target, key_headers(upstream.last)) == ("/v1beta/cachedContents", {"x-goog-api-key": "sk-google-key-1"})
        made.send("POST", f"/upload/v1beta/files?key={OURS}", b"bytes")
        assert (upstream.last.target, upstream.last.body) == ("/upload/v1beta/files", b"bytes")
        assert [(row["path"], row["usage_source"]) for row in made.calls()] == [("/v1/messages/batches", None)]


def test_a_dialect_that_nobody_speaks_is_a_clear_error(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with proxy(tmp_path, **keyed(upstream, provider="openai")) as made:
        made.headers = {"x-goog-api-key": OURS}
        answer = made.get("/v1beta/cachedContents")
        assert (answer.status, answer.json["error"]["status"]) == (404, "NOT_FOUND")
        assert "gemini" in answer.json["error"]["message"]


def test_a_callers_own_key_of_another_dialect_never_reaches_a_stranger(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    models = {"mine": {"deployments": [{"provider": "openai", "api_base": f"{upstream.url}/v1"}]}}
    with proxy(tmp_path, models=models) as made:
        made.headers = {"x-api-key": "sk-ant-someones-own"}
        answer = made.post("/v1/messages", {**MESSAGES.ask, "model": "mine"})
        assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")
        made.headers = {}
        assert made.post("/v1beta/models/mine:generateContent?key=AIza-someones", ASKED).status == 401
    assert upstream.received == [] or all(b"someones" not in str(request.headers).encode() for request in upstream.received)


def test_a_deployment_that_speaks_both_dialects_is_asked_in_the_callers(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with proxy(tmp_path, **keyed(upstream, provider="inhouse", dialects=["openai", "anthropic"])) as made:
        made.headers = {"x-api-key": OURS}
        upstream.answers(*whole(MESSAGES.answer))
        made.post("/v1/messages", {**MESSAGES.ask, "model": "mine"})
        assert upstream.last.target == "/v1/messages"
        upstream.answers(*whole(CHAT.answer))
        made.chat({**CHAT.ask, "model": "mine"})
        assert upstream.last.target == "/v1/chat/completions"


MAKERS = {"/v1/messages": "api.anthropic.com", "/v1beta/models/g:generateContent": "generativelanguage.googleapis.com"}


def test_without_configuration_each_dialect_goes_to_its_maker(tmp_path: Path) -> None:
    with proxy(tmp_path) as made:
        made.headers = {"x-api-key": KEY, "x-goog-api-key": KEY}
        for path, host in MAKERS.items():
            answer = made.post(path, {**MESSAGES.ask, **ASKED})
            assert answer.status == 502
            assert host in answer.json["error"]["message"]
        assert {(row["path"], row["provider"]) for row in made.calls()} == {
            ("/v1/messages", "anthropic"),
            ("/v1beta/models/{model}:generateContent", "google-gemini"),
        }


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.mark.parametrize("between", ["/../", "/%2e%2e/", "%2F..%2F", "/./"])
def test_a_models_name_cannot_climb_to_another_models_address(upstream: ScriptedUpstream, tmp_path: Path, between: str) -> None:
    served = {"provider": "google-gemini", "api_base": f"{upstream.url}/v1beta", "api_key": PROVIDERS, "dialects": ["gemini"]}
    keys = [{"key": OURS, "name": "us", "models": ["small-*"]}]
    with proxy(tmp_path, keys=keys, models={"*": {"deployments": [served]}}) as made:
        made.headers = {"x-goog-api-key": OURS}
        before = len(upstream.received)
        answer = made.post(f"/v1beta/models/small-1{between}large:generateContent", ASKED)
        assert (answer.status, len(upstream.received)) == (404, before)


def test_a_key_of_ours_in_the_query_does_not_leave_beside_another_key(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*whole(b"{}"))
    with proxy(tmp_path, upstream.url) as made:
        made.headers = {"x-goog-api-key": KEY}
        before = len(upstream.received)
        answer = made.post("/v1beta/models/g:generateContent?key=gk-not-known", ASKED)
    assert (answer.status, len(upstream.received)) == (401, before)


def test_a_client_that_leaves_ends_the_providers_count(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.left.clear()
    upstream.answers(head(b"200 OK", [(b"content-type", b"application/json"), (b"content-length", b"100")]) + b"{", UNTIL_LEFT)
    body = json.dumps({"model": "claude-sonnet-4-5", "messages": []}).encode()
    with httpx.Client(base_url=tagging.url, timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        client.post("/v1/messages/count_tokens", content=body, headers={"x-api-key": KEY})
    assert upstream.left.wait(10)
