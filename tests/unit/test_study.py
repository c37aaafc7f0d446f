"""The study of May 2025: the reconstruction reproduces it by computation, and verdicts follow from published figures."""

import math
from importlib.resources import files
from pathlib import Path

import pytest

from config.equivalences import read_equivalences
from config.load import load_settings
from config.problem import ConfigError
from config.ranges import Range
from config.tables import Tables, load_tables
from estimators import METHODS, Usage, prepare
from estimators.methods.study import FAMILY, RECONSTRUCTED, Assumptions, Reconstruction
from proxy.scenario.study import HOLDS_WITHIN, Figure, Likeness, StudyPage, nearest_readings, study_page


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


@pytest.fixture(scope="module")
def page(tables: Tables) -> StudyPage:
    return study_page(tables, read_equivalences(files("config").joinpath("data")))


@pytest.mark.parametrize("assumptions", FAMILY, ids=lambda each: each.id)
def test_every_set_of_the_family_gives_four_grams_at_its_computed_length(assumptions: Assumptions, tables: Tables) -> None:
    one = Reconstruction(assumptions, tables.places.resolve("openai", zone="US"), tables.factors)
    tokens = one.output_tokens_for(4.0, 500)
    assert one.gco2e(Usage(input_tokens=500, output_tokens=tokens)).mean == pytest.approx(4.0, rel=0.01)
    assert one.gco2e(Usage(input_tokens=500, output_tokens=2 * tokens)).mean > 7
    assert one.output_tokens_for(8.0, 500) > tokens


def test_lengths_are_computed_not_typed_in(tables: Tables) -> None:
    here = tables.places.resolve("openai", zone="US")
    clean = tables.places.resolve("openai", zone="FR")
    lengths = [Reconstruction(FAMILY[0], place, tables.factors).output_tokens_for(4.0, 500) for place in (here, clean)]
    assert lengths[1] > 2 * lengths[0]


def test_a_length_that_no_answer_has_is_refused(tables: Tables) -> None:
    one = Reconstruction(FAMILY[0], tables.places.resolve("openai", zone="US"), tables.factors)
    for gco2e in (1e-6, 1e15):
        with pytest.raises(ValueError, match="no answer"):
            one.output_tokens_for(gco2e, 500)


def test_training_is_on_in_the_reconstruction(tables: Tables) -> None:
    one = Reconstruction(FAMILY[0], tables.places.resolve("openai", zone="US"), tables.factors)
    usage = Usage(input_tokens=500, output_tokens=400)
    assert one.gco2e(usage).mean > one.inference_gco2e(usage).mean
    assert one.prepared.estimate(usage).profile == "study"


def test_the_method_weighs_any_model_as_the_preset_and_says_so(tables: Tables) -> None:
    place = tables.places.resolve("openai", zone="US")
    usage = Usage(input_tokens=500, output_tokens=400)
    small, large = (
        prepare(tables.catalogue.resolve(name).card, place, tables.factors, method="study").estimate(usage)
        for name in ("gpt-4o-mini", "gpt-4o")
    )
    assert small.gco2e == large.gco2e
    assert small.gco2e.mean == pytest.approx(Reconstruction(FAMILY[0], place, tables.factors).inference_gco2e(usage).mean)
    assert small.method == "study"
    assert RECONSTRUCTED in small.warnings


def test_the_method_is_never_chosen_by_itself() -> None:
    assert "study" not in {method.id for method in METHODS}


@pytest.mark.parametrize("text", ["weighing: {methods: [study]}", "weighing: {profile: study}"])
def test_the_study_is_refused_as_the_reporting_method(tmp_path: Path, text: str) -> None:
    file = tmp_path / "grammage.yaml"
    file.write_text(f"version: 1\n{text}\n")
    with pytest.raises(ConfigError, match=r"2:\d+: weighing\..*`study`.*never"):
        load_settings(file, {})


