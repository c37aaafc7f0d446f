"""What training and a batch API weigh: by tokens and size, in their range, and never as the answers of a service."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.ranges import Range
from estimators import Usage, prepare
from estimators.hardware import Hardware
from estimators.profiles import PROFILES
from tests.weighing_samples import CLOSED_FRONTIER, OPEN_8B, OPEN_70B, PARIS, UNKNOWN, US, shipped_factors, with_factor

TRAINED = Usage(input_tokens=1_000_000)
ANSWER = Usage(input_tokens=1000, output_tokens=500)


def test_training_is_the_arithmetic_of_its_tokens() -> None:
    factors = shipped_factors()
    weighed = prepare(OPEN_8B, US, factors, operation="training")
    flop = 1e6 * OPEN_8B.active_params_b.value * 1e9 * factors["fine_tuning.flop_per_param_token"].value
    gpu_j = flop / 1e12 * factors["fine_tuning.gpu_j_per_tflop"].value
    assert weighed.gpu_energy_j(TRAINED).mean == pytest.approx(gpu_j, rel=1e-9)
    assert weighed.estimate(TRAINED).method == "training"
    assert weighed.estimate(replace(TRAINED, output_tokens=99)).gco2e == weighed.estimate(TRAINED).gco2e


def test_training_weighs_with_the_model_the_tokens_and_the_place() -> None:
    factors = shipped_factors()
    small, large = (prepare(card, US, factors, operation="training") for card in (OPEN_8B, OPEN_70B))
    assert large.estimate(TRAINED).gco2e.mean > 5 * small.estimate(TRAINED).gco2e.mean
    twice = replace(TRAINED, input_tokens=2_000_000)
    assert small.estimate(twice).gco2e.mean == pytest.approx(2 * small.estimate(TRAINED).gco2e.mean, rel=1e-9)
    clean = prepare(OPEN_8B, PARIS, factors, operation="training").estimate(TRAINED)
    assert clean.operational_gco2e.mean < small.estimate(TRAINED).operational_gco2e.mean


def test_a_token_trained_on_costs_some_times_one_that_is_read() -> None:
    """Three times the arithmetic, on machines less well used."""
    short = Usage(input_tokens=1000)
    trained, read = (
        prepare(OPEN_70B, US, shipped_factors(), operation=name).gpu_energy_j(short).mean for name in ("training", "embeddings")
    )
    assert 3 < trained / read < 7


def test_training_of_a_closed_model_is_known_less() -> None:
    factors = shipped_factors()
    known, guessed = (prepare(card, US, factors, operation="training").estimate(TRAINED) for card in (OPEN_8B, CLOSED_FRONTIER))
    assert guessed.gco2e.variance.model > known.gco2e.variance.model == 0
    assert "operation-not-of-model" not in known.warnings
    assert known.gco2e.p5 < known.gco2e.mean < known.gco2e.p95


def test_a_batch_weighs_its_share_of_the_same_tokens_and_says_so() -> None:
    factors = shipped_factors()
    ratio = factors["batch_api.gpu_energy_ratio"].value
    for operation in ("chat", "embeddings"):
        usual = prepare(OPEN_70B, US, factors, operation=operation).estimate(ANSWER)
        batched = prepare(OPEN_70B, US, factors, operation=operation, batched=True).estimate(ANSWER)
        assert batched.facility_energy_wh.mean == pytest.approx(ratio * usual.facility_energy_wh.mean, rel=1e-9)
        assert batched.gco2e.mean == pytest.approx(ratio * usual.gco2e.mean, rel=1e-9)
        assert batched.gco2e.variance.provider > usual.gco2e.variance.provider
        assert ("batch-api" in batched.warnings, "batch-api" in usual.warnings) == (True, False)


def test_coefficients_of_a_batch_follow() -> None:
    factors = with_factor("batch_api.gpu_energy_ratio", value=1.0, low=1.0, high=1.0)
    usual, batched = (prepare(OPEN_8B, US, factors, batched=flag) for flag in (False, True))
    assert batched.coefficients.gco2e == pytest.approx(usual.coefficients.gco2e, rel=1e-9)


def test_a_job_bears_no_share_of_the_training_that_serving_bears_and_is_whole_in_every_profile() -> None:
    found = {
        name: prepare(OPEN_8B, US, shipped_factors(), operation="training", profile=name).estimate(TRAINED, None, 0) for name in PROFILES
    }
    for estimate in found.values():
        assert estimate.training_gco2e is None
        assert estimate.gco2e.mean == pytest.approx(estimate.operational_gco2e.mean + estimate.embodied_gco2e.mean, rel=1e-9)
    assert prepare(OPEN_8B, US, shipped_factors(), profile="ghgp-cat1").estimate(ANSWER).training_gco2e is not None


def test_what_is_known_of_the_machines_that_serve_says_nothing_of_those_that_train() -> None:
    known = Hardware(gpu="b200", batch=64)
    factors = shipped_factors()
    stated, unstated = (prepare(CLOSED_FRONTIER, US, factors, operation="training", hardware=each) for each in (known, Hardware()))
    assert stated.estimate(TRAINED) == unstated.estimate(TRAINED)
    assert stated.estimate(TRAINED).quality == "D"
    assert prepare(UNKNOWN, US, factors, operation="training").estimate(TRAINED).quality == "E"


@pytest.mark.parametrize(("billion", "million_gpu_hours"), [(8, 1.46), (70, 7.0), (405, 30.84)])
def test_published_training_of_open_models_lies_in_the_range(billion: int, million_gpu_hours: float) -> None:
    """Llama 3.1 by its model card: hours of H100, here at 90 % of 700 W, for 15e12 tokens."""
    card = replace(OPEN_8B, active_params_b=Range.exact(float(billion)), total_params_b=Range.exact(float(billion)))
    weighed = prepare(card, US, shipped_factors(), operation="training").gpu_energy_j(Usage(input_tokens=15 * 10**12))
    published_j = million_gpu_hours * 1e6 * 3600 * 700 * 0.9
    assert weighed.p5 < published_j < weighed.p95


@given(
    st.sampled_from(("chat", "embeddings")),
    st.integers(0, 5000),
    st.integers(0, 5000),
    st.integers(0, 2000),
    st.integers(1, 100_000),
    st.sampled_from(("gpt-4o-mini", "house-model")),
)
def test_many_calls_of_one_size_weigh_as_many_times_one(
    operation: str, text: int, shown: int, written: int, calls: int, card_id: str
) -> None:
    prepared = prepare(replace(OPEN_70B, id=card_id), US, shipped_factors(), operation=operation, batched=True)
    one = Usage(input_tokens=text + shown, image_input_tokens=shown, cached_input_tokens=text // 2, output_tokens=written)
    names = ("input_tokens", "image_input_tokens", "cached_input_tokens", "output_tokens")
    all_of_them = replace(one, calls=calls, **{name: getattr(one, name) * calls for name in names})
    single, whole = prepared.estimate(one), prepared.estimate(all_of_them)
    assert whole.gco2e.mean == pytest.approx(single.gco2e.mean * calls, rel=1e-9)
    assert whole.gco2e.p95 == pytest.approx(single.gco2e.p95 * calls, rel=1e-9)


def test_one_endless_call_weighs_more_than_the_calls_it_is_the_sum_of() -> None:
    prepared = prepare(OPEN_8B, US, shipped_factors(), batched=True)
    total = Usage(input_tokens=1_000_000, output_tokens=500_000)
    grams = [prepared.estimate(replace(total, calls=calls)).gco2e.mean for calls in (1, 10, 1000)]
    assert grams[0] > 5 * grams[1] > 5 * grams[2]
    with pytest.raises(ValueError, match="calls"):
        replace(total, calls=0)
