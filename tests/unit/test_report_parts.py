"""Parts of a report by hand: what drives the range, finished things, units, policies, what would weigh less, periods, hours."""

import math
from dataclasses import replace
from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest

from config.settings import Settings
from config.settings_hash import settings_hash
from config.tables import Tables, load_tables
from config.tips import read_tips
from estimators.quantity import Z95, LogVariance, ScopeKeys, around
from proxy.ledger.cells import Beside
from proxy.ledger.deliveries import Word
from proxy.ledger.details import LengthClass
from proxy.ledger.policy_sums import PolicyCell
from proxy.reports.boundary import boundary_lines, hourly_of
from proxy.reports.deliverables import LastWords, deliverables, units
from proxy.reports.document import Deliverable
from proxy.reports.drivers import drivers
from proxy.reports.habits import habits
from proxy.reports.lighter import Bench, lighter, median_length
from proxy.reports.period import Span, before, instant_in, offsets
from proxy.reports.policies import policy_lines
from proxy.reports.restated import restated_cells, restated_share
from proxy.reports.sums import keyed
from tests.report_cells import DOUBT, KIND, cell, made

PARIS = ZoneInfo("Europe/Paris")
DAY_MS = 86_400_000


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def word(asset: str, verdict: str = "accepted", minutes: float | None = None, brand: str | None = None) -> Word:
    return Word(asset=asset, brand=brand, campaign=None, verdict=verdict, minutes_saved=minutes)


def test_a_driver_is_the_total_with_one_doubt_at_its_ends() -> None:
    parts = keyed([cell(grams=100.0).opinions], "gco2e")
    found = {driver.scope: driver for driver in drivers(parts)}
    sd = math.sqrt(DOUBT.model)
    assert found["model"].gco2e_high == pytest.approx(100 * math.exp(Z95 * sd - sd * sd / 2))
    assert found["model"].gco2e_low == pytest.approx(100 * math.exp(-Z95 * sd - sd * sd / 2))
    scopes = [driver.scope for driver in drivers(parts)]
    assert (scopes[:2], set(scopes[2:4]), scopes[4:]) == (["model", "method"], {"provider", "call"}, ["zone"])


def test_two_models_err_apart_and_each_has_its_own_driver() -> None:
    parts = keyed([cell(model=name, grams=50.0).opinions for name in ("a", "b")], "gco2e")
    found = {(driver.scope, driver.key): driver for driver in drivers(parts)}
    both, one = found["model", None], found["model", "a"]
    assert ("method", "tokens@1.0.0") not in found
    assert both.gco2e_high - both.gco2e_low > one.gco2e_high - one.gco2e_low
    sd = math.sqrt(DOUBT.model)
    assert one.gco2e_high == pytest.approx(50 + 50 * math.exp(Z95 * sd - sd * sd / 2))
    assert both.gco2e_high < 100 * math.exp(Z95 * sd - sd * sd / 2)


def test_an_accepted_asset_bears_the_grams_of_those_that_were_not() -> None:
    cells = [cell(grams=7.0, tags=(KIND,), is_for_asset=True), cell(grams=9.0, tags=(KIND,))]
    words = LastWords([word("a", "rejected"), word("a", minutes=30.0), word("b", "rejected"), word("z")])
    (line,) = deliverables({KIND: made("a", "b", assets=4, calls=10)}, cells, words, 0)
    assert (line.assets, line.accepted, line.rejected, line.undecided, line.calls) == (4, 1, 1, 2, 10)
    assert line.calls_per_accepted == 10
    assert line.gco2e_per_accepted is not None
    assert line.gco2e_per_accepted.mean == pytest.approx(7.0)
    assert line.minutes_saved == 30.0


def test_a_kind_without_an_accepted_asset_has_no_figure_per_asset() -> None:
    (line,) = deliverables({KIND: made()}, [], LastWords([]), 0)
    assert (line.calls_per_accepted, line.gco2e_per_accepted, line.minutes_saved) == (None, None, None)


def test_a_word_on_another_brands_asset_is_not_about_this_one() -> None:
    words = LastWords([word("a"), word("a", "rejected", brand="other")])
    (line,) = deliverables({KIND: made("a")}, [], words, 0)
    assert (line.accepted, line.rejected) == (1, 0)


def test_grams_per_thousand_words_rest_on_a_sourced_row(tables: Tables) -> None:
    found = {
        unit.name: unit for unit in units([cell(grams=14.0, tokens=4000), cell(operation="images", grams=6.0, images=3)], tables.factors)
    }
    words = found["1000_words"]
    assert words.assumption == "scenario.tokens_per_word"
    assert words.quantity == pytest.approx(2000 / 1.4 / 1000)
    assert words.gco2e_per_unit.mean == pytest.approx(14.0 / words.quantity)
    assert found["image"].gco2e_per_unit.mean == pytest.approx(2.0)
    assert units([cell(grams=14.0, tokens=4000)], {})[0].name == "1000_output_tokens"


