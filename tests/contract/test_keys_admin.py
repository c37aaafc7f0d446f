"""The admin API of issued keys: who may use it, what it answers, and that what it changes holds at once."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.key_store import KeyStore
from tests.contract.proxy_harness import Answer, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream, whole
from tests.serving import free_port

REPLY = whole(b'{"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5}}')
ADMIN, CALLER, VIEWER = "gk-static-admin", "gk-static-caller", "gk-static-viewer"
KEYS = [
    {"key": ADMIN, "name": "boss", "role": "admin"},
    {"key": CALLER, "name": "team"},
    {"key": VIEWER, "name": "eyes", "role": "viewer"},
]


@pytest.fixture
def keyed(upstream: ScriptedUpstream, tmp_path: Path) -> Iterator[Proxy]:
    upstream.answers(*REPLY)
    served = {"deployments": [{"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": "sk-provider-azure-1"}]}
    with proxy(tmp_path, keys=KEYS, models={"*": served}) as made:
        made.headers = {"authorization": f"Bearer {ADMIN}"}
        yield made


def create(made: Proxy, **wish: Any) -> dict[str, Any]:
    answer = made.post("/admin/keys", wish)
    assert answer.status == 201, answer.body
    found: dict[str, Any] = answer.json
    return found


def chat(made: Proxy, key: str) -> Answer:
    return made.chat(ask(), authorization=f"Bearer {key}")


def test_a_key_works_as_soon_as_it_is_made_and_no_longer_than_it_is_revoked(keyed: Proxy) -> None:
    for round_ in range(5):
        new = create(keyed, name=f"studio-{round_}")
        assert chat(keyed, new["key"]).status == 200
        assert keyed.send("DELETE", f"/admin/keys/{new['id']}").status == 200
        refused = chat(keyed, new["key"])
        assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")
    assert {row["caller_id"] for row in keyed.calls()} == {f"studio-{round_}" for round_ in range(5)}


def test_a_key_is_shown_once(keyed: Proxy) -> None:
    made = keyed.post("/admin/keys", {"name": "studio", "tags": {"brand": "acme"}, "models": ["gpt-4o*"], "tokens_per_minute": 5000})
    assert made.value("cache-control") == "no-store"
    secret = made.json["key"]
    one = keyed.get(f"/admin/keys/{made.json['id']}")
    every = keyed.get("/admin/keys")
    for answer in (one, every, keyed.get("/admin/keys/studio"), keyed.get("/metrics")):
        assert answer.status == 200
        assert secret.encode() not in answer.body
        assert secret[3:20].encode() not in answer.body
    assert one.json == {name: value for name, value in made.json.items() if name != "key"}
    assert every.json["data"] == [one.json]
    assert one.json["tokens_per_minute"] == 5000


def test_a_rotated_key_and_the_one_before_it_both_work(keyed: Proxy) -> None:
    old = create(keyed, name="studio", expires="90d")
    answer = keyed.post("/admin/keys/studio/rotate", {"grace": "1h"})
    assert answer.status == 201
    new = answer.json
    assert [chat(keyed, key).status for key in (old["key"], new["key"])] == [200, 200]
    before = keyed.get(f"/admin/keys/{old['id']}").json
    assert (before["state"], before["replaced_by"]) == ("replaced", new["id"])
    last = keyed.send("POST", "/admin/keys/studio/rotate", b"", {"content-type": "application/json"}).json
    assert chat(keyed, last["key"]).status == 200
    assert len(keyed.send("DELETE", "/admin/keys/studio").json["data"]) == 3
    assert [chat(keyed, key["key"]).status for key in (old, new, last)] == [401, 401, 401]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/keys"),
        ("POST", "/admin/keys"),
        ("GET", "/admin/keys/studio"),
        ("DELETE", "/admin/keys/studio"),
        ("POST", "/admin/keys/studio/rotate"),
    ],
)
@pytest.mark.parametrize(("key", "status"), [(None, 401), ("nope-nope", 401), (CALLER, 403), (VIEWER, 403)])
def test_only_an_admin_may(keyed: Proxy, method: str, path: str, key: str | None, status: int) -> None:
    create(keyed, name="studio")
    keyed.headers = {"authorization": f"Bearer {key}"} if key else {}
    answer = keyed.send(method, path, b'{"name": "mine", "role": "admin"}', {"content-type": "application/json"})
    assert (answer.status, answer.error["type"]) == (status, "grammage_error")
    keyed.headers = {"authorization": f"Bearer {ADMIN}"}
    assert [row["state"] for row in keyed.get("/admin/keys").json["data"]] == ["active"]


def test_without_any_key_it_stays_closed_on_a_loopback_address_too(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with proxy(tmp_path, upstream.url) as made:
        for headers in ({}, {"authorization": "Bearer sk-a-providers"}):
            made.headers = headers
            assert made.post("/admin/keys", {"name": "mine", "role": "admin"}).status == 403
            assert made.get("/admin/keys").status == 403


def test_figures_are_nobodys_without_a_key_once_one_was_issued(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    ledger = f"sqlite:///{tmp_path / 'calls.db'}"
    made_key = ["keys", "create", "eyes", "--role", "viewer", "--ledger", ledger]
    viewer = CliRunner().invoke(app, made_key).stdout.strip()
    with proxy(tmp_path, upstream.url) as made:
        made.headers = {}
        assert [made.get("/metrics").status, made.post("/v1/impact", {"rows": []}).status] == [403, 403]
        made.headers = {"authorization": f"Bearer {viewer}"}
        assert made.get("/metrics").status == 200


def test_the_first_admin_key_comes_from_the_command_line(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    ledger = tmp_path / "calls.db"
    first = CliRunner().invoke(app, ["keys", "create", "boss", "--role", "admin", "--ledger", f"sqlite:///{ledger}"]).stdout.strip()
    with proxy(tmp_path, upstream.url, auth="keys") as made:
        made.headers = {"authorization": f"Bearer {first}"}
        create(made, name="second", role="admin")
        assert [row["name"] for row in made.get("/admin/keys").json["data"]] == ["boss", "second"]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"{", 400, "malformed_json", None),
        (b"[]", 400, "invalid_type", None),
        (b"{}", 400, "invalid_type", "name"),
        (b'{"name": 7}', 400, "invalid_type", "name"),
        (b'{"name": "x", "colour": "red"}', 400, "invalid_type", "colour"),
        (b'{"name": "x", "role": "owner"}', 400, "invalid_type", "role"),
        (b'{"name": "x", "requests_per_minute": "60"}', 400, "invalid_type", "requests_per_minute"),
        (b'{"name": "x", "requests_per_minute": 0}', 400, "invalid_type", "requests_per_minute"),
        (b'{"name": ""}', 400, "invalid_key_terms", "name"),
        (b'{"name": "team"}', 400, "invalid_key_terms", "name"),
        (b'{"name": "taken"}', 400, "invalid_key_terms", "name"),
        (b'{"name": "x", "expires": "soon"}', 400, "invalid_key_terms", "expires"),
        (b'{"name": "x", "expires": "2020-01-01"}', 400, "invalid_key_terms", "expires"),
        (b'{"name": "x", "brands": ["acme"]}', 400, "invalid_key_terms", "brands"),
        (b'{"name": "x", "models": []}', 400, "invalid_key_terms", "models"),
        (b'{"name": "x", "tags": {"Brand": "acme"}}', 400, "invalid_key_terms", "tags"),
    ],
)
def test_a_wish_that_cannot_be_is_said_in_the_envelope(keyed: Proxy, body: bytes, status: int, code: str, param: str | None) -> None:
    create(keyed, name="taken")
    answer = keyed.post("/admin/keys", body)
    assert (answer.status, answer.error["code"], answer.error["param"]) == (status, code, param)
    assert len(keyed.get("/admin/keys").json["data"]) == 1


def test_a_page_of_another_site_cannot_make_a_key(keyed: Proxy) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = keyed.send("POST", "/admin/keys", b'{"name": "mine"}', {"content-type": kind})
        assert (answer.status, answer.error["code"]) == (415, "unsupported_content_type")


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("DELETE", ""), ("POST", "/rotate")])
def test_a_key_that_is_not_there_is_404(keyed: Proxy, method: str, path: str) -> None:
    answer = keyed.send(method, f"/admin/keys/key_nobody{path}", b"{}", {"content-type": "application/json"})
    assert (answer.status, answer.error["code"]) == (404, "unknown_key")


def test_a_ledger_that_is_down_is_said_and_known_keys_go_on(keyed: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    new = create(keyed, name="studio")

    def fails(*_: object, **__: object) -> Any:
        raise LedgerUnavailable("disk I/O error")

    for name in ("all", "add", "marker"):
        monkeypatch.setattr(KeyStore, name, fails)
    answer = keyed.post("/admin/keys", {"name": "other"})
    assert (answer.status, answer.error["code"]) == (503, "ledger_unavailable")
    assert chat(keyed, new["key"]).status == 200


def test_the_admin_address_needs_no_key(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    port = free_port()
    upstream.answers(*REPLY)
    (tmp_path / "c.yaml").write_text(
        f"version: 1\nauth: keys\nserver: {{listen: '127.0.0.1:0'}}\nadmin: {{listen: '127.0.0.1:{port}'}}\n"
        f"models: {{'*': {{deployments: [{{provider: azure, api_base: '{upstream.url}/v1', api_key: sk-provider-azure-1}}]}}}}\n"
    )
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(tmp_path / "grammage.db")
        made.headers = {}
        assert made.get("/admin/keys").status == 401
        admin = Proxy(f"http://127.0.0.1:{port}", made.ledger, headers={})
        new = create(admin, name="studio")
        assert chat(made, new["key"]).status == 200
        browser = admin.post("/admin/keys", {"name": "mine", "role": "admin"}, origin=f"http://127.0.0.1:{port}")
        assert (browser.status, len(admin.get("/admin/keys").json["data"])) == (401, 1), "a page needs a key here too"
        child.process.send_signal(signal.SIGTERM)
        assert child.exit_code() == 0
    assert "key_" in child.text
    assert "issued by admin.listen" in child.text
    assert new["key"] not in child.text
    assert new["key"][3:20] not in child.text


def test_an_admin_address_that_others_can_reach_shows_figures_and_makes_no_key(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    port = free_port()
    text = f"version: 1\nserver: {{listen: '127.0.0.1:0'}}\nadmin: {{listen: '0.0.0.0:{port}'}}\nupstream: {upstream.url}/v1\n"
    (tmp_path / "c.yaml").write_text(text + f"keys: [{{key: {ADMIN}, name: boss, role: admin}}]\n")
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        assert child.proxy(tmp_path / "grammage.db").get("/metrics").status == 401
        admin = Proxy(f"http://127.0.0.1:{port}", tmp_path / "grammage.db", headers={})
        assert admin.get("/metrics").status == 200
        assert (admin.get("/admin/keys").status, admin.post("/admin/keys", {"name": "mine"}).status) == (401, 401)
        admin.headers = {"authorization": f"Bearer {ADMIN}"}
        assert create(admin, name="studio")["key"]


def test_the_admin_address_follows_a_reload(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    port = free_port()
    text = f"version: 1\nserver: {{listen: '127.0.0.1:0'}}\nadmin: {{listen: '127.0.0.1:{port}'}}\nupstream: {upstream.url}/v1\n"
    (tmp_path / "c.yaml").write_text(text)
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(tmp_path / "grammage.db")
        admin = Proxy(f"http://127.0.0.1:{port}", made.ledger, headers={})
        (tmp_path / "c.yaml").write_text(text + f"keys: [{{key: {ADMIN}, name: boss, role: admin}}]\n")
        child.process.send_signal(signal.SIGHUP)
        until(lambda: True if made.get("/admin/keys", authorization=f"Bearer {ADMIN}").status == 200 else None)
        assert admin.get("/admin/keys", origin="http://x", authorization=f"Bearer {ADMIN}").status == 200
        assert admin.post("/admin/keys", {"name": "boss"}).error["param"] == "name"


def test_its_answers_are_as_the_description_says(keyed: Proxy) -> None:
    document = keyed.get("/openapi.json").json
    paths = document["paths"]
    assert {name: sorted(set(paths[name]) - {"parameters"}) for name in paths if name.startswith("/admin/keys")} == {
        "/admin/keys": ["get", "post"],
        "/admin/keys/{key_id}": ["delete", "get"],
        "/admin/keys/{key_id}/rotate": ["post"],
    }
    new = create(keyed, name="studio", note="x")
    for name, found in (("NewKey", new), ("Key", keyed.get("/admin/keys/studio").json), ("KeyList", keyed.get("/admin/keys").json)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema.Draft202012Validator(schema).validate(found)
    assert set(json.loads(json.dumps(document["components"]["schemas"]["KeyRequest"]))["properties"]) >= {
        "name",
        "role",
        "expires",
        "brands",
    }
