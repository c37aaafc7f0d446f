"""`grammage score` as people and scripts use it: folders good and bad, adapters of strangers good and bad, EcoLogits beside."""

import csv
import importlib.metadata
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.main import app

LLM = (
    "row_id,dataset,task,model,family,arch,total_params_b,active_params_b,precision,gpu,num_gpus,max_batch,avg_batch,output_tokens_mean,"
    "j_per_output_token,avg_power_w,output_tok_per_s,median_itl_ms,reasoning,input_modality,source"
)
MEDIA = (
    "row_id,dataset,task,model,family,params_b_denoiser,precision,gpu,num_gpus,batch,height,width,frames,fps,steps,j_per_output,"
    "avg_power_w,batch_latency_s,source"
)
GOOD = """
NAME = "made up"

def predict(rows, *, kind, setting):
    print("noise of the adapter")
    assert setting == "blind" or all(row["gpu"] for row in rows)
    if kind != "llm":
        return [None] * len(rows)
    return [{"p50": 0.5, "low": 0.1, "high": 2.5, "mean": 0.6} for row in rows]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Invented rows: two models at three batches, one image model, one clip."""
    made = tmp_path / "measured"
    made.mkdir()
    measured = [("small", 8, 8, 0.5), ("small", 8, 64, 0.25), ("small", 8, 256, 0.125)]
    measured += [("big", 70, 8, 4), ("big", 70, 64, 1), ("big", 70, 128, 1)]
    llm = [
        f"L{n},mlenergy-v3,chat,v/{model},{model},dense,{size},{size},bfloat16,H100,1,{batch},{batch},400,{joules},300,100,20,0,text,s"
        for n, (model, size, batch, joules) in enumerate(measured)
    ]
    image = ["D0,mlenergy-v3,text-to-image,v/paint,paint,2,bfloat16,H100,1,4,1024,1024,1,,25,900,500,2,s"]
    video = ["D1,mlenergy-v3,text-to-video,tencent/HunyuanVideo,hunyuan,13,bfloat16,H100,1,1,720,1280,129,24,50,1000000,600,2000,s"]
    (made / "measured_llm_energy.csv").write_text("\n".join([LLM, *llm]) + "\n", encoding="utf-8")
    (made / "measured_image_energy.csv").write_text("\n".join([MEDIA, *image]) + "\n", encoding="utf-8")
    (made / "measured_video_energy.csv").write_text("\n".join([MEDIA, *video]) + "\n", encoding="utf-8")
    (made / "notes.csv").write_text("anything\n1\n", encoding="utf-8")
    return made


def adapter(tmp_path: Path, text: str) -> str:
    file = tmp_path / "theirs.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


def call(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["score", *arguments], prog_name="grammage")
    assert result.exit_code == code, result.output
    return result


def found(scores: list[dict[str, Any]], **facts: str) -> dict[str, Any]:
    wanted = {"breakdown": "all", "setting": "known", **facts}
    (only,) = [each for each in scores if all(each[name] == value for name, value in wanted.items())]
    return only


def test_a_strangers_adapter_is_judged_with_ecologits_beside(folder: Path, tmp_path: Path) -> None:
    shown = json.loads(call(str(folder), "--adapter", adapter(tmp_path, GOOD), "--against", "ecologits", "--format", "json").stdout)
    version = importlib.metadata.version("ecologits")
    assert shown["estimators"] == ["made up", f"EcoLogits {version}", f"EcoLogits {version} + true batch and GPUs"]
    assert shown["rows"] == {"llm": 6, "image": 1, "video": 1}
    theirs = found(shown["scores"], kind="llm", estimator="made up")
    assert (theirs["rows"], theirs["cells"], theirs["answered_ratio"]) == (6, 2, 1.0)
    assert theirs["median_factor"] == pytest.approx(2.0)
    assert theirs["coverage_ratio"] == pytest.approx((1 + 2 / 3) / 2)
    assert (theirs["worst_family"], theirs["median_high_over_low"]) == ("big", pytest.approx(25.0))
    assert found(shown["scores"], kind="llm", setting="blind", estimator="made up")["rows"] == 4
    assert found(shown["scores"], kind="image", estimator="made up")["answered_ratio"] == 0.0
    peer = found(shown["scores"], kind="video", estimator=f"EcoLogits {version}")
    assert (peer["answered_ratio"], peer["ranged_ratio"]) == (1.0, 1.0)
    assert found(shown["scores"], kind="image", estimator=f"EcoLogits {version}")["answered_ratio"] == 0.0


