"""Sheets for other frameworks: every gram in one place, every figure recomputed from what it is made of, nothing left unsaid."""

import copy
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from typing import Any

import openpyxl
import pytest

from proxy.exports.columns import FIGURES, SPREADS
from proxy.exports.esrs_e1 import datapoints
from proxy.exports.forms import FORMS
from proxy.exports.impact_framework import manifest_of
from proxy.exports.sci import EXCLUDED, INCLUDED, scores_of
from proxy.exports.scopes import PLACES, category1, own_beyond, placed, scope2
from proxy.exports.sheet import apart
from proxy.exports.sources import SOURCES
from proxy.exports.strata import counted, kind_of, primary_share, scope3_method, score, told_share
from proxy.exports.sums import grouped, mean_of, serving_of
from proxy.exports.templates import TEMPLATES, export_of
from proxy.ledger.cells import Beside
from proxy.reports.cell import BEGINS_A_FORMULA
from proxy.reports.document import OwnWeight
from proxy.reports.line import Spread
from proxy.reports.pages.html import STATEMENTS
from proxy.reports.pages.language import Language
from proxy.reports.pages.phrases import LANGUAGES, table
from tests.export_samples import CELLS, cell, money, sample_gathered, whole_profile
from tests.impact_twin import recomputed

EN = Language(code="en")
HOSTILE = ('=HYPERLINK("http://evil.example")', "+1", "@SUM(A1)", "<script>alert(1)</script>", "a|b\x1b[31m", "[x](javascript:alert(1))")


def document(name: str, code: str = "en", **changes: Any) -> Mapping[str, Any]:
    """The export as plain values, as JSON has it."""
    found: Mapping[str, Any] = json.loads(FORMS["json"].write(export_of(name, sample_gathered(**changes), code)))
    return found


def mean(spread: Spread | None) -> float:
    assert spread is not None
    return spread.mean


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_every_export_carries_its_basis_its_claims_and_what_is_missing(name: str, code: str) -> None:
    found = document(name, code)
    basis = found["basis"]
    assert all(basis[key] for key in ("tool_version", "config_sha256", "factor_sets", "profiles", "since", "until", "time_zone", "lines"))
    assert found["language"] == code
    assert found["claims"]["may"]
    assert found["claims"]["may_not"]
    assert found["completeness"]["unweighed_attempts"] == {"no_usage": 1}
    assert found["completeness"]["imported_calls"] == 0
    assert {note["code"] for note in found["notes"]} >= {"unweighed", "unassigned"}
    assert found["sources"]
    assert found["remarks"][-1]["code"] == "mapping"
    assert set(found["report_total_gco2e"]) == {"mean", "low", "high"}


def test_the_parts_apart_add_up_to_the_reports_total() -> None:
    gathered = sample_gathered()
    found = {name: spread for name, spread, _ in apart(gathered)}
    assert set(found) == {"live", "imported", "simulated"}
    assert sum(mean(each) for each in found.values()) == pytest.approx(mean(gathered.report.total.gco2e))
    assert mean(found["imported"]) == pytest.approx(110_000)
    live = 500 + 50 + 37.5 + 50 + 1000 + 50 + 25 + 50 + 50 + 50
    assert mean(found["live"]) == pytest.approx(live)


def test_grams_that_are_kept_as_sums_alone_are_a_part_of_their_own() -> None:
    gathered = sample_gathered()
    gathered = replace(gathered, cells=gathered.cells[1:])
    found = {name: spread for name, spread, _ in apart(gathered)}
    assert mean(found["kept_as_sums"]) == pytest.approx(550)
    assert recomputed(manifest_of(gathered, EN))["carbon"] == pytest.approx(mean(gathered.report.total.gco2e))


