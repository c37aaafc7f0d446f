"""A new release on what the one before left: its ledger, its configuration. And what an older one says to a newer one's."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from proxy.ledger.columns import REVISIONS
from proxy.ledger.store import Store
from tests.contract.escalation_house import chat
from tests.contract.ledger_rows import change_ledger
from tests.contract.ledgers import records, sqlite_url
from tests.contract.logical_rows import made_at
from tests.contract.proxy_harness import serve_command
from tests.contract.scripted_upstream import ScriptedUpstream

ADMIN = "admin-key-0123456789"


def test_a_proxy_takes_over_the_ledger_of_the_release_before(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.answers(*chat())
    old = records(3)
    made_at(REVISIONS[-2], sqlite_url(tmp_path), old)
    config = tmp_path / "grammage.yaml"
    content = {
        "version": 1,
        "server": {"listen": "127.0.0.1:0"},
        "ledger": {"url": sqlite_url(tmp_path)},
        "keys": [{"name": "ops", "key": ADMIN, "role": "admin"}],
        "models": {"*": {"deployments": [{"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": "k-of-the-provider"}]}},
    }
    config.write_text(json.dumps(content))
    with serve_command(tmp_path, "--config", str(config)) as child:
        made = child.proxy(tmp_path / "ledger.db")
        made.headers = {"authorization": f"Bearer {ADMIN}"}
        kept = made.get(f"/v1/footprint/{old[1].call_id}")
        assert (kept.status, kept.json["call_id"]) == (200, old[1].call_id)
        new = made.chat().ours["call-id"]
        assert made.get(f"/v1/footprint/{new}").status == 200
        child.process.terminate()
        assert child.exit_code() == 0
    assert Store(sqlite_url(tmp_path)).revision() == REVISIONS[-1]
    told = CliRunner().invoke(app, ["report", "--ledger", sqlite_url(tmp_path), "--format", "json"], prog_name="grammage")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["total"]["calls"] == 4


def test_a_ledger_of_a_later_release_is_refused_and_left_alone(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    made_at(REVISIONS[-2], sqlite_url(tmp_path), records(1))
    with serve_command(tmp_path, "--upstream", f"{upstream.url}/v1", "--port", "0", "--ledger", sqlite_url(tmp_path)) as child:
        child.proxy(tmp_path / "ledger.db")
        child.process.terminate()
        assert child.exit_code() == 0
    change_ledger(sqlite_url(tmp_path), "UPDATE alembic_version SET version_num = '9999'")
    before = (tmp_path / "ledger.db").read_bytes()
    with serve_command(tmp_path, "--upstream", f"{upstream.url}/v1", "--port", "0", "--ledger", sqlite_url(tmp_path)) as child:
        assert child.exit_code() != 0
    assert "written by a newer version (schema 9999" in child.text
    assert (tmp_path / "ledger.db").read_bytes() == before


@pytest.mark.parametrize("version", ["2", "0", "'1.5'", "null"])
def test_a_configuration_of_another_version_says_what_to_do(tmp_path: Path, version: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(f"version: {version}\n")
    told = CliRunner().invoke(app, ["check-config", str(file)], prog_name="grammage")
    if version == "null":  # a line whose value is commented out means the default
        assert told.exit_code == 0
        return
    assert told.exit_code == 1
    assert "c.yaml:1:10: version: this grammage reads `version: 1`" in told.output
    assert "use the release that knows the other version" in told.output
