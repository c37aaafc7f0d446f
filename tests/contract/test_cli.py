"""The command line as people and scripts use it: what it prints where, its exit codes, and that it stays light."""

import csv
import io
import json
import os
import socket
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from typer.testing import CliRunner, Result

from config.deployment import Alias, Deployment
from config.load import load_settings
from config.series import expected_series
from config.settings import Settings
from config.tables import load_tables
from proxy.cli import doctor as doctor_room
from proxy.cli.main import COMMANDS, app
from proxy.cli.output import Format, show_rows, two_digits
from proxy.metrics import Metrics
from tests.sample_records import call as call_record
from tests.serving import serve

OUTCOMES = ("ok", "client_error", "upstream_error", "client_left", "upstream_cut")

GRAMMAGE = str(Path(sys.executable).with_name("grammage"))
ESTIMATE = ["estimate", "--model", "gpt-4o-mini", "--input-tokens", "500", "--output-tokens", "300"]


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GRAMMAGE_CONFIG", "GRAMMAGE_UPSTREAM", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


def call(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments), prog_name="grammage")
    assert result.exit_code == code, result.output
    return result


def data(*arguments: str) -> Any:
    return json.loads(call(*arguments, "--format", "json").stdout)


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **settings}
    return subprocess.run([GRAMMAGE, *arguments], capture_output=True, text=True, timeout=60, env=environ, check=False)


