"""`grammage keys` and a proxy that knows of it: what is printed where, and what a key opens, until when."""

import contextlib
import csv
import hashlib
import io
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.main import app
from proxy.keys import keyring
from tests.contract.proxy_harness import GRAMMAGE, KEY, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream, whole

REPLY = whole(b'{"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5}}')
PROVIDER_KEY = "sk-provider-azure-1"


@pytest.fixture(autouse=True)
def _quick_to_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of these tests looks for changed keys more often; how often is not what they are about."""
    monkeypatch.setattr(keyring, "LOOK_EVERY_S", 0.02)
    monkeypatch.delenv("GRAMMAGE_CONFIG", raising=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "calls.db"


@pytest.fixture
def strict(upstream: ScriptedUpstream, tmp_path: Path, ledger: Path) -> Iterator[Proxy]:
    """A proxy that takes keys of its own alone, none of them in its configuration."""
    upstream.answers(*REPLY)
    served = {"deployments": [{"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": PROVIDER_KEY}]}
    with proxy(tmp_path, auth="keys", models={"*": served}) as made:
        made.headers = {}
        assert made.ledger == ledger
        yield made


def keys(ledger: Path, *arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["keys", *arguments, "--ledger", f"sqlite:///{ledger}"], prog_name="grammage")
    assert result.exit_code == code, result.output
    return result


def created(ledger: Path, *arguments: str) -> str:
    return keys(ledger, "create", *arguments).stdout.strip()


def listed(ledger: Path, *arguments: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(keys(ledger, "list", "--format", "json", *arguments).stdout)
    return rows


def status(made: Proxy, key: str, model: str = "gpt-4o-mini") -> int:
    return made.chat(ask(model=model), authorization=f"Bearer {key}").status


def becomes(made: Proxy, key: str, wanted: int) -> None:
    until(lambda: status(made, key) == wanted or None)


def test_a_key_stands_alone_on_standard_output(ledger: Path) -> None:
    result = keys(ledger, "create", "studio", "--expires", "90d")
    (line,) = result.stdout.splitlines()
    assert line.startswith("gk-")
    assert "shown this once" in result.stderr
    assert line not in result.stderr


def test_json_and_csv_hold_the_key_and_its_terms(ledger: Path) -> None:
    options = ("--tag", "campaign=noel-26", "--model", "gpt-4o*", "--rpm", "60", "--tpm", "1000", "--note", "for the agency")
    made = json.loads(created(ledger, "studio", *options, "--format", "json"))
    assert made["key"].startswith("gk-")
    assert (made["tags"], made["models"]) == ({"campaign": "noel-26"}, ["gpt-4o*"])
    assert (made["requests_per_minute"], made["tokens_per_minute"], made["note"]) == (60, 1000, "for the agency")
    viewer = ("eyes", "--role", "viewer", "--brand", "acme", "--brand", "zenith")
    (row,) = csv.DictReader(io.StringIO(created(ledger, *viewer, "--format", "csv")))
    assert (row["role"], row["brands"], row["key"][:3]) == ("viewer", "acme zenith", "gk-")


def test_a_key_is_in_no_file_and_no_list(ledger: Path) -> None:
    secret = created(ledger, "studio")
    shown = keys(ledger, "list", "--all").stdout + keys(ledger, "list", "--format", "json").stdout + keys(ledger, "list").stdout
    assert secret not in shown
    assert secret[3:20] not in shown
    for file in ledger.parent.iterdir():
        assert secret.encode() not in file.read_bytes()
        assert secret[3:20].encode() not in file.read_bytes()
    with contextlib.closing(sqlite3.connect(ledger)) as database:
        assert database.execute("SELECT hash FROM keys").fetchone()[0] == hashlib.sha256(secret.encode()).hexdigest()


def test_a_name_is_given_once_until_its_key_has_ended(ledger: Path) -> None:
    created(ledger, "studio")
    assert "already" in keys(ledger, "create", "studio", code=1).stderr
    keys(ledger, "revoke", "studio")
    created(ledger, "studio")
    assert [row["state"] for row in listed(ledger, "--all")] == ["revoked", "active"]
    assert [row["state"] for row in listed(ledger)] == ["active"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("create", "x", "--expires", "soon"), 2, "no moment"),
        (("create", "x", "--expires", "2020-01-01"), 1, "expired already"),
        (("create", "x", "--tag", "campaign"), 2, "name=value"),
        (("create", "x", "--tag", "Campaign=1"), 1, "tag name"),
        (("create", "x", "--brand", "acme"), 1, "viewer"),
        (("create", "x", "--role", "owner"), 2, "owner"),
        (("create", "x", "--rpm", "0"), 1, "requests_per_minute"),
        (("create", "key_x"), 1, "ids and records"),
        (("revoke", "nobody"), 1, "no key 'nobody'"),
        (("rotate", "nobody"), 1, "no key 'nobody'"),
        (("rotate", "x", "--grace", "soon"), 2, "length of time"),
    ],
)
def test_what_cannot_be_is_said_on_standard_error(ledger: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = keys(ledger, *arguments, code=code)
    assert said in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_a_name_of_the_configuration_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"version: 1\nledger: {{url: 'sqlite:///{tmp_path}/k.db'}}\nkeys: [{{name: team, key: gk-static-key}}]\n")
    result = CliRunner().invoke(app, ["keys", "create", "team", "--config", str(file)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "in the configuration" in result.stderr
    assert "gk-static-key" not in result.output
    assert CliRunner().invoke(app, ["keys", "create", "other", "--config", str(file)]).exit_code == 0
    assert (tmp_path / "k.db").exists()


def test_a_list_makes_no_ledger(ledger: Path) -> None:
    result = CliRunner().invoke(app, ["keys", "list", "--ledger", f"sqlite:///{ledger}"])
    assert result.exit_code == 1
    assert not ledger.exists()


def test_a_key_made_beside_a_running_proxy_opens_it_and_revoked_closes_it(strict: Proxy, ledger: Path, upstream: ScriptedUpstream) -> None:
    assert status(strict, "gk-unknown") == 401
    secret = created(ledger, "studio", "--tag", "brand=acme")
    becomes(strict, secret, 200)
    assert all(secret.encode() not in value for _, value in upstream.last.headers)
    row = strict.calls()[-1]
    assert (row["caller_id"], row["tags"]) == ("studio", '{"brand":"acme"}')
    keys(ledger, "revoke", "studio")
    becomes(strict, secret, 401)
    error = strict.chat(ask(), authorization=f"Bearer {secret}").error
    assert error["code"] == "invalid_api_key"
    assert "'studio' was revoked at" in error["message"]
    assert secret not in str(error)


def test_a_key_expires_by_itself(strict: Proxy, ledger: Path) -> None:
    secret = created(ledger, "brief", "--expires", "90d")
    becomes(strict, secret, 200)
    with contextlib.closing(sqlite3.connect(ledger)) as database, database:
        database.execute("UPDATE keys SET expires_ms = 1")
        database.execute("UPDATE ledger_meta SET value = 'moved' WHERE key = 'keys_changed'")
    becomes(strict, secret, 401)
    assert "'brief' expired at 1970-01-01" in strict.chat(ask(), authorization=f"Bearer {secret}").error["message"]


def test_both_keys_work_while_a_rotation_is_in_its_grace(strict: Proxy, ledger: Path) -> None:
    old = created(ledger, "studio", "--tag", "brand=acme")
    new = keys(ledger, "rotate", "studio", "--grace", "1h").stdout.strip()
    becomes(strict, new, 200)
    assert status(strict, old) == 200
    assert [row["caller_id"] for row in strict.calls()] == ["studio", "studio"]
    first, second = listed(ledger)
    assert (first["state"], first["replaced_by"], second["state"], second["tags"]) == (
        "replaced",
        second["id"],
        "active",
        {"brand": "acme"},
    )
    call_id = strict.chat(ask(), authorization=f"Bearer {old}").ours["call-id"]
    assert strict.get(f"/v1/footprint/{call_id}", authorization=f"Bearer {new}").status == 200, "the same holder"
    newest = keys(ledger, "rotate", second["id"], "--grace", "0s").stdout.strip()
    becomes(strict, new, 401)
    assert (status(strict, old), status(strict, newest)) == (200, 200)
    keys(ledger, "revoke", "studio")
    for key in (old, newest):
        becomes(strict, key, 401)


def test_a_key_is_bound_to_its_models_tags_and_role(strict: Proxy, ledger: Path) -> None:
    bound = created(ledger, "bound", "--model", "gpt-4o*", "--tag", "brand=acme")
    viewer = created(ledger, "eyes", "--role", "viewer")
    becomes(strict, bound, 200)
    assert (status(strict, bound, "gpt-4o"), status(strict, bound, "o3")) == (200, 403)
    strict.chat(ask(), authorization=f"Bearer {bound}", x_grammage_tag_brand="evil")
    assert strict.calls()[-1]["tags"] == '{"brand":"acme"}'
    becomes(strict, viewer, 403)
    assert strict.get("/metrics", authorization=f"Bearer {viewer}").status == 200
    assert strict.get("/metrics", authorization=f"Bearer {bound}").status == 403


def test_a_viewer_of_a_brand_sees_calls_of_that_brand_alone(strict: Proxy, ledger: Path) -> None:
    caller, viewer = created(ledger, "team"), created(ledger, "eyes", "--role", "viewer", "--brand", "acme")
    becomes(strict, viewer, 403)
    ids = {
        brand: strict.chat(ask(), authorization=f"Bearer {caller}", x_grammage_tag_brand=brand).ours["call-id"]
        for brand in ("acme", "zenith")
    }
    seen = {brand: strict.get(f"/v1/footprint/{call_id}", authorization=f"Bearer {viewer}").status for brand, call_id in ids.items()}
    assert seen == {"acme": 200, "zenith": 404}
    assert strict.get("/metrics", authorization=f"Bearer {viewer}").error["code"] == "admin_only"


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key"])
def test_a_key_of_ours_never_leaves_under_pass_through(upstream: ScriptedUpstream, tmp_path: Path, ledger: Path, name: str) -> None:
    upstream.answers(*REPLY)
    with proxy(tmp_path, upstream.url) as made:
        assert made.chat().status == 200, "a caller's own key passes as before"
        before = len(upstream.received)
        secret = created(ledger, "studio")
        for key in ("gk-made-up", secret[:-1] + "x"):
            for path in ("/v1/chat/completions", "/v1/responses", "/v1/files", "/v1/anything"):
                refused = made.send("POST", path, b'{"model":"m"}', presented(name, key))
                assert (refused.status, refused.error["code"]) == (401, "invalid_api_key")
        assert len(upstream.received) == before
        until(lambda: made.send("POST", "/v1/chat/completions", b'{"model":"m"}', presented(name, secret)).status == 200 or None)
        made.send("POST", "/v1/files", b"{}", presented(name, secret))
        sent = [value for request in upstream.received[before:] for _, value in request.headers]
        assert not [value for value in sent if secret.encode() in value or KEY.encode() in value], "the server needs no key, and sees none"


def presented(name: str, key: str) -> dict[str, str]:
    """The key in its place; elsewhere than in `authorization` beside a provider's key."""
    if name == "authorization":
        return {name: f"Bearer {key}"}
    return {name: key, "authorization": f"Bearer {KEY}"}


