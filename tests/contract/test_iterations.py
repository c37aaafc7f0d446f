"""How often one thing may be made over: told, held, counted once per answer, and known again after a restart."""

import concurrent.futures
import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import yaml

from tests.contract.proxy_harness import GRAMMAGE, KEY, Proxy, ask, proxy, serve_command, until
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole
from tests.contract.test_policies import OK, STREAM, at, counted, decisions

FAILED = whole(b'{"error":{"message":"no"}}', status=b"500 Internal Server Error")
HERO = {"x_grammage_tag_asset": "hero"}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@contextlib.contextmanager
def house(folder: Path, upstream: ScriptedUpstream, **sections: Any) -> Iterator[Proxy]:
    upstream.answers(*OK)
    upstream.received.clear()
    rule = {"name": "enough", "mode": "enforce", "iterations": {"at_most": 2, **sections.pop("iterations", {})}, **sections.pop("rule", {})}
    models = {"large": {"deployments": [at(upstream.url, "gpt-4o")]}}
    with proxy(folder, models=models, policies=[rule], **sections) as made:
        yield made


def make(made: Proxy, **tags: str) -> Any:
    return made.chat(ask(model="large"), **(tags or HERO))


def test_answers_tell_how_often_an_asset_was_made_and_warn_beyond_it(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        assert [make(made).ours["iterations"] for _ in range(3)] == ["1/2", "2/2", "3/2"]
        assert make(made, x_grammage_tag_asset="other").ours["iterations"] == "1/2"
        assert make(made, x_grammage_tag_asset="hero", x_grammage_tag_brand="acme").ours["iterations"] == "1/2"
        assert "iterations" not in make(made, x_grammage_tag_stage="draft").ours
        assert [row["reason"] for row in decisions(made)] == ["", "", "iterations_exceeded", "", "", ""]
        assert counted(made, "grammage_iterations_exceeded_total", policy="enough") == 1


def test_a_hard_end_is_told_once_with_what_to_do(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, iterations={"hard": True}) as made, openai.OpenAI(base_url=made.v1, api_key=KEY) as client:
        for _ in range(2):
            client.chat.completions.create(**ask(model="large"), extra_headers={"x-grammage-tag-asset": "hero"})
        with pytest.raises(openai.ConflictError) as refused:
            client.chat.completions.create(**ask(model="large"), extra_headers={"x-grammage-tag-asset": "hero"})
        assert refused.value.code == "iterations_exceeded"
        assert "asset 'hero' be made 2 times, and this would be number 3; use what there is" in refused.value.message
        assert refused.value.response.headers["x-grammage-iterations"] == "3/2"
        assert len(upstream.received) == 2
        assert len(made.calls()) == 2
        assert counted(made, "grammage_iterations_exceeded_total", policy="enough") == 1, "the client must not try again"
        assert counted(made, "grammage_policy_decisions_total", action="refused", policy="enough") == 1


def test_only_answers_count(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, iterations={"hard": True}) as made:
        upstream.answers(*FAILED)
        assert [make(made).status for _ in range(3)] == [500, 500, 500]
        upstream.answers(*OK)
        assert make(made).ours["iterations"] == "1/2"
        assert make(made, **HERO, x_grammage_dry_run="true").status == 200
        assert make(made).ours["iterations"] == "2/2"
        assert [make(made).status for _ in range(2)] == [409, 409]


def test_calls_at_the_same_time_do_not_pass_a_hard_end(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, iterations={"hard": True, "at_most": 5}) as made:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            statuses = [answer.status for answer in pool.map(lambda _: make(made), range(24))]
        assert statuses.count(200) == 5
        assert statuses.count(409) == 19
        assert len(upstream.received) == 5


def test_a_restart_remembers(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        make(made)
        make(made, x_grammage_tag_asset="hero", x_grammage_tag_brand="acme")
        upstream.answers(*FAILED)
        make(made)
    with house(tmp_path, upstream, iterations={"hard": True}) as made:
        assert make(made).ours["iterations"] == "2/2"
        assert make(made).status == 409
        assert make(made, x_grammage_tag_asset="hero", x_grammage_tag_brand="acme").ours["iterations"] == "2/2"


def test_a_policy_that_watches_holds_nobody_back(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, iterations={"hard": True, "at_most": 1}, rule={"mode": "shadow"}) as made:
        assert ["iterations" in make(made).ours for _ in range(2)] == [False, False]
        assert [row["reason"] for row in decisions(made)] == ["", "iterations_exceeded"]
        assert counted(made, "grammage_iterations_exceeded_total", policy="shadow:enough") == 1
    with house(tmp_path, upstream, iterations={"hard": True, "at_most": 1}) as made:
        assert make(made).ours["iterations"] == "1/1", "what was only watched was not counted by the policy that acts"


def test_a_budget_at_its_end_lets_nobody_pass_a_hard_end(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    budget = {"name": "spent", "limit_kgco2e": 1e-12, "on_exceed": "route_smallest"}
    with house(tmp_path, upstream, iterations={"hard": True}, budgets=[budget]) as made:
        assert [make(made).status for _ in range(4)] == [200, 200, 409, 409]


def test_a_changed_configuration_keeps_count_of_calls_under_way(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()
    upstream.received.clear()
    upstream.script = lambda request: [go_on, *OK] if len(upstream.received) == 1 else OK
    config, rule = tmp_path / "g.yaml", {"name": "enough", "mode": "enforce", "iterations": {"at_most": 1, "hard": True}}
    simulated = {"deployments": [{"provider": "simulated", "model": "sim-small"}]}
    models = {"large": {"deployments": [at(upstream.url, "gpt-4o")]}, "sim": simulated}
    content: dict[str, Any] = {"version": 1, "server": {"listen": "127.0.0.1:0"}, "models": models, "policies": [rule]}
    config.write_text(json.dumps(content))
    with serve_command(tmp_path, "--config", str(config)) as child, concurrent.futures.ThreadPoolExecutor(1) as pool:
        made = child.proxy(tmp_path / "grammage.db")
        first = pool.submit(make, made)
        until(lambda: upstream.received or None)
        config.write_text(json.dumps({**content, "tagging": {"body": False}}))
        until(lambda: "footprint" not in made.chat(ask(model="sim")).json["usage"] or None)
        second = make(made)
        go_on.set()
        assert (first.result().status, second.status, len(upstream.received)) == (200, 409, 1)


def test_other_tags_may_be_counted_and_streams_count_when_they_end(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream, iterations={"tag": "campaign"}) as made:
        upstream.answers(*STREAM)
        streamed = made.chat(ask(model="large", stream=True), x_grammage_tag_campaign="noel")
        assert streamed.ours["iterations"] == "1/2"
        assert streamed.body.endswith(b"data: [DONE]\n\n")
        upstream.answers(*OK)
        assert make(made, x_grammage_tag_campaign="noel").ours["iterations"] == "2/2"


def test_a_report_by_campaign_says_what_each_is_for(tmp_path: Path, upstream: ScriptedUpstream) -> None:
    with house(tmp_path, upstream) as made:
        make(made, x_grammage_tag_campaign="noel-26")
        make(made, x_grammage_tag_campaign="other")
    config = tmp_path / "grammage.yaml"
    settings = {"version": 1, "campaigns": {"noel-26": {"purpose": "Product sheets of the Christmas range", "brand": "acme"}}}
    config.write_text(yaml.safe_dump({**settings, "ledger": {"url": f"sqlite:///{tmp_path / 'calls.db'}"}}))

    def report(form: str) -> str:
        command = [*GRAMMAGE, "report", "--by", "campaign", "--config", str(config), "--format", form]
        return subprocess.run(command, capture_output=True, check=True, text=True, env={"COLUMNS": "220", "PATH": "/usr/bin"}).stdout

    document = json.loads(report("json"))
    assert (document["by"], document["tag_name"]) == ("tag", "campaign")
    assert {group["group"]: (group["purpose"], group["brand"]) for group in document["groups"]} == {
        "noel-26": ("Product sheets of the Christmas range", "acme"),
        "other": (None, None),
    }
    assert "purpose" in report("csv").splitlines()[0]
    assert "Product sheets of the Christmas range" in report("table")