def test_the_studys_totals_agree_with_each_other_between_3_3_and_4_4_grams(page: StudyPage) -> None:
    sheets = [figure for figure in page.figures if figure.id in ("sheet", "versions", "retailer")]
    assert len(sheets) == 3
    for figure in sheets:
        assert figure.agrees
        assert 3.3 <= figure.implied_gco2e.low <= 4.0 <= figure.implied_gco2e.high * 1.01
    retailer = next(figure for figure in page.figures if figure.id == "retailer")
    assert retailer.pieces == 15_000_000
    assert retailer.implied_gco2e.low == pytest.approx(10 / 3)
    assert (retailer.computed_gco2e.low, retailer.computed_gco2e.high) == pytest.approx((54e6, 60e6))


def test_the_number_of_campaigns_follows_from_either_reading(page: StudyPage) -> None:
    by_id = {figure.id: figure for figure in page.figures}
    assert by_id["audiences"].counts == pytest.approx((20, 1000, 125))
    assert by_id["audiences-of-20"].counts == pytest.approx((20, 1000, 2500))
    assert all(by_id[id_].computed_gco2e.value == pytest.approx(5e6) for id_ in ("audiences", "audiences-of-20"))


def test_a_figure_that_does_not_add_up_disagrees() -> None:
    wrong = Figure(id="x", counts=(10.0,), each_gco2e=Range(4, 3.6, 4), stated_gco2e=Range(50, 50, 65), ours={})
    assert not wrong.agrees


def test_ours_stand_beside_each_figure_with_a_range_and_in_proportion(page: StudyPage) -> None:
    one, many = (next(figure for figure in page.figures if figure.id == id_) for id_ in ("sheet", "retailer"))
    for present in page.today:
        small, large = one.ours[present.id], many.ours[present.id]
        assert small is not None
        assert large is not None
        assert small.p5 < small.mean < small.p95
        assert large.mean == pytest.approx(15_000_000 * small.mean, rel=1e-6)


def test_present_day_models_weigh_less_than_the_studys_sheet(page: StudyPage) -> None:
    ours = page.figures[0].ours
    standard, mini, low_carbon = (ours[present.id] for present in page.today)
    assert standard is not None
    assert mini is not None
    assert low_carbon is not None
    assert 4.0 > standard.mean > mini.mean > low_carbon.mean


def test_the_steps_multiply_to_the_whole(page: StudyPage) -> None:
    for present in page.today:
        steps = page.steps[present.id]
        assert steps[0].gco2e == pytest.approx(4.0, rel=0.01)
        assert math.prod(step.ratio for step in steps) == pytest.approx(steps[-1].gco2e / steps[0].gco2e, rel=1e-9)
        ours = page.figures[0].ours[present.id]
        assert ours is not None
        assert steps[-1].gco2e == pytest.approx(ours.mean, rel=1e-6)


def test_visuals_are_read_by_what_the_model_weighs(page: StudyPage) -> None:
    readings = nearest_readings(page)
    assert readings
    for _, mass, reading in readings:
        assert reading == ("first" if mass > math.sqrt(2.0 * 0.1) else "second")


def test_gpu_energy_of_a_visual_is_some_watt_hours(page: StudyPage) -> None:
    assert 1 < page.visual_gpu_wh < 4


def verdicts(page: StudyPage) -> dict[str, Likeness]:
    return {likeness.unit.id: likeness for likeness in page.likenesses}


def test_beef_streaming_and_flights_hold_chicken_and_laptops_do_not(page: StudyPage) -> None:
    assert {id_: likeness.holds for id_, likeness in verdicts(page).items()} == {
        "meal_beef": True,
        "meal_chicken": False,
        "streaming_hour": True,
        "laptop": False,
        "paris_ny_return": True,
    }


def test_fifteen_laptops_then_are_twenty_six_now(page: StudyPage) -> None:
    laptop = verdicts(page)["laptop"]
    assert laptop.stated == 15
    assert laptop.now.value == pytest.approx(5_000_000 / (laptop.unit.kgco2e_per_unit * 1000))
    assert round(laptop.now.value) == 26


def test_a_verdict_turns_with_the_published_figure(page: StudyPage) -> None:
    beef = verdicts(page)["meal_beef"]
    edge = beef.now.low / HOLDS_WITHIN
    for stated, holds in ((edge * 0.99, False), (edge * 1.01, True), (beef.now.high * HOLDS_WITHIN * 1.01, False)):
        assert Likeness(unit=beef.unit, gco2e=beef.gco2e, stated=stated, now=beef.now).holds is holds
