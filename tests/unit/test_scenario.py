"""Plans turned into volumes, weights, differences, advice and everyday units: arithmetic and honesty of ranges."""

import math
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

import pytest

from config.equivalences import read_equivalences
from config.everyday import equivalents
from config.load_scenario import load_scenario
from config.problem import ConfigError
from config.relatives import lowest_region, smaller_relative
from config.scenario import Scenario, ScenarioImages
from config.tables import Tables, load_tables
from estimators import METHODS, Usage, prepare
from estimators.quantity import LogVariance, Quantity, ScopeKeys, Total, add
from proxy.scenario.advise import advise
from proxy.scenario.compare import compare
from proxy.scenario.sums import Keyed, repeated, shared_scopes, summed
from proxy.scenario.volume import lengths_of, volume_of
from proxy.scenario.weigh import PICTURES, TEXTS, Weighed, place_of, weigh

ONE = Quantity(2.0, LogVariance(method=0.1, provider=0.2, model=0.3, zone=0.05, call=0.4))
HERE = ScopeKeys("tokens@1", "openai", "gpt-4o", "US")


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def plan(**changes: object) -> Scenario:
    return Scenario.model_validate({"model": "gpt-4o", "input_tokens": 500, "output_tokens": 400, **changes})


CATALOGUE: Mapping[str, object] = {
    "products": 1000,
    "languages": 3,
    "variants": 2,
    "audiences": 5,
    "campaigns_per_year": 4,
    "iterations": 2,
    "retries": 0.1,
    "images": {"per_product": 2},
}


def test_counts_multiply_and_pictures_have_no_language() -> None:
    volume = volume_of(plan(**CATALOGUE))
    assert volume.texts == 1000 * 3 * 2 * 5 * 4
    assert volume.pictures == 1000 * 2 * 2 * 5 * 4
    assert volume.text_calls == pytest.approx(volume.texts * 2 * 1.1, rel=1e-12)
    assert volume.picture_calls == pytest.approx(volume.pictures * 2 * 1.1, rel=1e-12)


def test_words_become_tokens_by_the_factor_row_and_carry_its_doubt(tables: Tables) -> None:
    row = tables.factors["scenario.tokens_per_word"]
    lengths = lengths_of(Scenario(model="gpt-4o", input_tokens=10, output_words=100), tables.factors)
    assert lengths.output_tokens == round(100 * row.value)
    assert (lengths.length.low, lengths.length.high) == pytest.approx((row.low / row.value, row.high / row.value))
    stated = weigh(plan(output_tokens=lengths.output_tokens), tables).year("gco2e")
    words = weigh(Scenario(model="gpt-4o", input_tokens=500, output_words=100), tables).year("gco2e")
    assert words.mean == pytest.approx(stated.mean, rel=1e-9)
    assert words.p95 / words.p5 > stated.p95 / stated.p5


def test_a_length_nobody_stated_is_assumed_and_said_to_be(tables: Tables) -> None:
    lengths = lengths_of(Scenario(model="gpt-4o"), tables.factors)
    assert lengths.assumed == ("input", "output")
    assert lengths.output_tokens == tables.factors["forecast.usual_output_tokens"].value
    assert lengths_of(plan(), tables.factors).assumed == ()


def test_shared_doubt_stays_whole_however_often_a_call_is_repeated() -> None:
    many = repeated(ONE, 1e9)
    assert many.mean == pytest.approx(1e9 * ONE.mean, rel=1e-9)
    assert many.variance[:4] == ONE.variance[:4]
    assert many.variance.call < 1e-8
    assert repeated(ONE, 1).variance.call == pytest.approx(ONE.variance.call)


@pytest.mark.parametrize("times", [2, 17])
def test_repeating_agrees_with_the_sum_over_calls(times: int) -> None:
    total = Total()
    for _ in range(times):
        total.add(ONE, HERE)
    many = repeated(ONE, times)
    assert many.mean == pytest.approx(total.mean, rel=1e-9)
    assert many.variance.total == pytest.approx(total.log_variance, rel=1e-9)


def test_a_sum_of_kinds_shares_only_what_the_keys_say() -> None:
    elsewhere = ScopeKeys("images@1", "azure", "sdxl", "FR")
    half = HERE._replace(zone="FR", model="gpt-5")
    alike, apart, between = (summed([Keyed(ONE, HERE), Keyed(ONE, keys)]).variance.total for keys in (HERE, elsewhere, half))
    assert apart < between < alike
    total = Total()
    for keys in (HERE, half):
        total.add(ONE, keys)
    assert between == pytest.approx(total.log_variance, rel=1e-9)
    assert add(ONE, ONE).variance.total > alike, "two kinds of calls do not share the error of single calls"


