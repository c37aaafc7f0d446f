"""`grammage policy`: cases come out as the cookbook says, and one call's verdict is explained with its reasons."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.contract.proxy_harness import GRAMMAGE

COOKBOOK = Path(__file__).resolve().parents[2] / "config" / "examples" / "policies"
CASES = sorted(COOKBOOK.glob("*.cases.yaml"))


def grammage(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GRAMMAGE, *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_every_recipe_has_cases() -> None:
    recipes = {file.stem for file in COOKBOOK.glob("*.yaml") if not file.name.endswith(".cases.yaml")}
    assert recipes == {file.name.removesuffix(".cases.yaml") for file in CASES}
    assert len(recipes) >= 4


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.name)
def test_a_recipe_does_what_its_cases_say(file: Path) -> None:
    done = grammage("policy", "test", str(file), "--format", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {row["result"] for row in json.loads(done.stdout)} == {"ok"}


def test_a_case_that_comes_out_otherwise_is_shown_and_fails(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text(
        "cases:\n  - {name: stays, call: {alias: large, tags: {stage: draft}}, expect: {model: gpt-4o, altered: []}}\n"
        "  - {name: none such, call: {alias: huge}, expect: {action: none}}\n"
    )
    done = grammage("policy", "test", str(cases), "--config", str(COOKBOOK / "drafts-small.yaml"), "--format", "json")
    assert done.returncode == 1
    stays, gone = json.loads(done.stdout)
    assert stays["problem"] == "model is gpt-4o-mini, not gpt-4o; altered is [max_tokens], not []"
    assert "unknown_model" in gone["problem"]
    assert "0 of 2 cases" in done.stderr


def test_a_mistake_in_the_cases_is_told_at_its_line(tmp_path: Path) -> None:
    cases = tmp_path / "cases.yaml"
    cases.write_text("cases:\n  - name: a\n    call: {alis: large}\n    expect: {}\n")
    done = grammage("policy", "test", str(cases))
    assert done.returncode == 1
    assert "cases.yaml:3:12: cases[0].call.alis: unknown key; did you mean `alias`?" in done.stderr


def test_a_verdict_is_explained_with_forecasts_and_reasons() -> None:
    config = ("--config", str(COOKBOOK / "drafts-small.yaml"))
    done = grammage("policy", "explain", "--alias", "large", "--tag", "stage=draft", *config, "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["matched"], told["mode"], told["action"], told["altered"]) == ("drafts-go-small", "enforce", "routed", ["max_tokens"])
    assert [row["note"] for row in told["compared"]] == ["choice", "baseline"]
    first, second = told["compared"]
    assert first["gco2e"] < second["gco2e"]
    assert all(row["gco2e_low"] < row["gco2e"] < row["gco2e_high"] for row in told["compared"])
    assert told["rejected"] == ["azure/phi-4@eastus: quality_at_least"]
    table = grammage("policy", "explain", "-a", "large", "-t", "stage=draft", *config)
    assert "gpt-4o-mini" in table.stdout
    assert "not compared: azure/phi-4@eastus: quality_at_least" in table.stderr
    assert "no policy is for this call" in grammage("policy", "explain", "-a", "large", *config).stderr


def test_what_comes_before_a_model_is_explained_too() -> None:
    def told(recipe: str, *arguments: str) -> str:
        return grammage("policy", "explain", *arguments, "--config", str(COOKBOOK / f"{recipe}.yaml")).stderr

    mock_up = told("no-visuals-for-mock-ups", "-a", "visuals", "--operation", "images", "-t", "purpose=mock-up")
    assert "before a model is asked: offer elsewhere:wireframe-kit (409 until its caller accepts or declines it" in mock_up
    assert "run template:cards (it answers where it can)" in told("resize-not-regenerate", "-a", "writer", "-t", "stage=card")
    assert "counted: 3 answers at most" in told("few-iterations", "-a", "writer", "-t", "asset=sheet-1")
    text = ("-a", "large", "-t", "medium=text", "-t")
    assert "counted by budgets: noel-26-texts, house" in told("campaign-budget", *text, "campaign=noel-26")
    assert "purpose_missing: it carries neither the tag `purpose`" in told("campaign-budget", *text, "campaign=black-friday")


@pytest.mark.parametrize("wrong", [("--tag", "stage"), ("--body", "[]"), ("--body", "{"), ("--operation", "chatt")])
def test_what_cannot_be_read_is_a_wrong_use(wrong: tuple[str, str]) -> None:
    assert grammage("policy", "explain", "--alias", "large", *wrong).returncode == 2


def test_check_config_tells_what_no_deployment_has(tmp_path: Path) -> None:
    slip = (COOKBOOK / "low-carbon-regions.yaml").read_text().replace("zone_gco2e_per_kwh_at_most: 100", "region_in: [swedencentrall]")
    (tmp_path / "slip.yaml").write_text(slip)
    done = grammage("check-config", str(tmp_path / "slip.yaml"))
    assert done.returncode == 0
    assert "require.region_in: no deployment has swedencentrall; did you mean `swedencentral`?" in done.stderr
    assert "policies" not in grammage("check-config", str(COOKBOOK / "low-carbon-regions.yaml")).stderr
