"""`grammage export --template`: sheets of a ledger that the real proxy filled, on either database, as the command writes them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from config.settings import Settings
from config.tables import Tables, load_tables
from proxy.cli.export import export as export_command
from proxy.cli.export_template import ExportFormat, TemplateName
from proxy.exports.forms import FORMS
from proxy.exports.gather import gather
from proxy.exports.scopes import PLACES
from proxy.exports.templates import TEMPLATES, export_of
from proxy.ledger.prune import prune
from proxy.ledger.queries import Selection
from proxy.ledger.store import Store
from proxy.ledger.turn import taken_turn
from proxy.reports.asked import asked_for
from proxy.reports.summary import summarise
from tests.contract.exported_ledger import EVER, fill, fill_simulated
from tests.contract.ledger_rows import ask_ledger, change_ledger
from tests.contract.ledgers import STARTED_MS
from tests.contract.past_calls import Weigher, settings_of
from tests.contract.rolled_ledgers import HOUR_MS, rolled_up
from tests.contract.scripted_upstream import ScriptedUpstream
from tests.contract.test_reweigh import grammage
from tests.impact_twin import recomputed

OURS = 1e-6
"""How far the twin may be from the report: rounding of sums."""


def exported(url: str, name: str, *, with_simulated: bool = False, tags: Any = (), **words: str) -> Any:
    """The export of a template as machines read it: the manifest, or the plain values."""
    request = asked_for({"since": EVER[1], "until": EVER[3], "equivalences": "false", **words}, tags, 0)
    gathered = gather(url, request, Settings.model_validate({}), _tables(), with_simulated=with_simulated)
    export = export_of(name, gathered, "en")
    form = TEMPLATES[name].forms[0] if name == "impact-framework" else "json"
    return yaml.safe_load(FORMS[form].write(export))


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
    sheet = exported(url, "ghgp-scope3")
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


@cache
def _tables() -> Tables:
    return load_tables()


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ledger of calls that the simulated provider answered."""
    folder = tmp_path_factory.mktemp("simulated")
    url = f"sqlite:///{folder / 'ledger.db'}"
    fill_simulated(url, folder / "proxy")
    return url


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_is_written_in_each_of_its_forms_and_languages(simulated: str, tmp_path: Path, name: str) -> None:
    out, form = tmp_path / "made", TEMPLATES[name].forms[0]
    done = grammage("export", "--template", name, *EVER, "--ledger", simulated, "--lang", "fr", "--with-simulated", "--output", out)
    assert done.returncode == 0, done.stderr
    assert not done.stdout
    request = asked_for({"since": EVER[1], "until": EVER[3], "equivalences": "false"}, (), 0)
    gathered = gather(simulated, request, Settings.model_validate({}), _tables(), with_simulated=True)
    french, english = (export_of(name, gathered, code) for code in ("fr", "en"))
    assert [section.id for section in french.outline.sections] == [section.id for section in english.outline.sections]
    assert out.read_bytes()[:200].partition(b"\n")[0] == FORMS[form].write(french)[:200].partition(b"\n")[0]
    for export in (french, english):
        assert all(len(FORMS[each].write(export)) > 500 for each in TEMPLATES[name].forms)


def test_simulated_calls_are_in_no_figure_and_the_command_says_so(simulated: str) -> None:
    done = grammage("export", "--template", "ghgp-scope3", *EVER, "--ledger", simulated, "--format", "json")
    assert "--with-simulated" in done.stderr
    body = json.loads(done.stdout)
    assert body["body"]["scopes"] == []
    assert [each["part"] for each in body["total_made_of"] if each["gco2e"]] == ["simulated"]
    counted = exported(simulated, "ghgp-scope3", with_simulated=True)
    assert counted["body"]["scopes"][0]["gco2e"]["mean"] == pytest.approx(counted["report_total_gco2e"]["mean"])


def test_a_sheet_of_some_tags_holds_those_calls_alone(filled: str) -> None:
    whole = exported(filled, "media-creation", tags=(("campaign", ("noel",)),))
    nobody = exported(filled, "media-creation", tags=(("brand", ("nobody",)),))
    assert whole["basis"]["scope"] == {"campaign": "noel"}
    assert sum(each["attempts"] for each in whole["body"]["lines"]) == 30
    assert nobody["body"]["lines"] == []


