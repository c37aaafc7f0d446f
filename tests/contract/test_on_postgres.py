"""The whole proxy and its commands on PostgreSQL, also while that is gone. It must never need a server that was there before."""

import json
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.main import app
from proxy.errors import StartError
from proxy.keys import keyring
from proxy.ledger.columns import REVISIONS
from tests.contract.ledger_rows import ask_ledger, stored_calls
from tests.contract.ledgers import open_store, records
from tests.contract.postgres_server import PostgresServer
from tests.contract.proxy_harness import GRAMMAGE, Child, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream, whole

REPLY = whole(b'{"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5}}')


@pytest.fixture(autouse=True)
def _no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAMMAGE_CONFIG", raising=False)


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database("ledger") as made:
        yield made


@pytest.fixture
def bare_url(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database() as made:
        yield made


@pytest.fixture
def quick(url: str, tmp_path: Path, upstream: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy that takes keys of its own alone, and looks for changed keys more often."""
    monkeypatch.setattr(keyring, "LOOK_EVERY_S", 0.02)
    monkeypatch.chdir(tmp_path)  # where its spool stands
    upstream.answers(*REPLY)
    with proxy(tmp_path, auth="keys", models={"*": {"deployments": [deployment(upstream)]}}, ledger={"url": url}) as made:
        made.headers = {}
        yield made


def grammage(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments), prog_name="grammage")
    assert result.exit_code == code, result.output or result.exception
    return result


def configured(folder: Path, url: str, upstream: ScriptedUpstream) -> None:
    """A configuration in the folder."""
    upstream.answers(*REPLY)
    served = {"*": {"deployments": [deployment(upstream)]}}
    content = {"version": 1, "server": {"listen": "127.0.0.1:0"}, "ledger": {"url": url}, "models": served}
    (folder / "c.yaml").write_text(json.dumps(content))


def deployment(upstream: ScriptedUpstream) -> dict[str, str]:
    return {"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": "sk-provider-azure-1"}


def asked(made: Proxy, count: int) -> list[str]:
    """Ids of so many calls that were all answered."""
    answers = [made.chat(ask()) for _ in range(count)]
    assert [answer.status for answer in answers] == [200] * count
    return [answer.ours["call-id"] for answer in answers]


def arrived(url: str, count: int) -> None:
    """Returns once so many calls are in the ledger."""
    until(lambda: True if len(stored_calls(url)) == count else None)


def ended(child: Child) -> None:
    child.process.send_signal(signal.SIGTERM)
    assert child.exit_code() == 0, child.text


def test_the_schema_is_made_and_checked_by_the_commands(bare_url: str) -> None:
    missing = grammage("db", "check", "--ledger", bare_url, code=1)
    assert f"schema is missing, this version needs {REVISIONS[-1]}; run: grammage db upgrade" in missing.stderr
    for _ in range(2):
        grammage("db", "upgrade", "--ledger", bare_url)
    assert f"schema is {REVISIONS[-1]}, as this version needs it" in grammage("db", "check", "--ledger", bare_url).stderr


def test_a_proxy_makes_no_schema_by_itself(bare_url: str, tmp_path: Path, upstream: ScriptedUpstream) -> None:
    configured(tmp_path, bare_url, upstream)
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        assert child.exit_code() != 0
    assert "the ledger's schema is missing" in child.text
    assert "run: grammage db upgrade" in child.text


def test_calls_made_while_the_database_is_gone_come_back_once_each(
    postgres: PostgresServer, url: str, tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    configured(tmp_path, url, upstream)
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(tmp_path)
        ids = asked(made, 3)
        assert sorted(stored_calls(url)) == sorted(ids), "an answer leaves once its call is kept"
        for how in ("fast", "immediate"):
            with postgres.stopped(how):
                ids += asked(made, 4)
            arrived(url, len(ids))
            ids += asked(made, 1)
        found = made.get(f"/v1/footprint/{ids[3]}").json
        ended(child)
    assert Counter(stored_calls(url)) == Counter(dict.fromkeys(ids, 1))
    assert found["call_id"] == ids[3]
    assert child.text.count("the ledger takes no calls") == child.text.count("the ledger has taken every call that was set aside") == 2
    assert "INSERT" not in child.text
    assert list(tmp_path.glob("*.spool*")) == []
    document = json.loads(grammage("report", "--ledger", url, "--format", "json").stdout)
    assert document["total"]["calls"] == len(ids)


def test_calls_of_a_proxy_that_is_killed_while_the_database_is_gone_come_back_at_its_next_start(
    postgres: PostgresServer, url: str, tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    configured(tmp_path, url, upstream)
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        made = child.proxy(tmp_path)
        ids = asked(made, 2)
        with postgres.stopped("immediate"):
            ids += asked(made, 5)
            child.process.kill()
            child.exit_code()
            with serve_command(tmp_path, "--config", "c.yaml") as refused:
                assert refused.exit_code() != 0
            assert "cannot reach the ledger at postgresql://" in refused.text
    assert len(stored_calls(url)) == 2
    with serve_command(tmp_path, "--config", "c.yaml") as child:
        arrived(url, len(ids))
        ended(child)
    assert Counter(stored_calls(url)) == Counter(dict.fromkeys(ids, 1))
    assert list(tmp_path.glob("*.spool*")) == []


def test_keys_are_issued_rotated_and_revoked_beside_a_running_proxy(quick: Proxy, url: str) -> None:
    at = ("--ledger", url)
    first = grammage("keys", "create", "studio", "--tag", "brand=acme", *at).stdout.strip()
    becomes(quick, first, 200)
    assert "already" in grammage("keys", "create", "studio", *at, code=1).stderr
    second = grammage("keys", "rotate", "studio", "--grace", "0s", *at).stdout.strip()
    becomes(quick, first, 401)
    becomes(quick, second, 200)
    grammage("keys", "revoke", "studio", *at)
    becomes(quick, second, 401)
    rows = json.loads(grammage("keys", "list", "--all", "--format", "json", *at).stdout)
    assert [(row["name"], row["state"], row["tags"]) for row in rows] == [("studio", "revoked", {"brand": "acme"})] * 2
    assert rows[0]["replaced_by"] == rows[1]["id"]
    assert {row[0] for row in ask_ledger(url, "SELECT caller_id FROM calls")} == {"studio"}
    kept = str(ask_ledger(url, "SELECT * FROM keys"))
    assert first not in kept
    assert second not in kept


def test_keys_stay_in_force_while_the_database_is_gone(quick: Proxy, url: str, postgres: PostgresServer) -> None:
    secret = grammage("keys", "create", "studio", "--ledger", url).stdout.strip()
    becomes(quick, secret, 200)
    call_id = quick.chat(ask(), authorization=f"Bearer {secret}").ours["call-id"]
    with postgres.stopped():
        assert [quick.chat(ask(), authorization=f"Bearer {secret}").status for _ in range(3)] == [200] * 3
        assert quick.chat(ask(), authorization="Bearer gk-unknown").status == 401
        lost = quick.get(f"/v1/footprint/{call_id}", authorization=f"Bearer {secret}")
        assert (lost.status, lost.error["code"]) == (503, "ledger_unavailable")
    grammage("keys", "revoke", "studio", "--ledger", url)
    becomes(quick, secret, 401)


def becomes(made: Proxy, key: str, wanted: int) -> None:
    until(lambda: made.chat(ask(), authorization=f"Bearer {key}").status == wanted or None)


def test_of_commands_that_give_one_name_at_once_one_succeeds(url: str, tmp_path: Path) -> None:
    command = [*GRAMMAGE, "keys", "create", "studio", "--ledger", url]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) for _ in range(3)]
    outs = [each.communicate(timeout=60)[0] for each in racing]
    assert sorted(each.returncode for each in racing) == [0, 1, 1]
    assert sum(out.startswith(b"gk-") for out in outs) == 1


def test_a_call_whose_provider_names_such_a_model_is_recorded(quick: Proxy, url: str, upstream: ScriptedUpstream) -> None:
    secret = grammage("keys", "create", "studio", "--ledger", url).stdout.strip()
    becomes(quick, secret, 200)
    upstream.answers(*whole(b'{"model":"m\\u0000","usage":{"prompt_tokens":10,"completion_tokens":5}}'))
    call_id = quick.chat(ask(), authorization=f"Bearer {secret}").ours["call-id"]
    assert ask_ledger(url, "SELECT served_model FROM attempts WHERE call_id = :call_id", call_id=call_id) == [("m\ufffd",)]
    assert quick.get("/v1/footprint/%00", authorization=f"Bearer {secret}").status == 404


def test_what_is_said_of_a_server_that_is_not_there_shows_no_password(tmp_path: Path) -> None:
    gone = f"postgresql://me:hunter2@/ledger?host={tmp_path}"
    for command in (("db", "check"), ("db", "upgrade"), ("report",), ("keys", "list")):
        said = CliRunner().invoke(app, [*command, "--ledger", gone], prog_name="grammage")
        assert isinstance(said.exception, StartError)
        assert re.search(r"cannot reach the ledger at postgresql://me:\*\*\*@/ledger", str(said.exception))
        assert "hunter2" not in str(said.exception) + said.output
        assert "\n" not in str(said.exception)


def test_reports_and_lookups_leave_no_connection_behind(url: str) -> None:
    with closing(open_store(url)) as store:
        store.write(records(2))
    for _ in range(3):
        grammage("report", "--ledger", url, "--format", "json")
        grammage("db", "check", "--ledger", url)
        grammage("keys", "list", "--ledger", url)
    (count,) = ask_ledger(url, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")[0]
    assert count == 1, "this one"
