"""The reviewed disclosure weighs the one version that it names, and published figures stand beside. It must never widen a name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from config.settings import MethodName
from config.tables import load_tables
from estimators import METHODS, Estimate, Prepared, Usage, prepare
from estimators.methods.disclosed import LONG_PROMPT, NO_ANSWER, NOTHING_DISCLOSED, OF_ANOTHER_PROVIDER, DisclosedMethod
from estimators.usage import Metered
from tests.unit.test_tables import copied, header_of, put, spoil
from tests.weighing_samples import OPEN_70B, PARIS, US

__all__ = ["copied"]
ANSWER = Usage(input_tokens=100, output_tokens=400)
NAMED = (
    "mistral-large-2",
    "mistral-large-2407",
    "mistral.mistral-large-2407-v1:0",
    "azure/mistral-large-2407",
    "mistralai/Mistral-Large-Instruct-2407",
)
NAMESAKES = (
    "mistral-large", "mistral-large-latest", "mistral-large-2411", "mistral-large-2.1", "mistral-large-2512", "mistral-large-3",
    "mistralai/Mistral-Large-Instruct-2411", "mistral-large-2402", "mistral-large-2-2506", "mistral-large-2-latest", "mistral-large-2-foo",
    "mistral-large-2407-abc", "mistral-large-2407-awq", "mistral-large@2407", "pixtral-large", "mistral-large-123b",
)  # fmt: skip


def prepared(name: str = "mistral-large-2407", **settings: Any) -> Prepared:
    tables = load_tables()
    return prepare(tables.catalogue.resolve(name).card, PARIS, tables.factors, **settings)


def weighed(usage: Usage = ANSWER, **settings: Any) -> Estimate:
    return prepared(**settings).estimate(usage)


@pytest.mark.parametrize("name", NAMED)
def test_the_version_that_was_assessed_is_weighed_by_its_disclosure(name: str) -> None:
    assert prepared(name).estimate(ANSWER).method == "disclosed"


@pytest.mark.parametrize("name", NAMESAKES)
def test_no_namesake_is(name: str) -> None:
    assert prepared(name).estimate(ANSWER).method == "tokens"


def test_the_unit_of_the_disclosure_weighs_what_it_says() -> None:
    estimate = weighed()
    assert estimate.gco2e.mean == pytest.approx(1.14, rel=1e-9)
    assert estimate.water_ml.mean == pytest.approx(45, rel=1e-9)
    assert estimate.adpe_kgsbeq.mean == pytest.approx(1.6e-7, rel=1e-9)
    assert estimate.quality == "A"
    assert estimate.gco2e.p5 < 1.14 < estimate.gco2e.p95


def test_it_scales_with_the_output() -> None:
    assert weighed(Usage(input_tokens=100, output_tokens=800)).gco2e.mean == pytest.approx(2.28, rel=1e-9)


def test_its_lines_add_up_to_its_total() -> None:
    estimate = weighed()
    assert estimate.operational_gco2e.mean + estimate.embodied_gco2e.mean == pytest.approx(estimate.gco2e.mean, rel=1e-9)


def test_energy_comes_from_the_tokens_and_says_so() -> None:
    estimate, modelled = weighed(), weighed(method="tokens")
    assert estimate.facility_energy_wh == modelled.facility_energy_wh
    assert {"energy-modelled", "split-modelled", "place-of-the-disclosure"} <= set(estimate.warnings)


def test_its_grams_do_not_follow_the_place_of_the_call() -> None:
    tables = load_tables()
    card = tables.catalogue.resolve("mistral-large-2407").card
    assert prepare(card, US, tables.factors).estimate(ANSWER).gco2e.mean == pytest.approx(1.14, rel=1e-9)


def test_another_provider_of_the_same_weights_is_said() -> None:
    assert PARIS.provider != "mistral"
    assert OF_ANOTHER_PROVIDER in weighed().warnings


def test_a_prompt_longer_than_the_disclosure_holds_weighs_on_top() -> None:
    usage = Usage(input_tokens=100_000, output_tokens=10)
    estimate, modelled = weighed(usage), weighed(usage, method="tokens")
    assert LONG_PROMPT in estimate.warnings
    assert estimate.gco2e.mean > 0.9 * modelled.gco2e.mean
    assert estimate.quality == modelled.quality


def test_a_call_without_an_answer_is_weighed_by_the_model() -> None:
    usage = Usage(input_tokens=100, output_tokens=0)
    estimate = weighed(usage)
    assert estimate.gco2e == weighed(usage, method="tokens").gco2e
    assert NO_ANSWER in estimate.warnings


@pytest.mark.parametrize("more", [{"output_tokens": 1}, {"input_tokens": 5}, {"output_tokens": 401}, {"input_tokens": 90_000}])
def test_more_tokens_never_weigh_less(more: dict[str, int]) -> None:
    for base in (Usage(), Usage(input_tokens=5000), Usage(input_tokens=5000, output_tokens=1), ANSWER):
        heavier = replace(
            base,
            input_tokens=base.input_tokens + more.get("input_tokens", 0),
            output_tokens=base.output_tokens + more.get("output_tokens", 0),
        )
        assert weighed(heavier).gco2e.mean >= weighed(base).gco2e.mean * (1 - 1e-12)


def test_a_cut_answer_covers_what_may_have_been_written() -> None:
    cut = Usage(input_tokens=100, output_tokens=40, partial=True)
    assert prepared().estimate(cut, possible_output_tokens=400).gco2e.p95 >= weighed().gco2e.p95


def test_a_meter_goes_before_the_disclosure_unless_the_order_says_otherwise() -> None:
    metered = Usage(input_tokens=100, output_tokens=400, metered=Metered(energy_wh=0.4, boundary="it", source="dcgm"))
    assert weighed(metered).method == "metered"
    assert weighed(metered, methods=("disclosed", "metered", "tokens")).method == "disclosed"
    assert weighed(metered, methods=("tokens",)).method == "tokens"


def test_routing_compares_by_the_disclosed_figure() -> None:
    coefficient = prepared().coefficients.gco2e.output_token
    assert coefficient == pytest.approx(1.14 / 400, rel=0.05)


def test_a_boundary_with_training_and_network_adds_them() -> None:
    whole = prepared(profile="ghgp-cat1").estimate(ANSWER, network_bytes=5000)
    assert whole.training_gco2e is not None
    assert whole.network_gco2e is not None
    expected = 1.14 + whole.training_gco2e.mean + whole.network_gco2e.mean
    assert whole.gco2e.mean == pytest.approx(expected, rel=1e-9)


def test_a_model_without_a_disclosure_is_weighed_by_tokens_and_says_so_when_the_method_is_named() -> None:
    tables = load_tables()
    assert not DisclosedMethod().covers("chat", OPEN_70B)
    named, usual = (prepare(OPEN_70B, PARIS, tables.factors, method=method).estimate(ANSWER) for method in ("disclosed", "tokens"))
    assert named.gco2e == usual.gco2e
    assert named.quality == usual.quality
    assert NOTHING_DISCLOSED in named.warnings


def test_every_method_that_weighs_by_itself_can_be_ordered() -> None:
    assert {"metered", *(method.id for method in METHODS)} <= set(get_args(MethodName))


def test_evidence_stands_beside_its_model_and_no_other() -> None:
    tables = load_tables()
    assert [row.id for row in tables.evidence_for("mistral-large-2")] == ["mistral-large-2-answer"]
    assert {row.id for row in tables.evidence_for("gpt-4o")} == {"epoch-gpt-4o", "jegham-gpt-4o-short"}
    assert tables.evidence_for("mistral-large-3") == ()
    cards = {card.id for card in tables.catalogue.cards()}
    assert all(model in cards for row in tables.evidence.rows for model in row.models)


def test_evidence_keeps_product_figures_without_a_model() -> None:
    gemini = next(row for row in load_tables().evidence.rows if row.id == "google-gemini-prompt")
    assert gemini.models == ()
    assert gemini.energy_wh is not None
    assert gemini.energy_wh.value == 0.24


@pytest.mark.parametrize(
    ("file", "column", "value", "complaint"),
    [
        ("disclosures.csv", "model", "mistral-large-9", "'mistral-large-9' is not in models.csv"),
        ("disclosures.csv", "gco2e", "0", "column 'gco2e'"),
        ("disclosures.csv", "unit_output_tokens", "0.5", "column 'unit_output_tokens'"),
        ("disclosures.csv", "url", "http://x", "column 'url'"),
        ("evidence.csv", "kind", "guessed", "column 'kind'"),
        ("evidence.csv", "energy_wh", "", "column 'energy_wh'"),
        ("evidence.csv", "energy_low_wh", "9", "column 'energy_wh'"),
    ],
)
def test_a_bad_row_is_refused(copied: Path, file: str, column: str, value: str, complaint: str) -> None:
    line = 3 if file == "evidence.csv" else 2
    change: Callable[[list[str]], list[str]] = put(column, value, header_of(copied, file))
    spoil(copied, file, line, change)
    with pytest.raises(ValueError, match=complaint):
        load_tables(copied)