def test_the_proxy_itself_stands_beside_and_in_no_figure() -> None:
    beside = Spread(3.0, 1.0, 6.0)
    own = OwnWeight(
        gco2e=beside,
        operational_gco2e=beside,
        embodied_gco2e=beside,
        facility_energy_wh=beside,
        water_ml=beside,
        gco2e_per_call=None,
        cpu_s=1.0,
        process_hours=1.0,
        processes=1,
        measured_share=0.0,
        zones=("FR",),
        methods=("own@1.0.0",),
        factor_sets=("2026.11+f00df00d",),
        warnings=(),
    )
    with_own, without = document("sci", own=own), document("sci", own=None)
    assert with_own["proxy_itself_beside_gco2e"] == {"mean": 3.0, "low": 1.0, "high": 6.0}
    assert without["proxy_itself_beside_gco2e"] is None
    assert with_own["body"] == without["body"]
    sections = export_of("sci", sample_gathered(own=own), "fr").outline.sections
    (table,) = next(section.tables for section in sections if section.id == "apart")
    assert table.rows[-1][1] == beside


def test_simulated_calls_count_only_where_that_was_asked_for() -> None:
    assert {each.provider for each in counted(sample_gathered())} == {"openai", "azure", "vllm"}
    assert "simulated" in {each.provider for each in counted(sample_gathered(with_simulated=True))}
    assert not [each for each in counted(sample_gathered(with_simulated=True)) if each.imported]
    assert document("sci", with_simulated=True)["simulated_counted"] is True


def test_every_gram_seen_live_lies_in_one_place_of_an_inventory() -> None:
    gathered = sample_gathered()
    found = {each.place.id: each for each in placed(gathered)}
    assert set(found) == {place.id for place in PLACES}
    assert sum(mean(each.gco2e) for each in found.values()) == pytest.approx(mean_of(counted(gathered), "gco2e"))
    assert mean(found["own_electricity"].gco2e) == pytest.approx(500 * 1.25 * 0.04)
    assert mean(found["own_hardware"].gco2e) == pytest.approx(50)
    assert mean(found["rented"].gco2e) == pytest.approx(100)
    assert (found["purchased"].methods, found["own_electricity"].methods) == (("average-data",), ("hybrid",))
    assert (found["own_electricity"].data_quality_score, found["purchased"].data_quality_score) == (1.0, 4.0)


def test_a_profile_with_training_leaves_no_gram_without_a_place() -> None:
    gathered = sample_gathered(*(whole_profile(each) for each in CELLS[:5]))
    inside, left = sum(mean(each.gco2e) for each in placed(gathered)), own_beyond(gathered)
    assert mean(left) == pytest.approx(62.5)
    assert inside + mean(left) == pytest.approx(mean_of(gathered.cells, "gco2e"))
    assert category1(gathered).beside is None


def test_category_1_holds_training_whichever_profile_the_estimates_have() -> None:
    own, other = sample_gathered(CELLS[0]), sample_gathered(whole_profile(CELLS[0]))
    assert mean(category1(own).in_total) == pytest.approx(550)
    assert mean(category1(own).beside) == pytest.approx(125)
    assert mean(category1(own).whole) == pytest.approx(mean(category1(other).whole))


def test_scope_2_is_told_by_both_methods_and_keeps_the_grids_where_no_factor_is_known() -> None:
    told = replace(CELLS[3], beside={"market_based_gco2e": Beside(mean=0.5, coherent_sd=0.2, attempts=100)})
    found = scope2(sample_gathered(told, CELLS[3]))
    assert mean(found.location_based_gco2e) == pytest.approx(50)
    assert mean(found.market_based_gco2e) == pytest.approx(25.5)
    assert found.market_share == pytest.approx(0.5)
    assert scope2(sample_gathered(CELLS[3])).market_based_gco2e is None
    assert scope2(sample_gathered(CELLS[0])).location_based_gco2e is None


def test_datapoints_of_esrs_say_why_one_is_missing_and_add_up() -> None:
    found = {each.id: each for each in datapoints(sample_gathered())}
    assert (found["scope1"].value, found["scope1"].unknown) == (None, "no_combustion_told")
    assert (found["scope2_market"].value, found["scope2_market"].unknown) == (None, "no_market_factor")
    assert found["total_market"].unknown == "no_market_factor"
    values = {name: each.value.mean for name, each in found.items() if isinstance(each.value, Spread)}
    assert values["total_location"] == pytest.approx(values["scope2_location"] + values["scope3"])
    assert values["scope3"] == pytest.approx(values["scope3_1"] + values["scope3_2"])
    assert values["energy"] == pytest.approx(625e-6)
    only_bought = {each.id: each for each in datapoints(sample_gathered(CELLS[0]))}
    assert only_bought["scope2_location"].unknown == only_bought["scope2_market"].unknown == "no_own_machines"
    assert only_bought["total_market"].value is not None