def test_a_policys_difference_is_paired_and_held_back_calls_are_in_no_sum() -> None:
    large, small = ScopeKeys("", "openai", "large", "US"), ScopeKeys("", "openai", "small", "US")
    shared = LogVariance(method=0.2, zone=0.1)
    one = PolicyCell(
        policy="p", mode="enforce", action="routed", calls=10, baseline=(around(10.0, shared), large), choice=(around(2.0, shared), small)
    )
    held = PolicyCell(policy="p", mode="enforce", action="holdback", calls=3, baseline=one.baseline, choice=one.baseline)
    (line,) = policy_lines([one, held])
    assert (line.modelled_calls, line.held_back_calls) == (10, 3)
    assert line.calls_by_action == {"holdback": 3, "routed": 10}
    assert line.difference_gco2e is not None
    assert line.difference_gco2e.mean == pytest.approx(-8.0)
    assert line.difference_gco2e.p95 < 0
    assert line.probability_less == pytest.approx(1.0)
    assert (line.difference_water_ml, line.water_unknown) == (None, "not_recorded")


def test_a_policy_whose_calls_were_not_modelled_has_no_difference() -> None:
    (line,) = policy_lines([PolicyCell(policy="p", mode="shadow", action="kept", calls=4, baseline=None, choice=None)])
    assert (line.difference_gco2e, line.baseline_gco2e, line.probability_less, line.water_unknown) == (None, None, None, "not_modelled")


def test_only_what_is_likely_to_weigh_less_is_shown(tables: Tables) -> None:
    cells = [cell(model="gpt-4o", attempts=100, grams=50.0, tokens=100_000), cell(model="gpt-4o-mini", grams=1.0, tokens=10_000)]
    found = lighter(Bench(Settings(), tables), cells, [], [])
    assert {(each.kind, each.what) for each in found} >= {("smaller_model", "gpt-4o"), ("lower_carbon_region", "gpt-4o")}
    for each in found:
        assert each.probability_less >= 0.8
        assert each.difference_gco2e.mean < 0
        assert each.difference_gco2e.p5 < each.difference_gco2e.mean < each.difference_gco2e.p95
    region = next(each for each in found if (each.kind, each.what) == ("lower_carbon_region", "gpt-4o"))
    assert region.gco2e.mean == pytest.approx(50.0)
    assert region.difference_gco2e.mean > -50.0


def test_a_configured_smaller_model_goes_before_the_catalogues(tables: Tables) -> None:
    models = {"small": {"deployments": [{"provider": "mistral", "model": "mistral-small-latest"}]}}
    settings = Settings.model_validate({"models": models})
    found = lighter(Bench(settings, tables), [cell(attempts=100, grams=50.0, tokens=100_000)], [], [])
    assert [each.instead for each in found if each.kind == "smaller_model"] == ["mistral-small-latest"]


def test_shorter_answers_end_at_the_median(tables: Tables) -> None:
    classes = [
        LengthClass(operation="chat", provider="openai", model="gpt-4o", zone="US", length_class=c, answers=n, output_tokens=t)
        for c, n, t in ((40, 60, 6000), (60, 40, 80_000))
    ]
    assert median_length(classes) == 100
    found = lighter(Bench(Settings(), tables), [cell(attempts=100, grams=50.0, tokens=172_000)], classes, [])
    (shorter,) = [each for each in found if each.kind == "shorter_answers"]
    assert shorter.instead == "100"
    assert -50 < shorter.difference_gco2e.mean < -30


def test_one_draft_less_is_shown_for_what_was_made_over(tables: Tables) -> None:
    cells = [cell(grams=6.0, tags=(KIND,), is_for_asset=True)]
    lines = deliverables({KIND: made("a", "b", assets=2, calls=6)}, cells, LastWords([word("a"), word("b")]), 0)
    (fewer,) = lighter(Bench(Settings(), tables), [], [], lines)
    assert (fewer.kind, fewer.instead) == ("fewer_iterations", "2.0")
    assert fewer.difference_gco2e.mean == pytest.approx(-2.0)
    once: tuple[Deliverable, ...] = deliverables({KIND: made("a")}, cells, LastWords([word("a")]), 0)
    assert lighter(Bench(Settings(), tables), [], [], once) == ()


def test_a_team_has_its_habits_and_at_most_three_sourced_tips(tables: Tables) -> None:
    tips = read_tips(files("config").joinpath("data"))
    cells = [
        cell(model="gpt-4o", tags=("content",), answers=10, short_answers=6, long_answers=3),
        cell(model="gpt-4o-mini", tags=("content",), answers=10, short_answers=10),
    ]
    (page,) = habits("tool", 0, cells, {}, LastWords([]), tables.catalogue, tips)
    assert (page.team, page.calls, page.oversized_share, page.long_answer_share) == ("content", 20, 0.3, 0.15)
    assert page.tips[0].id == "smaller-model"
    assert len(page.tips) <= 3
    assert all(tip.url.startswith("https://") and tip.text_fr and tip.source for tip in page.tips)


