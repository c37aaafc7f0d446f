"""`grammage policy evaluate`: the example comes out as said, each way is what it is called, and mistakes are told with row and column."""

import csv
import io
import json
import subprocess
from pathlib import Path

import pytest

from tests.contract.proxy_harness import GRAMMAGE

COOKBOOK = Path(__file__).resolve().parents[2] / "config" / "examples" / "policies"
EXAMPLE, LABELLED = COOKBOOK / "by-kind-and-region.yaml", COOKBOOK / "by-kind-and-region.labelled.csv"
HEAD = "alias,input_tokens,tag.stage,large.score,large.output_tokens,small.score,small.output_tokens,small.shortcoming"
ROWS = ("large,500,draft,0.9,300,0.8,300,", "large,500,draft,0.9,300,0.4,300,truncated", "large,500,final,0.9,300,0.8,300,")
MODELS = """
models:
  large: {deployments: [{provider: openai, model: gpt-4.1, api_key: k}]}
  small: {deployments: [{provider: openai, model: gpt-4.1-nano, api_key: k}]}
"""
DRAFTS = "when: {alias: large, tags: {stage: draft}}, prefer: {among: [small]}"


def grammage(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GRAMMAGE, "policy", "evaluate", *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)


def ways(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, float]]:
    assert done.returncode == 0, done.stderr
    return {row["way"]: row for row in json.loads(done.stdout)}


@pytest.fixture(name="labelled")
def _labelled(tmp_path: Path) -> Path:
    file = tmp_path / "set.csv"
    file.write_text("\n".join([HEAD, *ROWS]) + "\n")
    return file


def configured(tmp_path: Path, *policies: str) -> Path:
    file = tmp_path / "grammage.yaml"
    file.write_text(f"version: 1\n{MODELS}\npolicies:\n" + "".join(f"  - {{{each}}}\n" for each in policies))
    return file


def test_the_example_weighs_far_less_at_nearly_the_same_quality() -> None:
    done = grammage(LABELLED, "--config", EXAMPLE, "--format", "json")
    found = ways(done)
    assert list(found) == ["always large", "always small", "the policies", "mixed at random, same quality", "oracle"]
    large, policies, mixing = found["always large"], found["the policies"], found["mixed at random, same quality"]
    assert all(row["gco2e_low"] < row["gco2e"] < row["gco2e_high"] for row in found.values() if row is not mixing)
    assert policies["gco2e"] < 0.1 * large["gco2e"]
    assert policies["quality"] > 0.99 * large["quality"]
    assert policies["gco2e"] < 0.1 * mixing["gco2e"]
    assert mixing["quality"] == pytest.approx(policies["quality"])
    assert found["oracle"]["quality"] >= large["quality"]
    assert "modelled difference in attributed emissions of the policies against always large: -9" in done.stderr


def test_drafts_that_fall_short_escalate_and_weigh_both(tmp_path: Path, labelled: Path) -> None:
    plain = ways(grammage(labelled, "-c", configured(tmp_path, f"name: drafts, mode: enforce, {DRAFTS}"), "--format", "json"))
    config = configured(tmp_path, f"name: drafts, mode: enforce, {DRAFTS}, escalate: {{to: large}}")
    climbing = ways(grammage(labelled, "-c", config, "--format", "json"))
    large, small = plain["always large"]["gco2e"] / 3, plain["always small"]["gco2e"] / 3
    assert plain["the policies"]["gco2e"] == pytest.approx(2 * small + large)
    assert plain["the policies"]["quality"] == pytest.approx((0.8 + 0.4 + 0.9) / 3)
    assert (plain["the policies"]["moved"], plain["the policies"]["escalated"]) == (2, 0)
    assert climbing["the policies"]["gco2e"] == pytest.approx(2 * small + 2 * large)
    assert climbing["the policies"]["quality"] == pytest.approx((0.8 + 0.9 + 0.9) / 3)
    assert climbing["the policies"]["escalated"] == 1


def test_a_score_below_the_rows_own_threshold_escalates_too(tmp_path: Path) -> None:
    file = tmp_path / "set.csv"
    head = "alias,input_tokens,tag.stage,large.score,large.output_tokens,small.score,small.output_tokens,escalate_below"
    file.write_text(f"{head}\nlarge,500,draft,0.9,300,0.6,300,0.7\nlarge,500,draft,0.9,300,0.6,300,0.5\n")
    config = configured(tmp_path, f"name: drafts, mode: enforce, {DRAFTS}, escalate: {{to: large}}")
    assert ways(grammage(file, "-c", config, "--format", "json"))["the policies"]["escalated"] == 1


