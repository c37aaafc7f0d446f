"""`grammage simulate` as people use it: both languages, three formats, comparisons, errors, narrow terminals."""

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.main import app
from proxy.cli.speech import NARROW_SPACE, NO_BREAK_SPACE, Lang, Speech, read_texts

PLACEHOLDER = re.compile(r"\{(\w+)\}")
FORBIDDEN = re.compile(r"\b(sav(?:ed|ings?)|avoid(?:ed|s)?|neutral|green|économis\w*|évit(?:é|ées?|er)|neutre|vertes?)\b", re.IGNORECASE)
"""Words that no text about a difference may use."""

PLAN = """\
name: winter
model: gpt-4o
products: 1000
languages: 3
campaigns_per_year: 4
iterations: 2
retries: 0.1
input_tokens: 600
output_tokens: 400
images: {per_product: 1, model: gpt-image-1, quality: medium}
"""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    (tmp_path / "plan.yaml").write_text(PLAN)
    (tmp_path / "small.yaml").write_text(PLAN.replace("winter", "small").replace("model: gpt-4o\n", "model: gpt-4o-mini\n"))


def simulate(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["simulate", *arguments], prog_name="grammage")
    assert result.exit_code == code, result.output
    return result


def document(*arguments: str) -> Any:
    return json.loads(simulate(*arguments, "--format", "json").stdout)


def test_a_plan_in_flags_is_weighed_with_its_range() -> None:
    shown = simulate("--model", "gpt-4o-mini", "--products", "500", "--languages", "2", "-i", "500", "-o", "300").stdout
    assert "texts a year: 1,000 = 500 products x 2 languages" in shown
    assert "product and campaign" in shown
    assert "5th and 95th percentile" in shown
    assert "ADEME Impact CO2" in shown


def test_a_plan_of_pictures_alone_is_named_after_their_model() -> None:
    found = document("--model", "gpt-4o", "--texts-per-product", "0", "--images", "2", "--image-model", "stable-diffusion-xl")
    (scenario,) = found["scenarios"]
    assert scenario["name"] == "stable-diffusion-xl"
    assert set(scenario["per"]) == {"picture", "product", "campaign", "year"}
    assert [part["kind"] for part in scenario["parts"]] == ["pictures"]


def test_json_holds_every_unit_with_expected_p5_and_p95() -> None:
    found = document("--scenario", "plan.yaml")
    (scenario,) = found["scenarios"]
    assert (scenario["texts"], scenario["pictures"]) == (12_000, 4_000)
    assert set(scenario["per"]) == {"text", "picture", "product", "campaign", "year"}
    for lines in scenario["per"].values():
        for spread in lines.values():
            assert 0 < spread["p5"] < spread["expected"] < spread["p95"]
    assert {part["kind"] for part in scenario["parts"]} == {"texts", "pictures"}
    assert all(each["source"] and each["year"] for each in scenario["equivalents"])


def test_scenarios_are_compared_with_the_first() -> None:
    found = document("--scenario", "plan.yaml", "--scenario", "small.yaml", "--compare", "region=eu")
    assert [each["name"] for each in found["scenarios"]] == ["winter", "small", "region eu"]
    small = found["comparisons"][0]
    assert (small["scenario"], small["baseline"]) == ("small", "winter")
    difference = small["modelled_difference_gco2e"]
    assert difference["p5"] < difference["expected"] < difference["p95"] < 0
    years = [each["per"]["year"]["gco2e"]["expected"] for each in found["scenarios"]]
    assert difference["expected"] == pytest.approx(years[1] - years[0])


def test_models_can_be_compared_without_a_file() -> None:
    found = document("--compare", "model=gpt-4o,gpt-4o-mini", "-i", "500", "-o", "300")
    assert [each["name"] for each in found["scenarios"]] == ["gpt-4o", "gpt-4o-mini"]
    shown = simulate("--compare", "model=gpt-4o,gpt-4o-mini", "-i", "500", "-o", "300").stdout
    assert "Modelled difference in attributed emissions against baseline gpt-4o" in shown


def test_scenarios_of_the_same_name_are_told_apart() -> None:
    found = document("--scenario", "plan.yaml", "--scenario", "plan.yaml")
    assert [each["name"] for each in found["scenarios"]] == ["winter (1)", "winter (2)"]