def test_the_boundary_says_which_lines_the_total_holds() -> None:
    beside = {"training_gco2e": Beside(mean=5.0, coherent_sd=0.5, attempts=10)}
    lines = {line.name: line for line in boundary_lines([cell(grams=10.0)], [cell(beside=beside)])}
    assert [name for name, line in lines.items() if line.is_in_total] == ["operational", "embodied"]
    training = lines["training"].gco2e
    assert training is not None
    assert training.mean == pytest.approx(5.0)
    assert math.log(training.p95 / training.p5) == pytest.approx(2 * Z95 * 0.5)
    assert (lines["network"].gco2e, lines["network"].weighed_attempts) == (None, 0)


def test_the_hourly_column_covers_what_is_known_and_leaves_the_rest() -> None:
    known = cell(grams=10.0, covered_yearly_gco2e=8.0, covered_hourly_gco2e=4.0)
    found = hourly_of([known, cell(grams=10.0)])
    assert found is not None
    assert found.covered_share == pytest.approx(0.5)
    assert found.gco2e == pytest.approx(16.0)
    assert hourly_of([cell()]) is None


def test_a_declared_basis_moves_the_zones_operational_grams_alone(tables: Tables) -> None:
    factor = tables.factors["report.ademe_annual_fr_gco2e_per_kwh"]
    french, other = cell(zone="FR", grams=10.0), cell(zone="US", grams=10.0)
    moved, kept = restated_cells([french, other], "FR", factor)
    grams = 20.0 / 1000 * factor.value
    assert moved.opinions.lines["operational_gco2e"].mean == pytest.approx(grams)
    assert moved.opinions.lines["gco2e"].mean == pytest.approx(2.0 + grams)
    assert moved.opinions.lines["embodied_gco2e"] == french.opinions.lines["embodied_gco2e"]
    assert kept == other
    assert restated_share([french, other], "FR") == pytest.approx(0.5)


def test_months_are_of_the_place_and_come_after_months() -> None:
    since, until = (instant_in("2026-10", PARIS, ends=ends) for ends in (False, True))
    assert until - since == 31 * DAY_MS + 3_600_000
    previous = before(Span(since_ms=since, until_ms=until), PARIS)
    assert previous == Span(since_ms=instant_in("2026-09-01", PARIS, ends=False), until_ms=since)
    assert before(Span(since_ms=10 * DAY_MS, until_ms=13 * DAY_MS), PARIS) == Span(since_ms=7 * DAY_MS, until_ms=10 * DAY_MS)
    assert instant_in("2026", PARIS, ends=True) == instant_in("2027-01-01T00:00:00+01:00", PARIS, ends=False)


def test_the_clock_changes_where_it_does() -> None:
    span = Span(since_ms=instant_in("2026-10", PARIS, ends=False), until_ms=instant_in("2026-10", PARIS, ends=True))
    turn = instant_in("2026-10-25T01:00:00Z", PARIS, ends=False)
    assert offsets(span, PARIS) == ((span.since_ms, 7_200_000), (turn, 3_600_000))


def test_the_configurations_hash_knows_settings_and_no_secret() -> None:
    def of(**keys: object) -> str:
        return settings_hash(Settings.model_validate({"keys": [{"key": "secret-one", "name": "a", **keys}]}))

    assert of() == of(key="secret-two")
    assert of() != of(name="b")
    assert of() != settings_hash(Settings())


def test_what_was_weighed_as_a_whole_is_a_line_of_its_own_and_others_profiles_change_no_line() -> None:
    divided, bought = cell(grams=10.0), cell(grams=90.0, model="seats")
    alone = {"gco2e": bought.opinions.lines["gco2e"]}
    bought = replace(bought, opinions=replace(bought.opinions, lines=alone, profile="ghgp-cat1"))
    beside = {"training_gco2e": Beside(mean=5.0, coherent_sd=0.5, attempts=10)}
    lines = {line.name: line for line in boundary_lines([divided, bought], [cell(beside=beside)])}
    assert list(lines) == ["operational", "embodied", "undivided", "training", "network"]
    assert [name for name, line in lines.items() if line.is_in_total] == ["operational", "embodied", "undivided"]
    inside = [line.gco2e.mean for line in lines.values() if line.is_in_total and line.gco2e is not None]
    assert sum(inside) == pytest.approx(100.0)
    assert "undivided" not in {line.name for line in boundary_lines([divided], None)}


def test_a_doubt_that_moves_nothing_people_read_is_no_driver() -> None:
    parts = keyed([cell(model=name, grams=grams).opinions for name, grams in (("a", 1000.0), ("b", 0.001))], "gco2e")
    assert ("model", "b") not in {(driver.scope, driver.key) for driver in drivers(parts)}