def test_a_sum_of_one_kind_is_that_kind() -> None:
    assert summed([Keyed(ONE, HERE)]) == ONE
    assert summed([]).mean == 0


def test_scopes_are_shared_where_all_parts_have_the_same_keys() -> None:
    other = HERE._replace(model="gpt-4o-mini")
    assert shared_scopes([Keyed(ONE, HERE)], [Keyed(ONE, other)]) == ("method", "provider", "zone")


def test_a_year_is_the_calls_times_one_call(tables: Tables) -> None:
    weighed = weigh(plan(**{**CATALOGUE, "images": None}), tables)
    card = tables.catalogue.resolve("gpt-4o").card
    one = prepare(card, tables.places.resolve("openai"), tables.factors).estimate(Usage(input_tokens=500, output_tokens=400))
    calls = volume_of(weighed.scenario).text_calls
    for line in ("gco2e", "facility_energy_wh", "water_ml"):
        assert weighed.year(line).mean == pytest.approx(calls * getattr(one, line).mean, rel=1e-9)


def test_units_of_a_plan_add_up(tables: Tables) -> None:
    weighed = weigh(plan(products=10, languages=2, campaigns_per_year=3), tables)
    per = {unit: quantity.mean for unit, quantity in weighed.per_unit("gco2e").items()}
    assert per["year"] == pytest.approx(3 * per["campaign"])
    assert per["campaign"] == pytest.approx(10 * per["product"])
    assert per["product"] == pytest.approx(2 * per["text"])
    assert "picture" not in per


def test_a_larger_plan_is_no_surer(tables: Tables) -> None:
    small, large = (weigh(plan(products=products), tables).year("gco2e") for products in (1, 1_000_000))
    assert large.p95 / large.p5 == pytest.approx(small.p95 / small.p5, rel=0.01)


def with_pictures(tables: Tables) -> Weighed:
    return weigh(plan(images={"per_product": 1, "model": "gpt-image-1", "quality": "medium"}), tables)


def test_pictures_are_a_part_of_their_own(tables: Tables) -> None:
    weighed = with_pictures(tables)
    assert {part.kind for part in weighed.parts} == {TEXTS, PICTURES}
    assert weighed.year("gco2e").mean == pytest.approx(weighed.year("gco2e", TEXTS).mean + weighed.year("gco2e", PICTURES).mean, rel=1e-9)
    assert weighed.per_unit("gco2e")["picture"].mean > 0


