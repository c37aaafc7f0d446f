"""Rules for Prometheus: read and tried by its own tools, each alert with a case that fires and one that does not. Skipped without them."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = sorted((DEPLOY / "rules").glob("*.yml"))
TESTS = sorted((DEPLOY / "tests").glob("*.yml"))
PROMTOOL, AMTOOL = shutil.which("promtool"), shutil.which("amtool")
SEVERITIES = {"critical", "warning", "info"}
needs_promtool = [
    pytest.mark.prom,
    pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed; it comes with Debian's prometheus"),
]


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for path in RULES for group in read(path)["groups"] for rule in group["rules"]]


ALERTS = sorted(rule["alert"] for rule in rules() if "alert" in rule)


def promtool(*arguments: object) -> str:
    assert PROMTOOL is not None
    command = [PROMTOOL, *map(str, arguments)]
    done = subprocess.run(command, cwd=DEPLOY, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class TestWithPromtool:
    pytestmark = needs_promtool

    def test_the_shipped_configuration_and_its_rules_are_accepted(self) -> None:
        said = promtool("check", "config", "prometheus.yml")
        assert f"{len(RULES)} rule files found" in said

    @pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
    def test_rules_are_accepted(self, path: Path) -> None:
        assert "SUCCESS" in promtool("check", "rules", path)

    @pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
    def test_alerts_fire_when_they_should_and_only_then(self, path: Path) -> None:
        assert "SUCCESS" in promtool("test", "rules", path)


@pytest.mark.skipif(AMTOOL is None, reason="amtool is not installed; it comes with Debian's prometheus-alertmanager")
def test_the_example_of_alertmanager_is_accepted() -> None:
    assert AMTOOL is not None
    done = subprocess.run([AMTOOL, "check-config", DEPLOY / "alertmanager.yml"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_of_alertmanager_knows_its_receivers_and_our_alerts() -> None:
    example = read(DEPLOY / "alertmanager.yml")
    known = {receiver["name"] for receiver in example["receivers"]}
    routes = [example["route"], *example["route"]["routes"]]
    assert {route["receiver"] for route in routes} == known
    named = [text for rule in example["inhibit_rules"] for side in ("source_matchers", "target_matchers") for text in rule[side]]
    for alert in (name for text in named for name in text.split('"')[1].split("|")):
        assert alert in ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_happened_and_what_to_do(alert: str) -> None:
    (rule,) = [rule for rule in rules() if rule.get("alert") == alert]
    assert set(rule["annotations"]) == {"summary", "description", "runbook"}
    assert all(len(text) > 20 for text in rule["annotations"].values())
    assert rule["labels"]["severity"] in SEVERITIES


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_has_a_case_that_fires_and_one_that_does_not(alert: str) -> None:
    outcomes = {bool(check["exp_samples"]) for check in checks() if f'alertname="{alert}"' in check["expr"]}
    assert outcomes == {True, False}


def checks() -> list[dict[str, Any]]:
    return [check for path in TESTS for case in read(path)["tests"] for check in case.get("promql_expr_test", [])]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_each_case_reads_the_rules_that_ship(path: Path) -> None:
    assert {(path.parent / name).resolve() for name in read(path)["rule_files"]} == set(RULES)
