"""The first methods, weighed on samples: form, lines, labels, quality, partial answers."""

import math
import time
from dataclasses import replace
from importlib.resources import files

import pytest

from config.factor_audit import is_described
from config.factors import Factor, FactorSet
from config.ranges import Range
from estimators import METHODS, Estimate, Usage, prepare
from estimators.choose import OPERATING_PRIORS
from estimators.hardware import Hardware
from estimators.model_shape import shape_of
from estimators.physics import Deployment, energy_form, gpus_needed
from estimators.quantity import Quantity
from tests.weighing_samples import CLOSED_LARGE, OPEN_8B, OPEN_70B, OPEN_MOE, PARIS, UNKNOWN, US, shipped_card, shipped_factors, with_factor

ANSWER = Usage(input_tokens=1000, output_tokens=500)
LINES = (
    "it_energy_wh",
    "facility_energy_wh",
    "gpu_seconds",
    "operational_gco2e",
    "embodied_gco2e",
    "gco2e",
    "water_ml",
    "primary_energy_mj",
    "adpe_kgsbeq",
)


def quantities(estimate: Estimate) -> dict[str, Quantity]:
    return {name: getattr(estimate, name) for name in LINES}


def deployment(batch: float, *, total_b: float = 70, active_b: float = 70, gpus: float = 4, width: float = 2) -> Deployment:
    card = replace(OPEN_70B, total_params_b=Range.exact(total_b), active_params_b=Range.exact(active_b))
    return Deployment(shape=shape_of(card, total_b, active_b), gpus=gpus, batch=batch, bytes_per_param=width)


def test_batch_shares_the_step_as_measured() -> None:
    form = energy_form(shipped_factors())
    at_8, at_64, at_256 = (form.decode_gpu_j_per_token(deployment(batch)) for batch in (8, 64, 256))
    assert 0.17 < at_64 / at_8 < 0.28, "measured with the prompt's energy, which the batch does not share: 0.21 for 70B"
    assert 0.42 < at_256 / at_64 < 0.67, "measured, dense: 0.61, interquartile range 0.59 to 0.67"


def test_more_gpus_cost_more_at_the_same_batch_as_measured() -> None:
    form = energy_form(shipped_factors())
    at_4, at_8 = (form.decode_gpu_j_per_token(deployment(64, gpus=gpus)) for gpus in (4, 8))
    assert 1.2 < at_8 / at_4 < 1.45, "measured 1.32, interquartile range 1.26 to 1.40"


def test_prefill_per_token_agrees_with_the_long_prompt_measured_on_gh200() -> None:
    form = energy_form(shipped_factors())
    growth = 1 + 30035 / shipped_factors()["prefill.context_doubling_tokens"].value
    at = deployment(1, total_b=7.6, active_b=7.6, gpus=1)
    assert form.prefill_gpu_j_per_token(at) * growth == pytest.approx(0.01858, rel=0.8)


def test_touched_parameters_grow_from_active_to_total() -> None:
    form = energy_form(shipped_factors())
    one, few, many = (form.touched_params_b(deployment(batch, total_b=235, active_b=22)) for batch in (1, 8, 4096))
    assert one == pytest.approx(22, rel=1e-3)
    assert one < few < 8 * 22
    assert many == pytest.approx(235, rel=1e-9)
    assert form.touched_params_b(deployment(3)) == 70


@pytest.mark.parametrize(
    ("total_b", "width", "memory_gb", "gpus"), [(8, 2, 80, 1), (27, 2, 80, 1), (32, 2, 80, 2), (70, 2, 80, 4), (405, 1, 180, 4)]
)
def test_the_number_of_gpus_follows_from_memory(total_b: float, width: float, memory_gb: float, gpus: int) -> None:
    assert gpus_needed(total_b, width, memory_gb, shipped_factors()["fleet.memory_headroom_ratio"].value) == gpus