def test_a_key_of_ours_spends_the_deployments_key_under_pass_through(upstream: ScriptedUpstream, tmp_path: Path, ledger: Path) -> None:
    upstream.answers(*REPLY)
    served = {"deployments": [{"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": PROVIDER_KEY}]}
    with proxy(tmp_path, models={"m": served}) as made:
        secret = created(ledger, "studio")
        until(lambda: status(made, secret, "m") == 200 or None)
        assert upstream.last.value("api-key") == PROVIDER_KEY.encode()
        assert made.calls()[-1]["caller_id"] == "studio"


def test_keys_survive_a_proxy_that_is_killed(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*REPLY)
    (tmp_path / "c.yaml").write_text(
        f"version: 1\nauth: keys\nserver: {{listen: '127.0.0.1:0'}}\n"
        f"models: {{'*': {{deployments: [{{provider: azure, api_base: '{upstream.url}/v1', api_key: {PROVIDER_KEY}}}]}}}}\n"
    )
    ledger = tmp_path / "grammage.db"
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(ledger)
        secret, gone = created(ledger, "studio"), created(ledger, "gone")
        becomes(made, gone, 200)
        keys(ledger, "revoke", "gone")
        child.process.kill()
        child.exit_code()
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(ledger)
        assert (status(made, secret), status(made, gone)) == (200, 401)
    assert secret not in child.text


def test_of_two_commands_that_give_one_name_one_succeeds(tmp_path: Path, ledger: Path) -> None:
    created(ledger, "first")
    command = [*GRAMMAGE, "keys", "create", "studio", "--ledger", f"sqlite:///{ledger}"]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) for _ in range(3)]
    outs = [each.communicate(timeout=60)[0] for each in racing]
    assert sorted(each.returncode for each in racing) == [0, 1, 1]
    assert sum(out.startswith(b"gk-") for out in outs) == 1
    assert [row["name"] for row in listed(ledger)] == ["first", "studio"]


def test_the_help_of_keys_imports_no_database() -> None:
    script = "import proxy.cli.keys, sys; print([n for n in ('sqlalchemy', 'sqlite3', 'limits', 'msgspec', 'rich') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() in ("[]", "['rich']")