def test_flags_change_every_scenario_file() -> None:
    found = document("--scenario", "plan.yaml", "--scenario", "small.yaml", "--languages", "5", "--image-size", "512x768")
    assert [each["scenario"]["languages"] for each in found["scenarios"]] == [5, 5]
    assert found["scenarios"][0]["scenario"]["images"]["height"] == 768


def test_csv_is_one_table() -> None:
    rows = list(csv.DictReader(io.StringIO(simulate("--scenario", "plan.yaml", "--scenario", "small.yaml", "--format", "csv").stdout)))
    assert {row["section"] for row in rows} == {"scenario", "difference", "advice"}
    assert all(float(row["p5"]) <= float(row["p95"]) for row in rows)


def test_advice_is_sorted_by_size_and_each_line_has_a_range() -> None:
    advice = document("--scenario", "plan.yaml")["advice"]
    assert {each["change"] for each in advice} >= {"iterations", "retries", "model", "answer"}
    expected = [each["modelled_difference_gco2e"]["expected"] for each in advice]
    assert expected == sorted(expected)
    assert all(each < 0 for each in expected)


def test_french_is_french_to_the_digit() -> None:
    shown = simulate("--scenario", "plan.yaml", "--lang", "fr").stdout
    assert f"textes par an{NO_BREAK_SPACE}: 12{NARROW_SPACE}000 = 1{NARROW_SPACE}000 produits x 3 langues x 4 campagnes" in shown
    assert "Différence modélisée" not in shown
    assert "différence modélisée d'émissions attribuées" in shown
    assert re.search(r"\d,\d", shown)
    assert "repas avec du bœuf" in shown


def test_no_line_breaks_before_french_double_signs_and_units() -> None:
    french = Speech(Lang.FR)
    assert not [key for key, text in french.texts.items() if re.search(r" [:;!?%»]|« |[\d}] (?:g|kg|t|Wh)\b", text)]
    assert french.say("study.set.frontier") == f"classe «{NO_BREAK_SPACE}frontier{NO_BREAK_SPACE}»"
    assert french.say("volume.calls", calls=1, iterations=2, retries=10).endswith(f"(+ 10{NARROW_SPACE}%)")
    assert Speech(Lang.EN).texts == read_texts(Lang.EN)


@pytest.mark.parametrize(("lang", "words"), [("en", "place assumed (region-assumed)"), ("fr", "lieu supposé (region-assumed)")])
def test_warnings_are_in_words_and_tiers_explained(lang: str, words: str) -> None:
    shown = simulate("--scenario", "plan.yaml", "--lang", lang).stdout
    assert words in shown
    assert re.search(r"^quali.* A .*; .*E ", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--products", "5"), "products"),
        (("--provider", "azure"), "provider"),
        (("--scenario", "plan.yaml"), "a scenario"),
        (("--compare", "model=gpt-4o"), "a scenario"),
    ],
)
def test_the_study_page_refuses_options_that_would_change_nothing(arguments: tuple[str, str], named: str) -> None:
    refused = " ".join(simulate("--preset", "study", *arguments, code=2).stderr.replace("│", " ").split())
    assert f"without effect: {named}" in refused


def test_the_study_page_takes_a_model_and_its_place() -> None:
    shown = simulate("--preset", "study", "--model", "mistral-small", "--provider", "scaleway", "--lang", "fr").stdout
    assert "mistral-small, comme demandé" in shown
    assert f"1{NARROW_SPACE}600 " in shown  # the hours of streaming today, in two digits


def test_the_study_page_stands_in_both_languages() -> None:
    english, french = (simulate("--preset", "study", "--lang", lang).stdout for lang in ("en", "fr"))
    assert "a reconstruction of ours, not its authors' method" in english
    assert "notre reconstruction, pas la méthode de ses auteurs" in french
    for shown, word in ((english, "yes"), (french, "oui")):
        assert re.search(rf"30 x (return flight|aller-retour).*{word}", shown)
        assert "gpt-4o-mini" in shown
        assert "32 x H100 FP8" in shown
    assert "300,000 x 50 x 3.6 g - 4.0 g = 54 t - 60 t" in english
    assert "125 a year make 5 t at 2 g per visual" in english


