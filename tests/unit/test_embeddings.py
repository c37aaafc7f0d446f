"""Calls that only read: embeddings and moderation. It must never let one weigh nothing, or more for what it wrote."""

from dataclasses import replace

import pytest

from config.ranges import Range
from config.tables import load_tables
from estimators import Estimate, Usage, prepare
from estimators.physics_call import call_energy
from tests.weighing_samples import OPEN_8B, US, shipped_factors

CATALOGUE = load_tables().catalogue
SMALL = replace(OPEN_8B, id="small", total_params_b=Range.exact(0.3), active_params_b=Range.exact(0.3))
BOTH = ("embeddings", "moderation")


def weighed(usage: Usage, *, operation: str = "embeddings", model: str | None = None, prior: str = "typical") -> Estimate:
    card = OPEN_8B if model is None else CATALOGUE.resolve(model).card
    return prepare(card, US, shipped_factors(), operation=operation, operating_prior=prior).estimate(usage)


def test_reading_is_one_pass_and_the_input_tokens_worked_by_hand() -> None:
    prepared = prepare(SMALL, US, shipped_factors(), operation="embeddings")
    energy = call_energy(SMALL, shipped_factors(), "typical")
    mean_j = energy.call_mean_j + 250 * energy.prefill_mean_j + energy.decode.mean
    assert prepared.gpu_energy_j(Usage(input_tokens=250)).mean == pytest.approx(mean_j, rel=1e-9)
    cached_j = mean_j - 100 * energy.prefill_mean_j * (1 - energy.cached_token_ratio)
    assert prepared.gpu_energy_j(Usage(input_tokens=250, cached_input_tokens=100)).mean == pytest.approx(cached_j, rel=1e-9)


@pytest.mark.parametrize("operation", BOTH)
def test_a_call_without_any_count_still_weighs_its_pass(operation: str) -> None:
    estimate = weighed(Usage(), operation=operation)
    assert estimate.gco2e.p5 > 0
    assert "no-tokens" in estimate.warnings
    assert estimate.method == operation
    assert estimate.gco2e.mean < weighed(Usage(input_tokens=100), operation=operation).gco2e.mean


@pytest.mark.parametrize("operation", BOTH)
def test_what_was_written_does_not_count(operation: str) -> None:
    read = Usage(input_tokens=100)
    assert weighed(read, operation=operation).gco2e == weighed(replace(read, output_tokens=999), operation=operation).gco2e


def test_many_inputs_in_one_call_weigh_as_their_tokens_not_as_one_long_context() -> None:
    one, hundred = (weighed(Usage(input_tokens=1000 * n)).facility_energy_wh.mean for n in (1, 100))
    assert one * 90 < hundred < one * 100


def test_a_picture_weighs_more_than_a_sentence() -> None:
    assert weighed(Usage(input_images=1)).gco2e.mean > weighed(Usage(input_tokens=20)).gco2e.mean
    two, one = (weighed(Usage(input_tokens=20, input_images=n)).gco2e.mean for n in (2, 1))
    assert two > one


def test_a_larger_embedding_model_and_a_lonelier_one_weigh_more() -> None:
    query = Usage(input_tokens=200)
    small, large = (weighed(query, model=f"text-embedding-3-{size}").gco2e for size in ("small", "large"))
    assert small.mean < large.mean
    assert small.p95 < large.p95
    quiet, busy = (weighed(query, model="bge-m3", prior=prior).gco2e.mean for prior in ("low_traffic", "saturated"))
    assert busy < quiet


def test_a_single_query_is_below_a_hundredth_of_a_watt_hour_even_where_the_batch_is_small() -> None:
    found = weighed(Usage(input_tokens=20), model="text-embedding-3-small", prior="low_traffic")
    assert 1e-6 < found.facility_energy_wh.mean < 0.01
    assert found.facility_energy_wh.p95 < 0.01


def test_the_moderation_of_a_prompt_is_far_below_its_answer() -> None:
    judged = weighed(Usage(input_tokens=300), operation="moderation", model="omni-moderation-latest")
    answered = weighed(Usage(input_tokens=300, output_tokens=300), operation="chat", model="gpt-4o-mini")
    assert judged.method == "moderation"
    assert 0 < judged.gco2e.mean < answered.gco2e.mean / 5


def test_a_guard_that_answers_in_a_chat_is_weighed_by_its_tokens() -> None:
    assert weighed(Usage(input_tokens=300, output_tokens=5), operation="chat", model="llama-guard-3-8b").method == "tokens"


def test_coefficients_for_routing_are_those_of_the_calls() -> None:
    prepared = prepare(SMALL, US, shipped_factors(), operation="embeddings")
    per_unit = prepared.coefficients.facility_wh
    assert per_unit.output_token == 0
    assert per_unit.call > 0
    assert per_unit.image > 1000 * per_unit.fresh_input_token > 0