def test_what_no_method_weighs_is_left_out_and_named(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("estimators.choose.METHODS", tuple(method for method in METHODS if method.id == "tokens"))
    weighed = with_pictures(tables)
    assert weighed.left_out == (PICTURES,)
    assert weighed.year("gco2e") == weigh(plan(), tables).year("gco2e")
    alone = weigh(plan(images=ScenarioImages(), texts_per_product=0), tables)
    assert alone.per_unit("gco2e") == {}


def test_pictures_by_a_model_that_makes_none_carry_a_warning(tables: Tables) -> None:
    weighed = weigh(plan(images=ScenarioImages(model="whisper-1"), texts_per_product=0), tables)
    assert "operation-not-of-model" in weighed.warnings


def test_a_plan_does_not_differ_from_itself(tables: Tables) -> None:
    weighed = with_pictures(tables)
    same = compare(weighed, weighed)
    assert (same.gco2e.mean, same.gco2e.p5, same.gco2e.p95) == (0.0, 0.0, 0.0)
    assert same.ratio == pytest.approx(1.0)


def test_parts_that_are_the_same_in_both_cancel(tables: Tables) -> None:
    texts, both = weigh(plan(), tables), with_pictures(tables)
    small = plan(model="gpt-4o-mini")
    plain = compare(weigh(small, tables), texts)
    pictured = compare(weigh(small.model_copy(update={"images": both.scenario.images}), tables), both)
    assert pictured.gco2e == plain.gco2e


def test_half_the_drafts_is_half_for_certain(tables: Tables) -> None:
    base = weigh(plan(products=1000, iterations=2), tables)
    fewer = compare(weigh(plan(products=1000, iterations=1), tables), base)
    assert fewer.ratio == pytest.approx(0.5)
    assert fewer.gco2e.p95 < 0
    assert fewer.gco2e.mean == pytest.approx(-base.year("gco2e").mean / 2)


def test_advice_follows_from_the_numbers_and_is_sorted(tables: Tables) -> None:
    weighed = weigh(plan(iterations=3, retries=0.2, images={"model": "gpt-image-1", "quality": "high"}), tables)
    found = advise(weighed, tables)
    means = [each.comparison.gco2e.mean for each in found]
    assert means == sorted(means)
    assert all(mean < 0 for mean in means)
    assert {each.kind for each in found} == {"iterations", "retries", "model", "region", "answer", "pictures"}
    for each in found:
        again = weigh(each.scenario, tables).year("gco2e").mean
        assert again - weighed.year("gco2e").mean == pytest.approx(each.comparison.gco2e.mean, rel=1e-9)


def test_advice_does_not_name_what_would_not_help(tables: Tables) -> None:
    lean = plan(model="ministral-3-3b", provider="azure", region="swedencentral", output_tokens=0)
    assert {each.kind for each in advise(weigh(lean, tables), tables)}.isdisjoint({"iterations", "retries", "answer", "pictures", "model"})


def test_a_smaller_relative_is_of_the_same_vendor_and_clearly_smaller(tables: Tables) -> None:
    cards, resolve = tables.catalogue.cards(), tables.catalogue.resolve
    smaller = smaller_relative(resolve("gpt-4o").card, cards)
    assert smaller is not None
    assert smaller.id == "gpt-4o-mini"
    assert smaller_relative(resolve("nobody-knows-this-one").card, cards) is None


def test_the_lowest_region_is_the_lowest_of_its_cloud(tables: Tables) -> None:
    region = lowest_region(("azure",), tables)
    assert region is not None
    places = [tables.places.resolve("azure", region=each.region) for each in tables.places.regions() if each.provider == "azure"]
    lowest = min(place.gco2e_per_kwh.value * place.pue.value for place in places)
    found = tables.places.resolve("azure", region=region.region)
    assert found.gco2e_per_kwh.value * found.pue.value == lowest


def test_everyday_units_give_back_the_mass() -> None:
    units = read_equivalences(files("config").joinpath("data"))
    for mass in (1.0, 5_000.0, 3e7):
        found = equivalents(mass, units)
        assert len(found) == 3
        assert all(math.isclose(each.times * each.unit.kgco2e_per_unit * 1000, mass) for each in found)
    assert equivalents(0, units) == ()


def test_the_example_that_ships_is_a_plan(tables: Tables) -> None:
    example = load_scenario(Path(str(files("config").joinpath("examples", "scenario.yaml"))))
    assert not weigh(example, tables).left_out


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("model: gpt-4o\nproduct: 3\n", ":2:1: product:", "did you mean `products`"),
        ("model: gpt-4o\nproducts: many\n", ":2:11: products:", "whole number"),
        ("products: 3\n", ": model:", "needed"),
        ("model: a\noutput_tokens: 5\noutput_words: 5\n", ":3:1: output_words:", "same thing"),
        ("model: a\nimages:\n  width: 1\n", ":3:10: images.width:", "at least 64"),
        ("model: a\ncached_input_tokens: 9\ninput_tokens: 5\n", ":2:22: cached_input_tokens:", "part of input_tokens"),
        ("model: a\ntexts_per_product: 0\n", ":2:20: texts_per_product:", "no pictures"),
        ("model: a\nmodel: b\n", ":2:1: model:", "twice"),
        ("- model\n", ":1:1:", "mapping"),
        ("model: [", "not valid YAML", ""),
    ],
)
def test_a_bad_scenario_file_is_refused_with_line_and_key(tmp_path: Path, text: str, where: str, words: str) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_scenario(file)
    assert str(file) in str(caught.value)
    assert where in str(caught.value)
    assert words in str(caught.value)


def test_a_change_from_the_command_line_lies_on_top_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text("model: gpt-4o\nimages: {quality: high}\n")
    found = load_scenario(file, {"model": "gpt-4o-mini", "images.width": 512})
    assert found.model == "gpt-4o-mini"
    assert found.images == ScenarioImages(quality="high", width=512)
    with pytest.raises(ConfigError, match="command line: products: must be a whole number"):
        load_scenario(file, {"products": "x"})


@pytest.mark.parametrize(("model", "provider"), [("gemini-2.5-flash", "google-gemini"), ("nova-pro", "aws-bedrock"), ("gpt-4o", "openai")])
def test_a_vendor_that_a_provider_row_names_otherwise_is_no_unknown_place(model: str, provider: str, tables: Tables) -> None:
    place = place_of(tables.catalogue.resolve(model).card, None, None, None, tables)
    assert place.provider == provider
    assert "provider-unknown" not in place.warnings