def test_data_quality_says_what_is_primary() -> None:
    cells = [cell(), cell(method="disclosed@1.0.0", quality="A", usage_source="estimated")]
    assert [primary_share(cells), told_share(cells), score(cells)] == pytest.approx([0.5, 0.5, 2.5])
    assert [scope3_method(each) for each in (*cells, money())] == ["average-data", "supplier-specific", "spend-based"]
    assert (primary_share([]), score([])) == (None, None)


def test_a_score_is_operational_and_embodied_over_units_made() -> None:
    gathered = sample_gathered()
    cells = [each for each in counted(gathered) if serving_of([each]) is not None]
    found = {each.unit: each for each in scores_of(gathered, cells)}
    assert set(found) == {"call", "1000_output_tokens", "image"}
    assert found["call"].quantity == 430
    assert found["call"].sci.mean == pytest.approx(mean_of(cells, "gco2e") / 430)
    assert found["image"].sci.mean == pytest.approx((1000 + 50) / 40)
    assert mean(found["image"].o_per_unit) + mean(found["image"].m_per_unit) == pytest.approx(found["image"].sci.mean)
    assert found["1000_output_tokens"].quantity == pytest.approx(80)
    assert found["call"].sci.p5 < found["call"].sci.mean < found["call"].sci.p95


def test_a_score_never_holds_training_whatever_the_profile() -> None:
    scores = [document_of["body"]["scores"][0]["sci"]["mean"] for document_of in (_sci(CELLS[0]), _sci(whole_profile(CELLS[0])))]
    assert scores[0] == pytest.approx(scores[1])


def _sci(one: Any) -> Mapping[str, Any]:
    return json.loads(FORMS["json"].write(export_of("sci", sample_gathered(one), "en")))  # type: ignore[no-any-return]  # our own JSON


def test_accepted_things_have_a_score_only_where_nothing_stands_apart() -> None:
    assert "accepted" not in {each["unit"] for each in document("sci")["body"]["scores"]}
    accepted = [each for each in _sci(CELLS[0])["body"]["scores"] if each["unit"] == "accepted"]
    assert [(each["what"], each["quantity"], each["sci"]["mean"]) for each in accepted] == [("product-sheet", 1000, 4.1)]


def test_components_add_up_to_the_whole_and_state_e_i_and_m() -> None:
    body = document("sci")["body"]
    for line in ("o_gco2e", "m_gco2e", "c_gco2e"):
        whole = {"o_gco2e": "operational_gco2e", "m_gco2e": "embodied_gco2e", "c_gco2e": "carbon_gco2e"}[line]
        assert sum(each[line]["mean"] for each in body["components"]) == pytest.approx(body[whole]["mean"])
    for each in body["components"]:
        assert each["o_gco2e"]["mean"] == pytest.approx(each["e_kwh"]["mean"] * each["i_gco2e_per_kwh"])
        assert each["e_kwh"]["mean"] == pytest.approx(each["it_energy_kwh"] * each["pue"])
    assert body["excluded"] == {"imported": 1, "simulated": 100, "without_energy": 0}


def test_a_manifest_recomputes_the_totals_from_what_they_are_made_of() -> None:
    gathered = sample_gathered(*CELLS[:6])
    manifest, total = manifest_of(gathered, EN), gathered.report.total
    found = recomputed(manifest)
    assert found["carbon"] == pytest.approx(mean(total.gco2e), rel=1e-9)
    assert found["carbon-operational"] == pytest.approx(mean(total.operational_gco2e), rel=1e-9)
    assert found["carbon-embodied"] == pytest.approx(mean(total.embodied_gco2e), rel=1e-9)
    assert found["energy"] == pytest.approx(mean(total.facility_energy_wh) / 1000, rel=1e-9)
    assert found["sci-per-call"] == pytest.approx(mean_of(counted(gathered), "gco2e") / 430)
    assert found["sci-per-image"] == pytest.approx(1050 / 40)
    inputs = [name for child in manifest["tree"]["children"].values() for name in child["inputs"][0]]
    assert not {"carbon", "carbon-operational", "carbon-stated", "energy"} & set(inputs)