def test_help_lists_every_command_without_importing_one() -> None:
    shown = call("--help").stdout
    assert all(name in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_exists_and_has_help(name: str) -> None:
    assert "Usage: grammage " + name in " ".join(call(name, "--help").stdout.split())


def test_version_goes_to_standard_output() -> None:
    assert call("--version").stdout == "grammage 0.1.0\n"


def test_an_unknown_command_is_a_usage_error_with_a_suggestion() -> None:
    assert "models" in call("modles", code=2).stderr
    assert "--modle" in call("estimate", "--modle", "x", code=2).stderr


def test_a_configuration_problem_is_text_on_standard_error_and_exit_code_1(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("redis: ${UNSET}\n")
    done = run("serve", "--config", str(tmp_path / "c.yaml"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "c.yaml:1:8: redis: environment variable UNSET is not set" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_foreign_config_package_is_named_instead_of_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text("x = 1\n")
    done = run("--help", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert str(tmp_path / "config.py") in done.stderr
    assert "Traceback" not in done.stderr


def test_completion_still_knows_commands_and_options() -> None:
    done = run(_GRAMMAGE_COMPLETE="complete_bash", COMP_WORDS="grammage mod", COMP_CWORD="1")
    assert done.stdout.split() == ["models"]
    done = run(_GRAMMAGE_COMPLETE="complete_bash", COMP_WORDS="grammage models --se", COMP_CWORD="2")
    assert done.stdout.split() == ["--search"]


def test_no_color_is_respected() -> None:
    assert "\x1b[" not in run("--help", NO_COLOR="1", TERM="xterm-256color").stdout


def test_init_writes_a_configuration_that_passes_the_check_and_is_not_overwritten(tmp_path: Path) -> None:
    call("init")
    file = tmp_path / "grammage.yaml"
    assert file.read_text().startswith("# yaml-language-server: $schema=./grammage.schema.json\n")
    jsonschema.Draft202012Validator.check_schema(json.loads((tmp_path / "grammage.schema.json").read_text()))
    assert load_settings(file, {}).models
    assert "ok: grammage.yaml" in call("check-config", "grammage.yaml").stdout
    file.write_text("mine")
    assert "--force" in call("init", code=1).stderr
    assert file.read_text() == "mine"
    call("init", "--force", "--no-schema", str(tmp_path))
    assert file.read_text() != "mine"


def test_init_where_nothing_can_be_written_says_so(tmp_path: Path) -> None:
    assert "cannot be written" in call("init", str(tmp_path / "absent" / "c.yaml"), code=1).stderr


def test_a_starter_configuration_sends_every_simulated_model_to_the_simulated_provider() -> None:
    call("init")
    listed = rows(call("check-config", "grammage.yaml", "--format", "csv").stdout)
    assert {row["alias"]: row["provider"] for row in listed} == {"sim-*": "simulated", "*": "openai"}


def test_a_region_that_is_not_known_is_named_with_a_suggestion(tmp_path: Path) -> None:
    (tmp_path / "g.yaml").write_text(
        "version: 1\nmodels: {a: {deployments: [{provider: azure, region: swedencentrl, api_base: 'https://a.b/v1'}]}}\n"
    )
    for said in (call("check-config", "g.yaml").stderr, call(*ESTIMATE, "--provider", "azure", "--region", "swedencentrl").stderr):
        assert "region 'swedencentrl' of azure is not in the tables: it is left out; did you mean swedencentral?" in said
    assert "azure has one of that name" in call(*ESTIMATE, "--region", "swedencentral").stderr
    assert "did you mean FR?" in call(*ESTIMATE, "--zone", "FRA").stderr
    assert "did you mean azure?" in call(*ESTIMATE, "--provider", "azur").stderr
    assert not call(*ESTIMATE, "--provider", "azure", "--region", "swedencentral", "--zone", "FR").stderr


def test_serve_refuses_what_it_cannot_use_before_it_listens() -> None:
    for options, code, said in (
        (("--ssl-certfile", "a.pem", "--ssl-keyfile", "b.pem"), 1, "TLS cannot be set up from a.pem and b.pem: No such file"),
        (("--log-level", "loud"), 2, "'loud' is not one of"),
    ):
        ended = run("serve", "--port", "0", *options)
        assert (ended.returncode, said in ended.stderr) == (code, True), ended.stderr
        assert "listens on" not in ended.stderr
        assert "Traceback" not in ended.stderr


def test_a_console_without_utf_8_gets_escapes_instead_of_an_error() -> None:
    ended = run("regions", "--provider", "gcp", "--format", "csv", PYTHONIOENCODING="ascii")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Z\\xfcrich" in ended.stdout


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_a_narrow_terminal_never_tears_a_figure_apart(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("proxy.cli.output.PIPED_WIDTH", width)
    columns = ("name", *(f"some_long_figure_{number}" for number in range(6)))
    show_rows([{"name": "a place", **dict.fromkeys(columns[1:], 0.00012345)}], columns, Format.TABLE)
    assert capsys.readouterr().out.count("0.00012") == 6


def test_the_schema_is_printed_as_json() -> None:
    assert json.loads(call("config", "schema").stdout)["title"] == "grammage configuration"


def test_check_config_shows_place_and_tier_of_each_alias(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(
        "tags: {brand: [a, b]}\n"
        "models:\n"
        "  small: {deployments: [{provider: azure, region: swedencentral, model: gpt-4o-mini, api_base: 'https://h/v1'}]}\n"
        "  '*': {deployments: [{provider: openai}]}\n"
    )
    found = data("check-config", "c.yaml")
    small, other = found["aliases"]
    assert (small["zone"], small["tier"], small["place_assumed"]) == ("SE-SE3", "D", False)
    assert (other["place_assumed"], other["tier"]) == (True, None)
    assert found["series"]["tag_combinations"] == 4
    assert found["ok"] is True
    assert rows(call("check-config", "c.yaml", "--format", "csv").stdout)[0]["alias"] == "small"


def test_check_config_shows_in_which_turn_deployments_serve(tmp_path: Path) -> None:
    rows_of_alias = "[{provider: openai, weight: 3}, {provider: mistral, order: 1, weight: 0.5}]"
    (tmp_path / "c.yaml").write_text(f"models: {{small: {{deployments: {rows_of_alias}}}}}")
    shown = [(row["provider"], row["order"], row["weight"]) for row in data("check-config", "c.yaml")["aliases"]]
    assert shown == [("openai", 0, 3), ("mistral", 1, 0.5)]
    assert "weight" in call("check-config", "c.yaml").stdout


def test_check_config_warns_of_machines_that_no_table_knows_and_says_which_are_known(tmp_path: Path) -> None:
    (tmp_path / "h.yaml").write_text(
        "models:\n"
        "  good: {deployments: [{provider: local, api_base: 'http://h/v1', hardware: {gpu: NVIDIA H100 80GB, precision: bfloat16}}]}\n"
        "  odd: {deployments: [{provider: local, api_base: 'http://h/v1', hardware: {gpu: h10, precision: fp7}}]}\n"
    )
    said = call("check-config", "h.yaml").stderr
    assert "models.odd: hardware: gpu 'h10' is not in the tables; did you mean h100?; known: a10, a100, b200" in said
    assert "models.odd: hardware: precision 'fp7' is not in the tables; did you mean fp" in said
    assert "bf16" in said
    assert "models.good: hardware" not in said


def test_an_estimate_on_known_machines_has_a_narrower_range_and_says_on_what(tmp_path: Path) -> None:
    asked = ("estimate", "-m", "llama-3.3-70b", "-i", "1000", "-o", "300", "--zone", "FR", "--exact")
    machines = ("--gpu", "NVIDIA H100", "--gpus", "4", "--precision", "fp8", "--batch", "32")
    plain, known = data(*asked), data(*asked, *machines)
    assert (plain["hardware"], known["hardware"]) == ({}, {"gpu": "NVIDIA H100", "gpus": 4, "precision": "fp8", "batch": 32})
    assert (plain["quality_parts"]["hardware"], known["quality_parts"]["hardware"]) == ("D", "C")
    assert known["gco2e"]["p95"] / known["gco2e"]["p5"] < plain["gco2e"]["p95"] / plain["gco2e"]["p5"]
    assert "machines   4 x NVIDIA H100, fp8, batch 32, as stated" in call(*asked, *machines).stdout
    assert "machines   2 x GPU, as stated" in call(*asked, "--gpus", "2").stdout
    assert "as stated" not in call(*asked).stdout
    for option, word, near in (("--gpu", "b2000", "b200"), ("--precision", "fp7", "fp8")):
        refused = " ".join(call(*asked, option, word, code=2).stderr.replace("│", " ").split())
        assert f"'{word}' is not in the tables" in refused
        assert near in refused


def test_check_config_without_a_file_checks_what_is_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "built-in defaults" in call("check-config").stdout
    (tmp_path / "named.yaml").write_text("auth: open")
    monkeypatch.setenv("GRAMMAGE_CONFIG", "named.yaml")
    assert "named.yaml; auth: open" in call("check-config").stdout


def test_check_config_reports_problems_with_line_and_column(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("server:\n  lisen: x\n")
    result = call("check-config", "bad.yaml", "--format", "json", code=1)
    assert json.loads(result.stdout)["problems"][0] | {"message": ""} == {
        "file": "bad.yaml",
        "line": 2,
        "column": 3,
        "key": "server.lisen",
        "message": "",
    }
    assert "bad.yaml:2:3: server.lisen: unknown key; did you mean `listen`?" in result.stderr


def test_check_config_reports_what_would_refuse_to_start(tmp_path: Path) -> None:
    (tmp_path / "open.yaml").write_text("server: {listen: ':1'}\nmodels: {a: {deployments: [{provider: openai, api_key: k}]}}\n")
    assert "anyone could spend them" in call("check-config", "open.yaml", code=1).stderr


def test_estimate_shows_every_line_with_its_range_and_what_it_means() -> None:
    shown = call(*ESTIMATE).stdout
    for words in (
        "facility energy",
        "water",
        "embodied",
        "quality",
        "factor set",
        "tokens@",
        "grid US",
        "is plausible under the stated assumptions",
    ):
        assert words in shown


def test_estimate_as_json_adds_up_and_names_its_sources() -> None:
    found = data(*ESTIMATE)
    assert found["gco2e"]["p5"] < found["gco2e"]["expected"] < found["gco2e"]["p95"]
    assert found["gco2e"]["expected"] == pytest.approx(
        found["operational_gco2e"]["expected"] + found["embodied_gco2e"]["expected"], rel=0.02
    )
    assert found["factor_set"].startswith(load_tables().factors.version)
    assert (found["weighed_as"], found["zone"], found["place_assumed"]) == ("gpt-4o-mini", "US", True)
    assert set(found["quality_parts"]) == {"usage", "model", "hardware", "zone"}


def test_estimate_is_lower_on_a_cleaner_grid_and_with_cached_input() -> None:
    plain = data(*ESTIMATE)["gco2e"]["expected"]
    clean = data(*ESTIMATE, "--provider", "azure", "--region", "swedencentral")
    assert (clean["place_assumed"], clean["gco2e"]["expected"] < plain) == (False, True)
    assert data(*ESTIMATE, "--cached-tokens", "500")["gco2e"]["expected"] < plain


def test_exact_counts_carry_less_doubt_than_a_forecast() -> None:
    forecast, exact = data(*ESTIMATE), data(*ESTIMATE, "--exact")
    assert exact["gco2e"]["p95"] / exact["gco2e"]["p5"] < forecast["gco2e"]["p95"] / forecast["gco2e"]["p5"]
    assert (forecast["quality_parts"]["usage"], exact["quality_parts"]["usage"]) == ("E", "A")


def test_estimate_of_an_unknown_model_is_tier_e_and_says_so() -> None:
    found = data("estimate", "--model", "nobody-knows-me", "--input-tokens", "5", "--output-tokens", "5")
    assert found["quality_parts"]["model"] == "E"
    assert "model-unknown" in found["warnings"]
    assert found["gco2e"]["expected"] > 0


def test_estimate_refuses_more_cached_than_input_tokens() -> None:
    assert "part of the input tokens" in " ".join(call(*ESTIMATE, "--cached-tokens", "501", code=2).stderr.replace("│", " ").split())


def test_estimate_of_nothing_is_nothing_and_says_so() -> None:
    shown = call("estimate", "--model", "gpt-4o", "--input-tokens", "0", "--output-tokens", "0", "--exact").stdout
    assert "NaN" not in shown
    assert "nan" not in shown.split()


def test_models_can_be_searched_and_carry_their_sources() -> None:
    found = data("models", "--search", "MISTRAL")
    assert found
    assert all("mistral" in f"{row['id']} {row['vendor']}".lower() for row in found)
    assert all(row["url"].startswith("https://") and row["tier"] in "BCDE" for row in found)
    assert len(rows(call("models", "--format", "csv").stdout)) == len(load_tables().catalogue.cards())
    assert "unknown model" in call("models", "-s", "nobody-knows-me", code=1).stderr


def test_models_can_be_searched_by_a_name_that_is_weighed_as_another() -> None:
    found = call("models", "--search", "sim-small", "--format", "csv")
    assert [row["id"] for row in rows(found.stdout)] == ["llama-3.1-8b"]
    assert "sim-small is weighed as llama-3.1-8b" in found.stderr


def test_regions_are_listed_by_provider_with_source_and_year() -> None:
    found = data("regions", "--provider", "azure")
    sweden = next(row for row in found if row["region"] == "swedencentral")
    assert (sweden["zone"], sweden["intensity_year"] > 2020, bool(sweden["intensity_source"])) == ("SE-SE3", True, True)
    assert "known: " in call("regions", "--provider", "nobody", code=1).stderr


def test_doctor_finds_nothing_wrong_in_a_sound_place(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("server: {listen: '127.0.0.1:0'}\n")
    found = data("doctor", "--config", "c.yaml")
    assert {row["state"] for row in found} == {"ok"}
    assert [row["check"] for row in found] == [
        "python",
        "packages",
        "configuration",
        "ledger",
        "spool",
        "clock",
        "port",
        "tables",
        "tokenizer",
    ]


def test_doctor_names_each_problem_with_a_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "c.yaml").write_text(f"server: {{listen: '{listen}'}}\nledger: {{url: 'sqlite:///absent/x.db'}}\n")
        found = json.loads(call("doctor", "--config", "c.yaml", "--format", "json", code=1).stdout)
    problems = {row["check"]: row["remedy"] for row in found if row["state"] == "problem"}
    assert set(problems) == {"ledger", "port"}
    assert all(problems.values())
    assert not (tmp_path / "absent").exists()


def test_doctor_reports_a_broken_configuration_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("nonsense: 1\n")
    found = json.loads(call("doctor", "--config", "c.yaml", "--format", "json", code=1).stdout)
    assert [row["check"] for row in found if row["state"] == "problem"] == ["configuration"]
    assert "tables" in [row["check"] for row in found]


def test_doctor_detects_a_foreign_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_room, "packages_distributions", lambda: {"config": ["config", "grammage"], "proxy": ["grammage"]})
    assert "config also installs" in doctor_room.packages().detail
    monkeypatch.setitem(sys.modules, "config", type(sys)("config"))
    assert "stands first on the path" in doctor_room.packages().remedy


def test_doctor_refuses_an_old_python() -> None:
    assert doctor_room.python_version((3, 10, 2)).remedy
    assert not doctor_room.python_version((3, 11, 0)).remedy


def test_doctor_live_asks_the_running_proxy_and_exits_3_when_nothing_answers() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        status = 200 if scope["path"] in ("/livez", "/readyz") else 404
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    with serve(application, lifespan="off") as url:
        assert data("doctor", "--live", url)[-1]["detail"].endswith("live and ready")
        assert json.loads(call("doctor", "--live", url + "/nowhere", "--format", "json", code=1).stdout)[-1]["state"] == "problem"
    assert json.loads(call("doctor", "--live", url, "--format", "json", code=3).stdout)[-1]["state"] == "problem"


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (0.0, "0"),
        (0.034567, "0.035"),
        (0.9999, "1.0"),
        (12.34, "12"),
        (99.6, "100"),
        (1234.5, "1,200"),
        (8.5e-7, "0.00000085"),
        (1.5e-9, "1.5e-09"),
        (-0.0345, "-0.035"),
    ],
)
def test_people_are_shown_two_significant_digits(number: float, shown: str) -> None:
    assert two_digits(number) == shown


def test_the_metrics_have_as_many_series_as_the_forecast_says() -> None:
    alias = Alias(deployments=[Deployment(provider="openai")])
    settings = Settings(tags={"brand": ["a", "b"], "market": ["fr"]}, models={"m": alias, "n": alias})
    metrics = Metrics(settings, load_tables())
    before = len(_samples(Metrics(Settings(), load_tables())))
    for name, brand, market, outcome in product("mn", ("a", "b", "new", ""), ("fr", "new", ""), OUTCOMES):
        tags = tuple((tag, value) for tag, value in (("brand", brand), ("market", market)) if value)
        metrics.observe(call_record(alias=name, tags=tags, operation="chat", outcome=outcome))
    grown = len(_samples(metrics)) - before
    forecast = expected_series(settings, [("m", "openai", "US"), ("n", "openai", "US")])
    assert grown - forecast.expected in range(3)  # the grid's own intensity, and a policy


def _samples(metrics: Metrics) -> list[str]:
    return [line for line in metrics.render("")[0].decode().splitlines() if not line.startswith("#")]