def test_policies_that_only_watch_are_looked_at_as_if_they_acted(tmp_path: Path, labelled: Path) -> None:
    done = grammage(labelled, "-c", configured(tmp_path, f"name: drafts, {DRAFTS}"), "--format", "json")
    assert ways(done)["the policies"]["moved"] == 2
    assert "looked at as if they acted: drafts" in done.stderr


def test_a_refused_call_is_counted_and_has_no_quality(tmp_path: Path, labelled: Path) -> None:
    refusing = "name: finals, mode: enforce, when: {tags: {stage: final}}, require: {region_in: [nowhere]}, otherwise: refuse"
    found = ways(grammage(labelled, "-c", configured(tmp_path, refusing), "--format", "json"))
    assert found["the policies"]["refused"] == 1
    assert found["the policies"]["quality"] == pytest.approx(0.9)
    assert found["the policies"]["gco2e"] == pytest.approx(found["always large"]["gco2e"] * 2 / 3)


def test_tables_and_csv_have_the_same_rows(tmp_path: Path, labelled: Path) -> None:
    config = configured(tmp_path, f"name: drafts, mode: enforce, {DRAFTS}")
    found = list(csv.DictReader(io.StringIO(grammage(labelled, "-c", config, "--format", "csv").stdout)))
    assert [row["way"] for row in found][:3] == ["always large", "always small", "the policies"]
    table = grammage(labelled, "-c", config)
    assert "mixed at random" in table.stdout
    assert "quality_at_least" in table.stderr


def test_a_model_is_suggested_for_each_value_of_a_tag() -> None:
    done = grammage(LABELLED, "-c", EXAMPLE, "--by", "tool", "--by", "stage", "--within", "1", "--format", "json")
    assert done.returncode == 0, done.stderr
    found = {row["group"]: row for row in json.loads(done.stdout)}
    assert len(found) == 10
    assert sum(row["calls"] for row in found.values()) == 400
    base = ways(grammage(LABELLED, "-c", EXAMPLE, "--format", "json"))["always large"]["quality"]
    given_up = -sum(row["calls"] * row["change"] for row in found.values()) / 400
    assert 0 < given_up <= 0.01 * base
    assert sum(row["gco2e"] for row in found.values()) < 0.5 * sum(row["gco2e_before"] for row in found.values())
    assert "the same rows suggested it" in done.stderr
    wrong = grammage(LABELLED, "-c", EXAMPLE, "--by", "campaign")
    assert wrong.returncode == 2
    assert "no row has a column tag.campaign" in wrong.stderr.replace("\n", " ").replace("│", "").replace("  ", " ")


def test_mistakes_are_told_with_row_and_column(tmp_path: Path, labelled: Path) -> None:
    config = configured(tmp_path, f"name: drafts, mode: enforce, {DRAFTS}")
    labelled.write_text("\n".join([HEAD, ROWS[0].replace("0.8", "good"), ROWS[1].replace("large", "", 1)]))
    done = grammage(labelled, "-c", config)
    assert done.returncode == 1
    assert "set.csv:2:6: small.score: 'good' is not a number from 0 to 1" in done.stderr
    assert "set.csv:3:1: alias: is empty" in done.stderr
    labelled.write_text("\n".join([HEAD, ROWS[0].replace("large", "huge", 1)]))
    assert "row 2: model 'huge' is not configured; known: large, small" in grammage(labelled, "-c", config).stderr
    assert grammage(tmp_path / "none.csv", "-c", config).returncode == 1


def test_a_model_that_would_serve_and_has_no_scores_is_told(tmp_path: Path) -> None:
    file = tmp_path / "set.csv"
    file.write_text("alias,input_tokens,tag.stage,large.score,large.output_tokens\nlarge,500,draft,0.9,300\n")
    done = grammage(file, "-c", configured(tmp_path, f"name: drafts, mode: enforce, {DRAFTS}"))
    assert done.returncode == 1
    assert "row 2: small would serve it and has no column small.score" in done.stderr
    assert "has no column tiny.score" in grammage(file, "-c", configured(tmp_path), "--large", "tiny").stderr