@pytest.mark.parametrize("name", ["it-energy", "pue", "grid/carbon-intensity", "carbon-embodied"])
def test_a_changed_input_of_a_manifest_is_noticed(name: str) -> None:
    gathered = sample_gathered(*CELLS[:6])
    manifest = copy.deepcopy(manifest_of(gathered, EN))
    next(iter(manifest["tree"]["children"].values()))["inputs"][0][name] *= 1.5
    assert recomputed(manifest)["carbon"] != pytest.approx(mean(gathered.report.total.gco2e), rel=1e-3)


def test_a_ledger_whose_operational_grams_are_not_energy_times_intensity_disagrees() -> None:
    wrong = replace(CELLS[0], gco2e_per_kwh=CELLS[0].gco2e_per_kwh * 1.1)
    gathered = sample_gathered(wrong)
    assert recomputed(manifest_of(gathered, EN))["carbon"] != pytest.approx(mean(gathered.report.total.gco2e), rel=1e-3)


def test_money_is_multiplied_by_its_factor_row_and_stands_in_no_rate() -> None:
    gathered = sample_gathered(CELLS[0], money())
    manifest = manifest_of(gathered, EN)
    found = recomputed(manifest)
    assert found["carbon"] == pytest.approx(mean(gathered.report.total.gco2e))
    assert set(found) == {"carbon", "sci-per-call", "sci-per-thousand-output-tokens"}
    assert found["sci-per-call"] == pytest.approx(550 / 430)
    (paid,) = [child["inputs"][0] for child in manifest["tree"]["children"].values() if "spend" in child["inputs"][0]]
    assert paid["spend-carbon-intensity"] == gathered.factors["spend.it_services.kgco2e_per_eur"].value * 1000


def test_what_a_supplier_disclosed_is_an_input_and_training_is_added_by_the_profile() -> None:
    stated = cell(method="disclosed@1.0.0", gco2e_per_kwh=1.0, quality="A")
    gathered = sample_gathered(replace(stated, gco2e_per_kwh=999.0), whole_profile(CELLS[0]))
    assert recomputed(manifest_of(gathered, EN))["carbon"] == pytest.approx(mean(gathered.report.total.gco2e))


def test_lines_of_creation_add_up_by_campaign_and_by_kind() -> None:
    body = document("media-creation")["body"]
    assert {(each["brand"], each["campaign"]) for each in body["lines"]} == {
        ("acme", "noel-26"),
        ("acme", "soldes-27"),
        ("unassigned", "unassigned"),
    }
    for each in body["lines"]:
        kinds = [each[f"{kind}_gco2e"] for kind in ("text", "image", "other")]
        assert sum(kind["mean"] for kind in kinds if kind) == pytest.approx(each["gco2e"]["mean"])
    assert body["lines"][0]["purpose"] == "Product sheets for Christmas"
    assert [each["gco2e"]["mean"] for each in body["imported_lines"]] == [pytest.approx(110_000)]
    assert "distribution" in body["not_in_it"]


def test_lines_to_hand_over_are_by_month_and_add_up() -> None:
    body = document("ghgp-scope3")["body"]
    assert [each["month"] for each in body["handover"]] == sorted(each["month"] for each in body["handover"])
    assert {each["month"] for each in body["handover"]} == {"2026-11", "2026-12"}
    assert sum(each["gco2e"]["mean"] for each in body["handover"]) == pytest.approx(mean_of(counted(sample_gathered()), "gco2e"))


@pytest.mark.parametrize("name", ["ghgp-scope3", "esrs-e1", "beges"])
def test_what_was_imported_has_lines_of_its_own_and_is_in_no_sum(name: str) -> None:
    body = document(name)["body"]
    assert [each["gco2e"]["mean"] for each in body["imported_apart"]] == [pytest.approx(110_000)]
    assert body["imported_apart"][0]["methods"] == ["spend-based"]
    lines = body.get("posts") or body["scopes"]
    assert sum(each["gco2e"]["mean"] for each in lines) == pytest.approx(mean_of(counted(sample_gathered()), "gco2e"))


