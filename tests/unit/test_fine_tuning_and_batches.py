"""What training and a batch API weigh: by tokens and size, in their range, and never as the answers of a service."""

from dataclasses import replace

import pytest

from estimators import Usage, prepare
from tests.weighing_samples import CLOSED_FRONTIER, OPEN_8B, OPEN_70B, PARIS, US, shipped_factors, with_factor

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