def test_json_and_csv_hold_every_breakdown_and_the_table_those_asked_for(folder: Path, tmp_path: Path) -> None:
    asked = (str(folder), "--adapter", adapter(tmp_path, GOOD), "--only")
    scores = json.loads(call(*asked, "--format", "json").stdout)["scores"]
    assert {each["breakdown"] for each in scores} == {"all", "gpus", "arch", "dataset", "task", "family"}
    rows = list(csv.DictReader(io.StringIO(call(*asked, "--format", "csv").stdout)))
    assert [row["part"] for row in rows] == [each["part"] for each in scores]
    plain, broken_down = call(*asked).stdout, call(*asked, "--by", "family").stdout
    assert "made up" in plain
    assert "small" not in plain.replace("smallest", "")
    assert "small" in broken_down
    assert "EcoLogits" not in plain


def test_what_the_adapter_prints_does_not_reach_standard_output(folder: Path, tmp_path: Path) -> None:
    assert "noise" not in call(str(folder), "--adapter", adapter(tmp_path, GOOD), "--only", "--format", "csv").stdout


def test_an_adapter_may_answer_with_objects_numbers_and_numpy_values(folder: Path, tmp_path: Path) -> None:
    text = """
from dataclasses import dataclass
from decimal import Decimal

@dataclass
class Answer:
    p50: object
    low: float = 0.1
    high: float = 9.0

def predict(rows, *, kind, setting):
    return [Answer(Decimal("0.5")), 0.5, Decimal("0.5"), {"p50": Decimal("0.5")}, None, 1][: len(rows)]
"""
    shown = json.loads(call(str(folder), "--adapter", adapter(tmp_path, text), "--only", "--format", "json").stdout)
    theirs = found(shown["scores"], kind="llm")
    assert shown["estimators"] == ["theirs"]
    assert (theirs["answered_ratio"], theirs["ranged_ratio"]) == (pytest.approx(5 / 6), pytest.approx(1 / 6))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "def predict(rows, *, kind, setting):\n    return [1 / (float(row['avg_batch']) - 256) for row in rows]",
            "theirs at {llm}:4 (v/small): ZeroDivisionError: float division by zero (theirs.py, line 2)",
        ),
        (
            "def predict(rows, *, kind, setting):\n    return [row['j_per_output_token'] for row in rows]",
            "theirs at {llm}:2 (v/small): KeyError: 'j_per_output_token' (theirs.py, line 2)",
        ),
        (
            "def predict(rows, *, kind, setting):\n    return [1.0, -1.0, 1.0, 1.0, 1.0, 1.0]",
            "theirs at {llm}:3 (v/small): the answer must be joules above 0, got -1",
        ),
        ("def predict(rows, *, kind, setting):\n    return [1.0]", "theirs: gave 1 answers to 6 rows of kind llm; give one per row"),
        (
            "def predict(rows, *, kind, setting):\n    if len(rows) > 1:\n        raise RuntimeError('too many')\n    return [1.0]",
            "theirs: RuntimeError: too many (theirs.py, line 3), on all 6 rows of kind llm (known) together",
        ),
        ("def predict(rows, *, kind, setting):\n    import sys\n    sys.exit(3)", "theirs at {llm}:2 (v/small): ended with code 3"),
        ("def predict(rows):\n    return [1.0] * len(rows)", "unexpected keyword argument 'kind'"),
        ("PREDICT = 1", "theirs.py has no function `predict(rows, *, kind, setting)`"),
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library' (theirs.py, line 1)"),
        ("def predict(:", "SyntaxError: invalid syntax (theirs.py, line 1)"),
    ],
)
def test_a_broken_adapter_is_one_line_that_names_the_row(folder: Path, tmp_path: Path, text: str, message: str) -> None:
    result = call(str(folder), "--adapter", adapter(tmp_path, text), "--only", code=1)
    assert result.stdout == ""
    assert message.format(llm=folder / "measured_llm_energy.csv") in result.stderr
    assert result.stderr.count("\n") == 1