def test_calls_that_were_given_a_tag_late_stand_in_its_line(filled: str) -> None:
    ((call_id,),) = ask_ledger(filled, "SELECT call_id FROM calls ORDER BY call_id LIMIT 1")
    change_ledger(filled, "INSERT INTO retags (call_id, name, created_ms, value) VALUES (:id, 'campaign', 1, 'soldes')", id=call_id)
    lines = exported(filled, "media-creation")["body"]["lines"]
    assert {each["campaign"]: each["attempts"] for each in lines} == {"noel": 29, "soldes": 1}


def test_a_declared_basis_restates_the_grid_of_france_and_nothing_else(tmp_path: Path, upstream: ScriptedUpstream, url: str) -> None:
    fill(url, tmp_path, upstream)
    yearly, declared = (exported(url, "beges", basis=name) for name in ("yearly", "ademe-annual"))
    before, after = ({each["zone"]: each["gco2e_per_kwh"] for each in found["body"]["grid_factors"]} for found in (yearly, declared))
    assert before["FR"] != after["FR"]
    assert {zone: value for zone, value in before.items() if zone != "FR"} == {zone: value for zone, value in after.items() if zone != "FR"}
    assert declared["body"]["basis_of_electricity"] == "ademe-annual"
    parts = [each["gco2e"]["mean"] for each in declared["total_made_of"] if each["gco2e"]]
    assert sum(parts) == pytest.approx(declared["report_total_gco2e"]["mean"], rel=OURS)
    assert recomputed(exported(url, "impact-framework", basis="ademe-annual"))["carbon"] == pytest.approx(sum(parts), rel=OURS)


def test_calls_that_are_kept_as_sums_alone_stand_in_a_line_of_their_own(filled: str) -> None:
    before = total_of(filled).gco2e.mean
    rolled_up(filled)
    with taken_turn(filled) as turn:
        assert turn is not None
        prune(turn, STARTED_MS + 2 * HOUR_MS)
    sheet = exported(filled, "ghgp-scope3")
    parts = {each["part"]: each["gco2e"] and each["gco2e"]["mean"] for each in sheet["total_made_of"]}
    assert parts == {"live": None, "imported": None, "simulated": None, "kept_as_sums": pytest.approx(before)}
    assert recomputed(exported(filled, "impact-framework"))["carbon"] == pytest.approx(before)


def test_months_are_those_of_the_time_zone(store: Store, url: str) -> None:
    midnight_ms = 1_793_491_200_000
    weigher = Weigher(settings_of(), _tables())
    store.write([weigher.call(number, started_ms=midnight_ms + at) for number, at in enumerate((-1_800_000, 1_800_000))])
    for zone, months in (("UTC", ["2026-10", "2026-11"]), ("Europe/Paris", ["2026-11"])):
        sheet = exported(url, "ghgp-scope3", time_zone=zone)
        assert [each["month"] for each in sheet["body"]["handover"]] == months, zone


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"form": ExportFormat.YAML}, "it has md, html, json, xlsx"),
        ({"audit_pack": Path("x.zip")}, "one thing a run"),
        ({"template": None}, "one thing a run"),
        ({"basis_name": "moon"}, "ademe-annual"),
        ({"time_zone": "Moon/Crater"}, "time zone"),
        ({"tag": ["campaign"]}, "NAME=VALUE"),
        ({"since": "2041"}, "is not before"),
    ],
)
def test_what_cannot_be_written_is_told(simulated: str, options: dict[str, Any], said: str) -> None:
    asked: dict[str, Any] = {"since": EVER[1], "until": EVER[3], "template": TemplateName.SCI, "ledger": simulated}
    with pytest.raises(typer.BadParameter, match=said):
        export_command(**(asked | options))


def test_the_commands_names_are_those_of_the_tables() -> None:
    assert [name.value for name in TemplateName] == list(TEMPLATES)
    assert {form.value for form in ExportFormat} == set(FORMS)
