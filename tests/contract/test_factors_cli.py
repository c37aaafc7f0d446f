"""`grammage factors list | diff | verify` as people and scripts use them: what is printed where, and the exit codes."""

import csv
import io
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from config.factor_audit import audit, unknown_words
from config.factor_files import exported, read_factor_set
from config.factors import FACTOR_COLUMNS, Factor
from config.tables import load_tables
from proxy.cli.main import app

SHIPPED = load_tables().factors
DATA = Path(str(files("config").joinpath("data")))
A_ROW = SHIPPED["embodied.gpu_kgco2e"]


def call(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["factors", *arguments], prog_name="grammage")
    assert result.exit_code == code, result.output
    return result


def data(*arguments: str, code: int = 0) -> Any:
    return json.loads(call(*arguments, "--format", "json", code=code).stdout)


def saved(path: Path, *rows: Factor) -> str:
    path.write_text(json.dumps([exported(row) for row in rows]), encoding="utf-8")
    return str(path)


def test_a_list_as_json_holds_every_row_and_column() -> None:
    rows = data("list")
    assert {row["id"]: row for row in rows} == {factor.id: exported(factor) for factor in SHIPPED.values()}
    assert list(rows[0]) == list(FACTOR_COLUMNS)


def test_a_list_is_narrowed_by_prefix_unit_and_source() -> None:
    assert {row["id"].split(".")[0] for row in data("list", "embodied.")} == {"embodied"}
    assert {row["unit"] for row in data("list", "--unit", "kgCO2e/GPU")} == {"kgCO2e/GPU"}
    assert all("ecologits" in (row["source"] + row["note"]).lower() for row in data("list", "--source", "EcoLogits"))
    assert "no factor row" in call("list", "no-such-row", code=1).stderr
    assert "nowhere.csv: cannot be read: No such file" in call("diff", "nowhere.csv", code=1).stderr


def test_a_table_shows_value_range_unit_year_and_source() -> None:
    shown = call("list", "embodied.gpu_kgco2e").stdout
    for word in ("273", "164", "364", "kgCO2e/GPU", "2026", "EcoLogits"):
        assert word in shown


@pytest.mark.parametrize("form", ["json", "csv"])
def test_an_exported_list_can_be_read_again_and_does_not_differ(tmp_path: Path, form: str) -> None:
    file = tmp_path / f"export.{form}"
    file.write_text(call("list", "--format", form).stdout, encoding="utf-8")
    assert dict(read_factor_set(file)) == dict(SHIPPED)
    same = call("diff", str(file))
    assert (same.stdout, "no difference" in same.stderr) == ("", True)


def test_the_shipped_folder_does_not_differ_from_the_shipped_set() -> None:
    assert data("diff", str(DATA)) == []
    assert read_factor_set(DATA).fingerprint == SHIPPED.fingerprint


