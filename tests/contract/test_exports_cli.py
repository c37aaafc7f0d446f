"""`grammage export --template`: sheets of a ledger that the real proxy filled, on either database, as the command writes them."""

import io
import json
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import yaml

from proxy.exports.scopes import PLACES
from proxy.exports.templates import TEMPLATES
from proxy.ledger.queries import Selection
from proxy.ledger.store import Store
from proxy.reports.summary import summarise
from tests.contract.exported_ledger import EVER, fill, fill_simulated
from tests.contract.ledger_rows import ON_A_FILE, ask_ledger
from tests.contract.past_calls import Weigher, settings_of
from tests.contract.scripted_upstream import ScriptedUpstream
from tests.contract.test_reweigh import grammage
from tests.impact_twin import recomputed

OURS = 1e-9
"""How far the twin may be from the report: rounding of sums."""


def exported(url: str, name: str, *options: str) -> Any:
    """What the command prints for a template, read."""
    done = grammage("export", "--template", name, *EVER, "--ledger", url, *options)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout) if name == "impact-framework" and "json" not in options else done.stdout


def total_of(url: str) -> Any:
    whole = summarise(url, Selection(by="model"), exact=True).whole
    assert whole.gco2e is not None
    return whole


def test_a_manifest_of_every_kind_of_call_recomputes_the_reports_total(url: str, tmp_path: Path, upstream: ScriptedUpstream) -> None:
    fill(url, tmp_path, upstream)
    fill_simulated(url, tmp_path / "simulated")
    manifest, whole = exported(url, "impact-framework"), total_of(url)
    assert recomputed(manifest)["carbon"] == pytest.approx(whole.gco2e.mean, rel=OURS)
    methods = {child["defaults"]["estimation-method"].partition("@")[0] for child in manifest["tree"]["children"].values()}
    assert {"tokens", "metered", "disclosed", "local", "spend", "image_tokens", "audio", "video", "embeddings"} <= methods
    assert {child["defaults"]["stratum"] for child in manifest["tree"]["children"].values()} == {"live", "imported", "simulated"}
    assert {child["defaults"]["profile"] for child in manifest["tree"]["children"].values()} == {"sci-consumer", "ghgp-cat1"}
    sheet = json.loads(exported(url, "ghgp-scope3", "--format", "json"))
    parts = {each["part"]: each["gco2e"]["mean"] for each in sheet["total_made_of"]}
    assert set(parts) == {"live", "imported", "simulated"}
    assert sum(parts.values()) == pytest.approx(whole.gco2e.mean, rel=OURS)
    assert {each["id"] for each in sheet["body"]["scopes"]} <= {place.id for place in PLACES}
    own = sheet["body"]["scope2"]
    assert own["location_based_gco2e"]["low"] < own["location_based_gco2e"]["mean"] < own["location_based_gco2e"]["high"]
    assert sheet["body"]["data_quality"]["primary_data_share"] > 0


@pytest.fixture
def filled(url: str, store: Store) -> str:
    """Thirty calls of two models, weighed as the proxy does."""
    weigher = Weigher(settings_of(), _tables())
    store.write([weigher.call(number, "large" if number % 3 else "small", input_tokens=100 + number) for number in range(30)])
    return url


def _tables() -> Any:
    from config.tables import load_tables

    return load_tables()


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_written_in_each_of_its_forms_and_languages(tmp_path: Path, name: str) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    fill_simulated(url, tmp_path / "simulated")
    for language in ("en", "fr"):
        for form in TEMPLATES[name].forms:
            out = tmp_path / f"{name}.{language}.{form}"
            done = grammage(
                "export",
                "--template",
                name,
                *EVER,
                "--ledger",
                url,
                "--format",
                form,
                "--lang",
                language,
                "--with-simulated",
                "--output",
                out,
            )
            assert done.returncode == 0, done.stderr
            assert out.stat().st_size > 500
            assert not done.stdout
    if "xlsx" in TEMPLATES[name].forms:
        english = openpyxl.load_workbook(io.BytesIO((tmp_path / f"{name}.en.xlsx").read_bytes())).sheetnames
        french = openpyxl.load_workbook(io.BytesIO((tmp_path / f"{name}.fr.xlsx").read_bytes())).sheetnames
        assert len(english) == len(french) > 5
        assert english != french