def test_lines_hang_together() -> None:
    estimate = prepare(OPEN_70B, US, shipped_factors()).estimate(ANSWER)
    facility_kwh = estimate.facility_energy_wh.mean / 1000
    assert estimate.facility_energy_wh.mean == pytest.approx(estimate.it_energy_wh.mean * US.pue.value, rel=1e-9)
    assert estimate.operational_gco2e.mean == pytest.approx(facility_kwh * US.gco2e_per_kwh.value, rel=1e-9)
    assert estimate.gco2e.mean == pytest.approx(estimate.operational_gco2e.mean + estimate.embodied_gco2e.mean, rel=1e-9)
    assert estimate.water_ml.mean == pytest.approx(
        estimate.it_energy_wh.mean * US.wue_onsite_l_per_kwh.value + estimate.facility_energy_wh.mean * US.water_offsite_l_per_kwh.value,
        rel=1e-9,
    )
    assert estimate.primary_energy_mj.mean > facility_kwh * US.primary_energy_mj_per_kwh.value
    assert estimate.training_gco2e is not None
    assert estimate.training_gco2e.mean > 0
    assert estimate.network_gco2e is None


def test_embodied_carbon_per_gpu_watt_hour_is_that_of_the_reference() -> None:
    prepared = prepare(OPEN_70B, US, shipped_factors())
    gpu_wh = prepared.gpu_energy_j(ANSWER).mean / 3600
    estimate = prepared.estimate(ANSWER)
    assert 0.05 < estimate.embodied_gco2e.p50 / (prepared.gpu_energy_j(ANSWER).p50 / 3600) < 0.25
    assert 1.2 < estimate.it_energy_wh.mean / gpu_wh < 2.0


def test_market_based_stands_only_where_the_place_has_it() -> None:
    assert prepare(OPEN_70B, US, shipped_factors()).estimate(ANSWER).market_based_gco2e is None
    estimate = prepare(OPEN_70B, PARIS, shipped_factors()).estimate(ANSWER)
    assert estimate.market_based_gco2e is not None
    assert estimate.market_based_gco2e.mean == pytest.approx(estimate.facility_energy_wh.mean / 1000 * 5.0, rel=1e-9)


def test_one_utilisation_moves_idle_and_embodied_together() -> None:
    low, high = (
        prepare(OPEN_70B, US, with_factor("utilisation.typical", value=value, low=value, high=value)).estimate(ANSWER)
        for value in (0.3, 0.6)
    )
    assert low.it_energy_wh.mean > high.it_energy_wh.mean
    assert low.embodied_gco2e.mean == pytest.approx(2 * high.embodied_gco2e.mean, rel=1e-9)


def test_labels_name_method_factors_zone_and_warnings() -> None:
    estimate = prepare(OPEN_70B, US, shipped_factors(), match_warnings=("model-unknown",)).estimate(ANSWER)
    assert (estimate.method, estimate.profile, estimate.zone) == ("tokens", "sci-consumer", "US")
    assert estimate.factor_set == "test+ffffffffffff"
    assert (estimate.gco2e_per_kwh, estimate.intensity_year, estimate.intensity_source) == (414.0, 2025, "test")
    assert estimate.warnings == ("model-unknown", "region-assumed")


def test_embeddings_are_charged_for_reading_only() -> None:
    prepared = prepare(OPEN_8B, US, shipped_factors(), operation="embeddings")
    reading = prepared.estimate(Usage(input_tokens=500))
    assert reading.method == "embeddings"
    assert reading.gco2e == prepared.estimate(Usage(input_tokens=500, output_tokens=400)).gco2e
    assert (
        reading.facility_energy_wh.mean
        < prepare(OPEN_8B, US, shipped_factors()).estimate(Usage(input_tokens=500, output_tokens=1)).facility_energy_wh.mean
    )
    assert 0 < reading.facility_energy_wh.p95 < 0.05


def test_an_embedding_query_stays_below_a_hundredth_of_a_watt_hour() -> None:
    small = replace(OPEN_8B, total_params_b=Range.exact(0.6), active_params_b=Range.exact(0.6))
    estimate = prepare(small, US, shipped_factors(), operation="embeddings").estimate(Usage(input_tokens=100))
    assert 0 < estimate.facility_energy_wh.p95 < 0.01


def test_unknown_model_is_weighed_wide_and_marked() -> None:
    factors = shipped_factors()
    unknown = prepare(UNKNOWN, US, factors, match_warnings=("model-unknown",)).estimate(ANSWER)
    known = prepare(CLOSED_LARGE, US, factors).estimate(ANSWER)
    assert unknown.gco2e.mean > 0
    assert unknown.gco2e.p95 / unknown.gco2e.p5 > known.gco2e.p95 / known.gco2e.p5
    assert unknown.quality_parts.model == "E"
    assert unknown.quality == "E"
    assert "model-unknown" in unknown.warnings


