"""`grammage budgets`: what it prints of each budget, in which form, and its exit codes."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from config.check import find_faults
from config.problem import dotted
from config.settings import Settings
from proxy.cli.main import app
from proxy.clock import Clock
from proxy.ledger.store import Store
from tests.contract.ledgers import open_store, record
from tests.sample_records import attempt, estimate


@pytest.fixture(autouse=True)
def _no_other_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAMMAGE_CONFIG", raising=False)


def run(folder: Path, budgets: list[dict[str, Any]], *arguments: str, ledger: bool = True, **sections: Any) -> Result:
    url = f"sqlite:///{folder / 'calls.db'}"
    (folder / "c.yaml").write_text(json.dumps({"version": 1, "ledger": {"url": url}, "budgets": budgets, **sections}))
    if ledger:
        store: Store = open_store(url)
        store.open_writer("commit")
        grams = estimate()
        weighed = grams._replace(gco2e=grams.gco2e._replace(p50=600 / grams.gco2e.mean * grams.gco2e.p50))
        now_ms = Clock().now_ms()
        store.write([record(1, started_ms=now_ms, attempts=(attempt(estimate=weighed),), tags=(("campaign", "noel-26"),))])
        store.close()
    return CliRunner().invoke(app, ["budgets", "--config", str(folder / "c.yaml"), *arguments])


NOEL = {"name": "noel", "match": {"campaign": "noel-26"}, "limit_kgco2e": 1, "period": "all"}


@pytest.mark.parametrize(("limit", "state", "code"), [(1.0, "ok", 0), (0.7, "soft", 0), (0.6, "exceeded", 1), (0.5, "exceeded", 1)])
def test_a_budget_is_shown_with_its_state_and_the_exit_code_says_when_one_is_exceeded(
    tmp_path: Path, limit: float, state: str, code: int
) -> None:
    done = run(tmp_path, [{**NOEL, "limit_kgco2e": limit}], "--format", "json", "--check")
    (line,) = json.loads(done.stdout)
    assert (line["state"], done.exit_code) == (state, code)
    assert (line["name"], line["match"], line["period"], line["ends"]) == ("noel", "campaign=noel-26", "all", None)
    assert line["used_kgco2e"] == pytest.approx(0.6)
    assert line["used_share"] == pytest.approx(0.6 / limit)
    assert line["reserved_kgco2e"] is None, "what calls under way have reserved is known to the proxy alone"
    assert run(tmp_path, [{**NOEL, "limit_kgco2e": limit}], ledger=False).exit_code == 0, "without --check it only shows"


def test_csv_has_every_column_and_the_table_the_ones_for_people(tmp_path: Path) -> None:
    (line,) = csv.DictReader(io.StringIO(run(tmp_path, [{**NOEL, "keys": "studio"}], "--format", "csv", auth="keys").stdout))
    assert (line["match"], line["begins"], line["unweighed"]) == ("campaign=noel-26 key=studio", "1970-01-01T00:00:00Z", "0")
    shown = run(tmp_path, [NOEL], ledger=False).stdout
    for word in ("noel", "campaign=noel-26", "limit", "0.60", "ok"):
        assert word in shown


def test_without_budgets_or_ledger_it_says_so(tmp_path: Path) -> None:
    none = run(tmp_path, [], "--format", "json")
    assert (none.exit_code, json.loads(none.stdout)) == (0, [])
    assert "no budgets" in none.stderr
    (tmp_path / "new").mkdir()
    missing = run(tmp_path / "new", [NOEL], ledger=False)
    assert missing.exit_code == 1
    assert "no ledger yet" in str(missing.exception)


def test_a_redis_that_cannot_be_reached_leaves_the_ledgers_figures(tmp_path: Path) -> None:
    done = run(tmp_path, [NOEL], "--format", "json", redis="redis://127.0.0.1:1/0")
    (line,) = json.loads(done.stdout)
    assert line["used_kgco2e"] == pytest.approx(0.6)
    assert "Redis cannot be reached" in done.stderr


def faults(**content: Any) -> dict[str, str]:
    return {dotted(each.path): each.message for each in find_faults(Settings.model_validate(content))}


def test_what_cannot_work_in_budgets_is_told_at_its_place() -> None:
    models = {"large": {"deployments": [{"provider": "openai"}]}, "small": {"deployments": [{"provider": "openai"}]}}
    keys = [{"name": "studio", "key": "key-of-studio"}]
    wrong = {"name": "b", "limit_kgco2e": 1, "match": {"Campaign": "x"}, "keys": ["studioo"], "smallest": ["smal", "gpt-*"]}
    found = faults(models=models, keys=keys, budgets=[wrong, {**NOEL, "name": "b", "keys": "agency"}])
    assert "names are unique" in found["budgets[1].name"]
    assert "lower-case" in found["budgets[0].match.Campaign"]
    assert "studio" in found["budgets[0].keys"]
    assert "pattern" in found["budgets[0].smallest"] or "no alias" in found["budgets[0].smallest"]
    assert "budgets[1].keys" not in found, "it may be the name of an issued key"
    good = {**NOEL, "keys": "studio", "on_exceed": "route_smallest", "smallest": "small"}
    assert faults(models=models, keys=keys, budgets=[good]) == {}
    assert "have no names" in faults(budgets=[{**NOEL, "keys": "studio"}])["budgets[0].keys"]
    assert "route_smallest" in faults(models=models, budgets=[{**NOEL, "smallest": "small"}])["budgets[0].smallest"]