def test_the_study_as_json_and_csv_has_the_figures_in_full() -> None:
    found = document("--preset", "study")
    assert found["reconstruction"] == "of this project, not the authors' method"
    assert [each["id"] for each in found["figures"]][:4] == ["sheet", "products", "versions", "retailer"]
    assert all(each["gco2e"]["expected"] == pytest.approx(4.0, rel=0.01) for each in found["family"])
    assert {each["unit"]: each["holds"] for each in found["likenesses"]}["laptop"] is False
    rows = list(csv.DictReader(io.StringIO(simulate("--preset", "study", "--format", "csv").stdout)))
    assert {row["section"] for row in rows} == {"figure", "reconstruction", "step", "likeness"}


def test_a_model_of_ones_own_stands_beside_the_study() -> None:
    found = document("--preset", "study", "--model", "mistral-small", "--provider", "mistral")
    assert found["today"][-1]["model"] == "mistral-small"
    assert found["figures"][0]["ours"]["own"]["expected"] > 0


def test_a_bad_scenario_file_is_named_with_line_and_key(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("model: gpt-4o\nlangages: 3\n")
    result = CliRunner().invoke(app, ["simulate", "--scenario", "bad.yaml"], prog_name="grammage")
    assert result.exit_code == 1
    assert "bad.yaml:2:1: langages: unknown key; did you mean `languages`?" in str(result.exception)


def test_a_missing_scenario_file_is_said_to_be_missing() -> None:
    result = CliRunner().invoke(app, ["simulate", "--scenario", "nowhere.yaml"], prog_name="grammage")
    assert "nowhere.yaml: cannot be read" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--model"),
        (("--model", "gpt-4o", "--compare", "nonsense"), "key=value,value"),
        (("--model", "gpt-4o", "--image-size", "large"), "1024x1024"),
        (("--preset", "other"), "study"),
    ],
)
def test_wrong_usage_says_what_is_meant(arguments: tuple[str, ...], words: str) -> None:
    assert words in simulate(*arguments, code=2).stderr


def test_an_unknown_region_is_hinted_at_on_standard_error() -> None:
    result = simulate("--model", "gpt-4o", "--provider", "azure", "--region", "swedencentrale", "-o", "100")
    assert "did you mean swedencentral" in result.stderr
    assert "did you mean" not in result.stdout


def test_a_region_of_nobody_known_is_hinted_at_without_a_provider() -> None:
    result = simulate("--model", "nobody-9", "--region", "qq", "-o", "100")
    assert "region 'qq' is not in the tables" in result.stderr


@pytest.mark.parametrize("lang", list(Lang))
@pytest.mark.parametrize("width", ["60", "200"])
def test_a_narrow_terminal_tears_no_figure_apart(lang: Lang, width: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setattr("proxy.cli.output.PIPED_WIDTH", int(width))
    figure = Speech(lang).number
    found = document("--scenario", "plan.yaml")["scenarios"][0]["per"]["text"]["gco2e"]
    for arguments in (("--scenario", "plan.yaml", "--scenario", "small.yaml"), ("--preset", "study")):
        shown = simulate(*arguments, "--lang", lang.value).stdout
        assert "study" in arguments or all(figure(found[name]) in shown for name in ("expected", "p5", "p95"))
        assert "…" not in shown.replace("… ", "")


def test_both_languages_have_the_same_keys_and_values() -> None:
    english, french = (read_texts(lang) for lang in Lang)
    assert list(english) == list(french)
    for key, text in english.items():
        assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(french[key])), key


@pytest.mark.parametrize("lang", list(Lang))
def test_no_text_calls_a_difference_a_gain(lang: Lang) -> None:
    assert not [text for text in read_texts(lang).values() if FORBIDDEN.search(text)]


def test_masses_choose_their_unit() -> None:
    english, french = Speech(Lang.EN), Speech(Lang.FR)
    assert [english.mass(grams) for grams in (0.0123, 4, 4_000, 54e6)] == ["0.012 g", "4.0 g", "4.0 kg", "54 t"]
    assert french.mass(0.0123) == f"0,012{NO_BREAK_SPACE}g"
    assert french.count(15_000_000) == f"15{NARROW_SPACE}000{NARROW_SPACE}000"