def test_quality_is_the_tier_of_the_part_that_doubts_most() -> None:
    factors = shipped_factors()
    assert prepare(OPEN_70B, US, factors).estimate(ANSWER).quality == "D", "the assumed deployment"
    guessed = replace(ANSWER, source="estimated", partial=True)
    certain = prepare(OPEN_70B, PARIS, factors, operating_prior="saturated").estimate(guessed)
    assert certain.quality == "E", "the guessed length"
    assert certain.quality_parts.usage == "E"
    nowhere = replace(US, gco2e_per_kwh=Range(414.0, 10.0, 1500.0), tier="E")
    assert prepare(OPEN_70B, nowhere, factors, operating_prior="saturated").estimate(ANSWER).quality == "E", "the unknown zone"


@pytest.mark.parametrize(("source", "tier"), [("provider", "A"), ("counted", "C"), ("estimated", "E")])
def test_who_counted_sets_the_usage_tier_and_not_the_mean(source: str, tier: str) -> None:
    prepared = prepare(OPEN_70B, US, shipped_factors())
    usage = Usage(input_tokens=1000, output_tokens=500, source=source)  # type: ignore[arg-type]  # parametrised over the literal
    estimate = prepared.estimate(usage)
    assert estimate.quality_parts.usage == tier
    assert estimate.gco2e.mean == pytest.approx(prepared.estimate(ANSWER).gco2e.mean, rel=1e-9)


def test_no_tokens_is_not_a_silent_zero() -> None:
    estimate = prepare(OPEN_70B, US, shipped_factors()).estimate(Usage())
    assert "no-tokens" in estimate.warnings
    for quantity in quantities(estimate).values():
        assert 0 < quantity.p5 <= quantity.mean < 1e-2


def test_an_image_costs_its_encoder_besides_its_tokens() -> None:
    prepared = prepare(OPEN_MOE, US, shipped_factors())
    text = Usage(input_tokens=1300, output_tokens=300)
    image = replace(text, image_input_tokens=1000, input_images=1)
    extra_j = prepared.gpu_energy_j(image).mean - prepared.gpu_energy_j(text).mean
    assert 25 < extra_j < 130
    unnumbered = prepared.gpu_energy_j(replace(text, image_input_tokens=1000)).mean
    assert unnumbered == pytest.approx(prepared.gpu_energy_j(image).mean, rel=1e-9)


def test_coefficients_are_the_medians_of_single_tokens() -> None:
    prepared = prepare(OPEN_70B, US, shipped_factors())
    c = prepared.coefficients
    decode = prepared.estimate(Usage(output_tokens=1000))
    assert c.facility_wh.output_token * 1000 == pytest.approx(decode.facility_energy_wh.p50, rel=0.1)
    assert c.gco2e.output_token * 1000 == pytest.approx(decode.gco2e.p50, rel=0.1)
    assert 0 < c.gco2e.call < c.gco2e.fresh_input_token * 10
    assert c.gco2e.cached_input_token < c.gco2e.fresh_input_token < c.gco2e.output_token


@pytest.mark.parametrize("possible", [501, 700, 2_000, 16_000, 128_000])
@pytest.mark.parametrize(
    "usage", [replace(ANSWER, partial=True), replace(ANSWER, partial=True, source="counted"), Usage(input_tokens=50, partial=True)]
)
def test_the_high_end_of_a_cut_answer_covers_the_provider_having_gone_on(possible: int, usage: Usage) -> None:
    prepared = prepare(CLOSED_LARGE, US, shipped_factors())
    cut, alone = prepared.estimate(usage, possible), prepared.estimate(usage)
    gone_on = prepared.estimate(replace(usage, output_tokens=possible, partial=False))
    for name in LINES:
        high, counted, full = getattr(cut, name), getattr(alone, name), getattr(gone_on, name)
        assert high.p95 >= full.p95 * (1 - 1e-9), name
        assert counted.mean * (1 - 1e-9) <= high.mean, name
        assert high.mean <= max(full.mean, counted.mean) * 1.3, name
        assert high.variance.call >= counted.variance.call
        assert high.variance[:4] == pytest.approx(counted.variance[:4])


def test_a_possible_length_below_the_counted_one_changes_nothing() -> None:
    prepared = prepare(OPEN_70B, US, shipped_factors())
    assert prepared.estimate(ANSWER, 100) == prepared.estimate(ANSWER)