def test_a_mapping_of_the_french_method_says_which_basis_it_has() -> None:
    report = sample_gathered().report
    declared = document("beges", basis=replace(report.basis, intensity="ademe-annual"))
    assert {each["code"] for each in declared["remarks"]} >= {"beges_declared", "beges_upstream"}
    assert "beges_basis" in {each["code"] for each in document("beges")["remarks"]}
    assert {each["beges_post"] for each in document("beges")["body"]["posts"]} == {"4.5", "2.1", "4.2"}


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("name", [name for name, template in TEMPLATES.items() if "html" in template.forms])
def test_a_page_cuts_no_statement_of_ours_and_shows_what_may_be_claimed(name: str, code: str) -> None:
    export = export_of(name, sample_gathered(), code)
    page = unescape(FORMS["html"].write(export).decode())
    page = page.replace("<code>", "`").replace("</code>", "`")
    ours = [table for section in export.outline.sections for table in section.tables if table.id in STATEMENTS]
    assert ours
    assert not [cell for table in ours for row in table.rows for cell in row if isinstance(cell, str) and cell not in page]
    assert all(text in page for text in (*export.outline.may, *export.outline.may_not, *export.outline.basis.values()))


@pytest.mark.parametrize("name", [name for name, template in TEMPLATES.items() if "md" in template.forms])
def test_a_clients_text_is_neither_markup_nor_a_formula(name: str) -> None:
    cells = [cell(model=text, provider=text, tags=(text, text)) for text in HOSTILE]
    export = export_of(name, sample_gathered(*cells), "en")
    page, text = FORMS["html"].write(export).decode(), FORMS["md"].write(export).decode()
    assert "<script>" not in page
    assert "<script>" not in text.replace("\\<", "")
    assert "\x1b" not in page + text
    assert "](javascript" not in text.replace("\\]", "")
    rows = [line for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert not [line for line in rows if line.replace("\\|", "").count("|") < 3]


def test_the_workbook_holds_no_formula_and_every_part() -> None:
    export = export_of("ghgp-scope3", sample_gathered(*(cell(model=text, tags=(text, text)) for text in HOSTILE)), "fr")
    book = openpyxl.load_workbook(io.BytesIO(FORMS["xlsx"].write(export)))
    assert book.sheetnames[:3] == ["Scopes", "Catégorie 1", "Scope 2"]
    assert book.sheetnames[-2:] == ["Affirmations", "Base"]
    cells = [each for sheet in book for row in sheet.iter_rows() for each in row if each.value is not None]
    assert not [each.value for each in cells if each.data_type == "f"]
    assert not [
        each.value for each in cells if isinstance(each.value, str) and each.value != "-" and each.value.startswith(BEGINS_A_FORMULA)
    ]


def test_a_period_without_a_call_makes_every_sheet_without_a_figure() -> None:
    empty = sample_gathered()
    nothing = replace(empty.report.total, gco2e=None, operational_gco2e=None, embodied_gco2e=None, facility_energy_wh=None, calls=0)
    gathered = replace(empty, cells=(), weighed=(), report=replace(empty.report, total=nothing, deliverables=(), units=()))
    for name, template in TEMPLATES.items():
        export = export_of(name, gathered, "fr")
        assert export.document["report_total_gco2e"] is None
        assert all(FORMS[form].write(export) for form in template.forms)
    assert all(each.value is None for each in datapoints(gathered))


def test_every_column_code_and_source_has_its_words() -> None:
    words = table()
    assert set(SPREADS) | set(FIGURES) <= set(words["columns"])
    assert set(INCLUDED) | set(EXCLUDED) <= set(words["components"])
    assert set(TEMPLATES) <= set(words["exports"])
    assert {place.id for place in PLACES} <= set(words["places"]) & set(words["place_reasons"]) & set(words["beges_reasons"])
    assert {kind_of(each) for each in CELLS} == {"text", "image", "other"}
    assert all(each.url.startswith("https://") for each in SOURCES.values())
    assert list(grouped(CELLS, kind_of)) == ["other", "image", "text"]