def test_simulated_calls_are_in_no_figure_and_the_command_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    fill_simulated(url, tmp_path / "simulated")
    done = grammage("export", "--template", "ghgp-scope3", *EVER, "--ledger", url, "--format", "json")
    assert "--with-simulated" in done.stderr
    body = json.loads(done.stdout)
    assert body["body"]["scopes"] == []
    assert [each["part"] for each in body["total_made_of"] if each["gco2e"]] == ["simulated"]
    counted = json.loads(exported(url, "ghgp-scope3", "--format", "json", "--with-simulated"))
    assert counted["body"]["scopes"][0]["gco2e"]["mean"] == pytest.approx(counted["report_total_gco2e"]["mean"])


def test_a_sheet_of_some_tags_holds_those_calls_alone(filled: str) -> None:
    whole = json.loads(exported(filled, "media-creation", "--format", "json", "--tag", "campaign=noel"))
    nobody = json.loads(exported(filled, "media-creation", "--format", "json", "--brand", "nobody"))
    assert whole["basis"]["scope"] == {"campaign": "noel"}
    assert sum(each["attempts"] for each in whole["body"]["lines"]) == 30
    assert nobody["body"]["lines"] == []


def test_a_declared_basis_restates_the_grid_of_france_and_nothing_else(tmp_path: Path, upstream: ScriptedUpstream, url: str) -> None:
    fill(url, tmp_path, upstream)
    yearly, declared = (json.loads(exported(url, "beges", "--format", "json", "--basis", name)) for name in ("yearly", "ademe-annual"))
    before, after = ({each["zone"]: each["gco2e_per_kwh"] for each in found["body"]["grid_factors"]} for found in (yearly, declared))
    assert before["FR"] != after["FR"]
    assert {zone: value for zone, value in before.items() if zone != "FR"} == {zone: value for zone, value in after.items() if zone != "FR"}
    assert declared["body"]["basis_of_electricity"] == "ademe-annual"
    parts = [each["gco2e"]["mean"] for each in declared["total_made_of"] if each["gco2e"]]
    assert sum(parts) == pytest.approx(declared["report_total_gco2e"]["mean"], rel=OURS)
    assert recomputed(exported(url, "impact-framework", "--basis", "ademe-annual"))["carbon"] == pytest.approx(sum(parts), rel=OURS)


def test_calls_that_are_kept_as_sums_alone_stand_in_a_line_of_their_own(filled: str) -> None:
    rolled = grammage("db", "rollup", "--ledger", filled)
    if rolled.returncode:
        pytest.skip(f"no command makes rollups: {rolled.stderr.splitlines()[-1]}")
    assert ask_ledger(filled, "SELECT COUNT(*) FROM rollups_hour") != [(0,)]


def test_months_are_those_of_the_time_zone(store: Store, url: str) -> None:
    midnight_ms = 1_793_491_200_000
    weigher = Weigher(settings_of(), _tables())
    store.write([weigher.call(number, started_ms=midnight_ms + at) for number, at in enumerate((-1_800_000, 1_800_000))])
    for zone, months in (("UTC", ["2026-10", "2026-11"]), ("Europe/Paris", ["2026-11"])):
        sheet = json.loads(exported(url, "ghgp-scope3", "--format", "json", "--time-zone", zone))
        assert [each["month"] for each in sheet["body"]["handover"]] == months, zone


@ON_A_FILE
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--template", "sci", "--format", "yaml"), "it has md, html, json, xlsx"),
        (("--template", "sci", "--audit-pack", "x.zip"), "one thing a run"),
        ((), "one thing a run"),
        (("--template", "sci", "--basis", "moon"), "ademe-annual"),
        (("--template", "sci", "--time-zone", "Moon/Crater"), "time zone"),
        (("--template", "sci", "--tag", "campaign"), "NAME=VALUE"),
        (("--template", "nothing"), "nothing"),
    ],
)
def test_what_cannot_be_written_is_told(filled: str, options: tuple[str, ...], said: str) -> None:
    done = grammage("export", *EVER, "--ledger", filled, *options)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.replace("│", " ").split())