def test_an_adapter_that_is_not_there_is_named(folder: Path, tmp_path: Path) -> None:
    assert "none.py is no file" in call(str(folder), "--adapter", str(tmp_path / "none.py"), "--only", code=1).stderr


def test_a_folder_without_measured_rows_is_refused(folder: Path, tmp_path: Path) -> None:
    theirs = adapter(tmp_path, GOOD)
    assert "holds none of measured_llm_energy.csv" in call(str(tmp_path), "--adapter", theirs, "--only", code=1).stderr
    for file in folder.glob("measured_*"):
        file.write_text(file.read_text(encoding="utf-8").splitlines()[0], encoding="utf-8")
    assert "holds no measured rows" in call(str(folder), "--adapter", theirs, "--only", code=1).stderr
    call(str(tmp_path / "nowhere"), code=2)


def test_a_faulty_row_is_named_by_file_line_and_column(folder: Path, tmp_path: Path) -> None:
    file = folder / "measured_llm_energy.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(",0.25,", ",cold,"), encoding="utf-8")
    result = call(str(folder), "--adapter", adapter(tmp_path, GOOD), "--only", code=1)
    assert f"{file}:3:j_per_output_token: must be a number above 0, got 'cold'" in result.stderr


def test_one_file_is_enough(folder: Path, tmp_path: Path) -> None:
    for name in ("measured_image_energy.csv", "measured_video_energy.csv"):
        (folder / name).unlink()
    shown = json.loads(call(str(folder), "--adapter", adapter(tmp_path, GOOD), "--only", "--format", "json").stdout)
    assert shown["rows"] == {"llm": 6}


def test_without_the_library_the_extra_is_named(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    theirs = adapter(tmp_path, GOOD)
    asked = call(str(folder), "--adapter", theirs, "--against", "ecologits", code=1)
    assert "pip install 'grammage[ecologits]'" in asked.stderr


def test_the_child_that_runs_an_adapter_knows_nothing_of_this_project() -> None:
    child = Path(__file__).parents[2] / "proxy" / "cli" / "score_stranger.py"
    ours = "[name for name in sys.modules if name.split('.')[0] in ('proxy', 'estimators', 'config')]"
    script = f"import runpy, sys; runpy.run_path({str(child)!r}); print({ours})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30, cwd="/")
    assert done.stdout.strip() == "[]"


def test_ours_is_judged_by_default_and_says_where_it_was_fitted(folder: Path) -> None:
    judged = call(str(folder), "--format", "json")
    shown = json.loads(judged.stdout)
    assert shown["estimators"][0] == "grammage"
    for kind in ("llm", "image", "video"):
        ours = found(shown["scores"], kind=kind, estimator="grammage")
        assert (ours["answered_ratio"], ours["ranged_ratio"]) == (1.0, 1.0)
    assert shown["in_sample_ratio"]["llm"] == 0.0
    file = folder / "measured_llm_energy.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(",small,", ",qwen,"), encoding="utf-8")
    assert "grammage was fitted on model families of 50% of the llm rows" in call(str(folder), "--only").stderr


def test_ours_declines_text_of_unknown_size(folder: Path) -> None:
    file = folder / "measured_llm_energy.csv"
    file.write_text(file.read_text(encoding="utf-8").replace(",70,70,", ",,,"), encoding="utf-8")
    shown = json.loads(call(str(folder), "--format", "json").stdout)
    assert [found(shown["scores"], kind="llm", estimator=name)["answered_ratio"] for name in shown["estimators"]] == [0.5, 0.5, 0.5]


def test_a_strangers_adapter_stands_beside_ours_by_default(folder: Path, tmp_path: Path) -> None:
    shown = json.loads(call(str(folder), "--adapter", adapter(tmp_path, GOOD), "--format", "json").stdout)
    assert shown["estimators"][:3] == ["made up", "grammage", f"EcoLogits {importlib.metadata.version('ecologits')}"]