def test_the_operation_that_no_method_covers_is_weighed_with_a_warning() -> None:
    estimate = prepare(OPEN_70B, US, shipped_factors(), operation="rerank").estimate(ANSWER)
    assert estimate.method == "tokens"
    assert "operation-not-covered" in estimate.warnings
    assert estimate.gco2e.mean > 0


@pytest.mark.parametrize("wrong", [{"method": "magic"}, {"operating_prior": "busy"}, {"profile": "green"}])
def test_a_choice_that_does_not_exist_is_refused_by_name(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong.values()))}.*known"):
        prepare(OPEN_70B, US, shipped_factors(), **wrong)  # type: ignore[arg-type]  # one keyword at a time


def test_methods_have_distinct_stamps() -> None:
    assert len({method.id for method in METHODS}) == len(METHODS)
    assert prepare(OPEN_70B, US, shipped_factors(), method="embeddings").estimate(ANSWER).method == "embeddings"


def test_factors_without_any_doubt_leave_only_the_place_and_the_deployment() -> None:
    rows = {
        key: replace(row, low=row.value, high=row.value, value=0.0 if ".sd_" in key else row.value)
        for key, row in shipped_factors().items()
    }
    rows = {key: replace(row, low=row.value, high=row.value) for key, row in rows.items()}
    estimate = prepare(OPEN_70B, US, FactorSet(rows, version="t", fingerprint="0" * 64)).estimate(ANSWER)
    assert estimate.gco2e.variance.method == pytest.approx(0, abs=1e-12)
    assert estimate.gco2e.variance.model == pytest.approx(0, abs=1e-12)
    assert estimate.gco2e.variance.zone > 0
    assert estimate.gco2e.variance.provider > 0


class Reading(FactorSet):
    """Factors that remember which rows were read."""

    __slots__ = ("read",)

    def __init__(self, rows: FactorSet) -> None:
        super().__init__(rows, version="t", fingerprint="0" * 64)
        self.read: set[str] = set()

    def __getitem__(self, factor_id: str) -> Factor:
        self.read.add(factor_id)
        return super().__getitem__(factor_id)


BILLED_APART = ("gpt-4o-mini", "gpt-4.1-mini", "gpt-4.1-nano", "codex-mini-latest", "gpt-5-mini", "gpt-5-nano", "gpt-6-sol")
OF_THE_TEXT_FORM = (
    "batch.",
    "call.",
    "decode.",
    "embodied.",
    "fleet.",
    "form.",
    "frontend.",
    "gpu.",
    "host.",
    "idle.",
    "precision.",
    "prefill.",
    "vision.",
)


def test_every_factor_row_of_the_text_form_is_used() -> None:
    factors = shipped_factors()
    used = Reading(factors)
    for card in (OPEN_70B, replace(OPEN_MOE, reasoning=True), UNKNOWN):
        for prior in OPERATING_PRIORS:
            prepare(card, US, used, operating_prior=prior)
    known_as = {name.split(".")[1] for name in factors if name.startswith(("gpu.", "precision."))}
    for name in known_as:
        for hardware in (Hardware(gpu=name, stack="2024"), Hardware(precision=name)):
            prepare(shipped_card("deepseek-v3"), US, used, hardware=hardware)
    for card in (replace(OPEN_8B, id=name) for name in BILLED_APART):
        prepare(card, US, used)
    rest = {name for name in factors if name.startswith(OF_THE_TEXT_FORM)} - used.read
    assert {name for name in rest if not name.endswith("_water_l")} == set(), "water of making the machines is a line of its own"


def test_every_factor_row_is_described() -> None:
    text = files("estimators").joinpath("METHODS.md").read_text(encoding="utf-8")
    assert [row.id for row in shipped_factors().values() if not is_described(row.id, text)] == []


def test_weighing_is_fast() -> None:
    prepared = prepare(CLOSED_LARGE, US, shipped_factors())

    def best_s(action: object, times: int) -> float:
        assert callable(action)
        found = math.inf
        for _ in range(5):
            start = time.process_time()
            for _ in range(times):
                action()
            found = min(found, (time.process_time() - start) / times)
        return found

    assert best_s(lambda: prepared.estimate(ANSWER), 1000) < 45e-6, "budget 15 us; three times that on a busy machine"
    assert best_s(lambda: prepare(CLOSED_LARGE, US, shipped_factors()), 3) < 60e-3, "budget 20 ms"