def test_a_difference_names_row_column_before_and_after(tmp_path: Path) -> None:
    other = replace(A_ROW, id="embodied.new")
    before = saved(tmp_path / "before.json", A_ROW, SHIPPED["embodied.lifetime_years"])
    after = saved(tmp_path / "after.json", replace(A_ROW, value=300.0, source="someone else", note="another note"), other)
    found = [(row["id"], row["change"], row["column"], row["before"], row["after"]) for row in data("diff", before, after)]
    assert found == [
        ("embodied.gpu_kgco2e", "changed", "value", "273.0", "300.0"),
        ("embodied.gpu_kgco2e", "changed", "source", A_ROW.source, "someone else"),
        ("embodied.lifetime_years", "removed", "", "4 [3 - 6] years", ""),
        ("embodied.new", "added", "", "", "273 [164 - 364] kgCO2e/GPU"),
    ]
    assert "1 added, 1 removed, 1 changed" in call("diff", before, after).stderr
    as_csv = list(csv.DictReader(io.StringIO(call("diff", before, after, "--format", "csv").stdout)))
    assert [row["change"] for row in as_csv] == ["changed", "changed", "removed", "added"]


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("gone.json", None, "gone.json"),
        ("bad.json", "{", "is not JSON"),
        ("bad.json", "{}", "must be a list"),
        ("bad.json", '[{"id": "x"}]', "row 1"),
        ("bad.json", json.dumps([{**exported(A_ROW), "low": 999}]), "low <= value"),
        ("bad.json", json.dumps([{**exported(A_ROW), "value": "much"}]), "value"),
        ("bad.csv", "id,value\n", "header"),
    ],
)
def test_a_set_that_cannot_be_read_is_said_so_without_a_traceback(tmp_path: Path, name: str, content: str | None, word: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_text(content, encoding="utf-8")
    for arguments in (("diff", str(file)), ("verify", "--from", str(file)), ("list", "--from", str(file))):
        result = call(*arguments, code=1)
        assert word in result.stderr
        assert not result.stdout


def test_a_sound_set_verifies_with_its_fingerprint(tmp_path: Path) -> None:
    result = call("verify", "--from", saved(tmp_path / "sound.json", A_ROW))
    assert (result.stdout, "1 rows, 0 problems, 0 warnings" in result.stderr) == ("", True)
    assert read_factor_set(tmp_path / "sound.json").fingerprint in result.stderr


SPOILED = [
    ({"unit": "stone/furlong"}, "stone, furlong"),
    ({"source": " "}, "has no source"),
    ({"licence": ""}, "has no licence"),
    ({"url": "http://example.org"}, "not an https address"),
    ({"value": 1.0}, "not within"),
]


@pytest.mark.parametrize(("change", "word"), SPOILED)
def test_a_spoiled_row_is_a_problem(change: dict[str, Any], word: str) -> None:
    assert audit({A_ROW.id: A_ROW}, None, 2000) == []
    (finding,) = audit({A_ROW.id: replace(A_ROW, **change)}, None, 2000)
    assert (finding.factor_id, finding.kind) == (A_ROW.id, "problem")
    assert word in finding.message


def test_a_problem_ends_the_check_with_exit_code_1(tmp_path: Path) -> None:
    bad = saved(tmp_path / "bad.json", A_ROW, replace(A_ROW, id="other", unit="stone"))
    found = data("verify", "--from", bad, code=1)
    assert [(row["id"], row["kind"]) for row in found] == [("other", "problem")]


def test_an_old_source_is_a_warning_and_no_problem(tmp_path: Path) -> None:
    old = saved(tmp_path / "old.json", A_ROW, replace(A_ROW, id="other", year=2015))
    assert [(row["id"], row["kind"]) for row in data("verify", "--from", old)] == [("other", "warning")]
    assert data("verify", "--from", old, "--stale-years", "20") == []


@pytest.mark.parametrize("page", ["`embodied.gpu_kgco2e`: making of a GPU", "`embodied.<unit>`: making of things"])
def test_a_row_must_be_described_by_its_name_or_a_pattern(page: str) -> None:
    assert audit({A_ROW.id: A_ROW}, page, 2000) == []


@pytest.mark.parametrize("page", ["", "embodied.gpu_kgco2e", "`<made>.<of>.<three>`"])
def test_a_row_that_the_methods_page_does_not_name_is_a_problem(page: str) -> None:
    (finding,) = audit({A_ROW.id: A_ROW}, page, 2000)
    assert "METHODS.md" in finding.message


def test_every_shipped_row_is_sound() -> None:
    problems = [finding for finding in audit(SHIPPED, None, 0) if finding.kind == "problem"]
    assert problems == []


@pytest.mark.parametrize("unit", ["-", "J/(token*1000 context tokens*sqrt(1e9 params))", "B/param", "1/s", "1e9 params", "gCO2e/kWh"])
def test_a_unit_is_read_word_by_word(unit: str) -> None:
    assert unknown_words(unit) == []
    assert unknown_words(f"{unit}*furlong") == ["furlong"]
