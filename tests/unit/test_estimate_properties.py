"""Properties that hold for every model, place, usage and method."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.catalogue import ModelCard
from config.factors import FactorSet
from config.places import Place
from config.ranges import Range
from config.tables import load_tables
from estimators import METHODS, Estimate, Usage, prepare
from estimators.physics import energy_form
from estimators.physics_lines import HIGH_SLACK, average, log_sd
from estimators.physics_mixture import fleet
from estimators.quantity import Z95, Quantity
from tests.weighing_samples import CLOSED_FRONTIER, OPEN_8B, OPEN_70B, OPEN_MOE, PARIS, UNKNOWN, US, shipped_factors, with_factor

CARDS = (OPEN_8B, OPEN_70B, OPEN_MOE, CLOSED_FRONTIER, UNKNOWN)
PRIORS = ("saturated", "typical", "low_traffic")

cards = st.sampled_from(CARDS)
places = st.sampled_from((US, PARIS))
priors = st.sampled_from(PRIORS)
operations = st.sampled_from(("chat", "completions", "embeddings"))

MIXTURE_SLACK = 0.01
"""A wider prior moves the nodes of the mixture, whose spread then follows its width to within this share."""


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    n_in, n_out = draw(st.integers(0, 200_000)), draw(st.integers(0, 100_000))
    return Usage(
        input_tokens=n_in,
        cached_input_tokens=draw(st.integers(0, n_in)),
        image_input_tokens=draw(st.integers(0, n_in)),
        output_tokens=n_out,
        reasoning_output_tokens=draw(st.integers(0, n_out)),
        input_images=draw(st.integers(0, 4)),
        source=draw(st.sampled_from(("provider", "counted", "estimated"))),
        partial=draw(st.booleans()),
    )


def lines(estimate: Estimate) -> list[Quantity]:
    found = (getattr(estimate, name) for name in Estimate._fields)
    return [value for value in found if isinstance(value, Quantity)]


@settings(deadline=None)
@given(cards, places, priors, operations, usages(), st.none() | st.integers(0, 300_000))
def test_every_line_is_finite_ordered_and_its_mean_is_above_its_median(
    card: ModelCard, place: Place, prior: str, operation: str, usage: Usage, possible: int | None
) -> None:
    prepared = prepare(card, place, shipped_factors(), operation=operation, operating_prior=prior)
    estimate = prepared.estimate(usage, possible)
    assert len(lines(estimate)) >= 9
    for q in lines(estimate):
        assert 0 < q.p5 <= q.p50 <= q.p95
        assert q.p50 <= q.mean
        assert math.isfinite(q.mean)
        assert math.isfinite(q.p95)
        assert min(q.variance) >= 0


@settings(deadline=None)
@given(cards, usages(), st.integers(1, 10_000))
def test_more_tokens_never_weigh_less(card: ModelCard, usage: Usage, more: int) -> None:
    prepared = prepare(card, US, shipped_factors())
    start = prepared.estimate(usage).gco2e
    longer = prepared.estimate(replace(usage, output_tokens=usage.output_tokens + more)).gco2e
    fuller = prepared.estimate(replace(usage, input_tokens=usage.input_tokens + more)).gco2e
    for after in (longer, fuller):
        assert after.mean > start.mean
        assert after.p95 >= start.p95 * (1 - 1e-9)


@settings(deadline=None)
@given(cards, usages(), st.integers(1, 4))
def test_more_images_never_weigh_less(card: ModelCard, usage: Usage, more: int) -> None:
    prepared = prepare(card, US, shipped_factors())
    some = max(usage.input_images, 1)
    fewer, greater = (prepared.estimate(replace(usage, input_images=n)).gco2e.mean for n in (some, some + more))
    assert greater >= fewer
    untold = replace(usage, image_input_tokens=0)
    fewer, greater = (prepared.estimate(replace(untold, input_images=n)).gco2e.mean for n in (some, some + more))
    assert greater > fewer, "their tokens are not told, so the images count"


@settings(deadline=None)
@given(cards, st.integers(0, 100_000), st.integers(0, 50_000), st.data())
def test_a_cached_token_weighs_less_than_a_fresh_one_and_that_less_than_an_output_token(
    card: ModelCard, n_in: int, n_out: int, data: st.DataObject
) -> None:
    prepared = prepare(card, US, shipped_factors())
    cached = data.draw(st.integers(0, n_in))
    fresh_only = prepared.estimate(Usage(input_tokens=n_in, output_tokens=n_out)).gco2e.mean
    with_cache = prepared.estimate(Usage(input_tokens=n_in, cached_input_tokens=cached, output_tokens=n_out)).gco2e.mean
    assert with_cache <= fresh_only
    c = prepared.coefficients
    assert 0 < c.gco2e.cached_input_token <= c.gco2e.fresh_input_token <= c.gco2e.output_token


@settings(deadline=None)
@given(cards, usages())
def test_reasoning_tokens_are_counted_once(card: ModelCard, usage: Usage) -> None:
    prepared = prepare(card, US, shipped_factors())
    assert prepared.estimate(usage).gco2e == prepared.estimate(replace(usage, reasoning_output_tokens=0)).gco2e


@settings(deadline=None)
@given(cards, usages(), st.floats(1.0, 3.0))
def test_dirtier_power_and_worse_pue_never_weigh_less(card: ModelCard, usage: Usage, times: float) -> None:
    worse_pue = replace(US, pue=Range(*(x * times for x in (US.pue.value, US.pue.low, US.pue.high))))
    dirtier = replace(US, gco2e_per_kwh=Range(*(x * times for x in (US.gco2e_per_kwh.value, US.gco2e_per_kwh.low, US.gco2e_per_kwh.high))))
    start = prepare(card, US, shipped_factors()).estimate(usage)
    for place in (worse_pue, dirtier):
        after = prepare(card, place, shipped_factors()).estimate(usage)
        assert after.gco2e.mean >= start.gco2e.mean * (1 - 1e-9)
        assert after.gco2e.p95 >= start.gco2e.p95 * (1 - 1e-9)
        assert after.embodied_gco2e == start.embodied_gco2e


@settings(deadline=None)
@given(cards, usages(), st.floats(1.0, 20.0))
def test_a_larger_model_never_weighs_less(card: ModelCard, usage: Usage, times: float) -> None:
    larger = replace(card, total_params_b=scaled(card.total_params_b, times), active_params_b=scaled(card.active_params_b, times))
    start, after = (prepare(c, US, shipped_factors()).gpu_energy_j(usage).mean for c in (card, larger))
    assert after >= start * (1 - 1e-9)


def scaled(span: Range, times: float) -> Range:
    return Range(span.value * times, span.low * times, span.high * times)


@settings(deadline=None)
@given(cards, usages())
def test_a_fuller_operator_never_weighs_more(card: ModelCard, usage: Usage) -> None:
    saturated, typical, low_traffic = (
        prepare(card, US, shipped_factors(), operating_prior=prior).estimate(usage).gco2e.mean for prior in PRIORS
    )
    assert low_traffic >= typical >= saturated


@settings(deadline=None)
@given(cards, st.floats(1, 4000), st.floats(1, 10))
def test_a_larger_batch_never_costs_more_per_token(card: ModelCard, batch: float, times: float) -> None:
    form = energy_form(shipped_factors())
    start = fleet(card, shipped_factors(), "typical").by_size[0][1][0].deployment
    small, large = (form.decode_gpu_j_per_token(replace(start, batch=b)) for b in (batch, batch * times))
    assert large <= small * (1 + 1e-9)
    assert form.prefill_gpu_j_per_token(replace(start, batch=batch)) == form.prefill_gpu_j_per_token(start)


RANGED = sorted(key for key, row in shipped_factors().items() if row.low < row.high and not key.endswith("_share"))


@settings(max_examples=200, deadline=None)
@given(cards, places, usages(), st.sampled_from(RANGED), st.floats(1.0, 3.0))
def test_more_doubt_about_a_factor_never_narrows_a_line(card: ModelCard, place: Place, usage: Usage, factor_id: str, times: float) -> None:
    row = shipped_factors()[factor_id]
    low, high = row.value * (row.low / row.value) ** times, row.value * (row.high / row.value) ** times
    wider = with_factor(factor_id, low=low, high=min(high, 0.99) if factor_id.startswith("utilisation.") else high)
    compare_widths(card, place, usage, place, wider)


@settings(deadline=None)
@given(cards, usages(), st.floats(1.0, 4.0), st.sampled_from(("gco2e_per_kwh", "pue", "wue_onsite_l_per_kwh", "water_offsite_l_per_kwh")))
def test_more_doubt_about_the_place_never_narrows_a_line(card: ModelCard, usage: Usage, times: float, field: str) -> None:
    span: Range = getattr(US, field)
    wider = Range(span.value, span.value * (span.low / span.value) ** times, span.value * (span.high / span.value) ** times)
    compare_widths(card, US, usage, replace(US, **{field: wider}), shipped_factors())  # type: ignore[arg-type]  # four fields, all ranges


@settings(deadline=None)
@given(usages(), st.floats(1.0, 4.0))
def test_more_doubt_about_the_size_never_narrows_a_line(usage: Usage, times: float) -> None:
    span = CLOSED_FRONTIER.active_params_b
    wider = replace(CLOSED_FRONTIER, active_params_b=Range(span.value, span.value * (span.low / span.value) ** times, span.high))
    before, after = (prepare(card, US, shipped_factors()).estimate(usage).gco2e for card in (CLOSED_FRONTIER, wider))
    assert after.p95 / after.p5 >= before.p95 / before.p5 * (1 - 1e-6)


def compare_widths(card: ModelCard, place: Place, usage: Usage, other_place: Place, other_factors: FactorSet) -> None:
    before = lines(prepare(card, place, shipped_factors()).estimate(usage))
    after = lines(prepare(card, other_place, other_factors).estimate(usage))
    for narrow, wide in zip(before, after, strict=True):
        assert wide.p95 / wide.p5 >= narrow.p95 / narrow.p5 * (1 - MIXTURE_SLACK)


@settings(deadline=None)
@given(usages(), st.sampled_from(("provider", "counted", "estimated")))
def test_a_cut_answer_is_never_narrower_and_a_worse_count_neither(usage: Usage, source: str) -> None:
    prepared = prepare(OPEN_70B, US, shipped_factors())
    whole = replace(usage, partial=False)
    order = ("provider", "counted", "estimated")
    widths = []
    for name in order[order.index(source) :]:
        q = prepared.estimate(replace(whole, source=name)).gco2e  # type: ignore[arg-type]  # taken from the literal's values
        cut = prepared.estimate(replace(whole, source=name, partial=True)).gco2e  # type: ignore[arg-type]  # idem
        assert cut.p95 / cut.p5 >= q.p95 / q.p5
        widths.append(q.p95 / q.p5)
    assert widths == sorted(widths)


@settings(deadline=None)
@given(cards, usages(), st.integers(0, 100_000), st.integers(0, 100_000))
def test_a_longer_possible_answer_never_lowers_the_high_end(card: ModelCard, usage: Usage, first: int, second: int) -> None:
    prepared = prepare(card, US, shipped_factors())
    shorter, longer = sorted((first, second))
    assert prepared.estimate(usage, longer).gco2e.p95 >= prepared.estimate(usage, shorter).gco2e.p95 * (1 - 1e-9)


@pytest.mark.parametrize("method", [method.id for method in METHODS])
@settings(deadline=None)
@given(usage=usages())
def test_every_method_is_deterministic(method: str, usage: Usage) -> None:
    first, second = (prepare(CLOSED_FRONTIER, US, shipped_factors(), method=method).estimate(usage) for _ in range(2))
    assert first == second
    assert first.method == method


HIGHEST_GRID_G_PER_KWH = 900
"""No yearly average of a grid lies above; most are below 800."""

WIDEST = math.exp(Z95 * Z95 / 2)
"""p95 over mean of a log-normal is at most this, at sd = Z95."""


@st.composite
def spans(draw: st.DrawFn) -> Range:
    value = draw(st.floats(1e-3, 1e4))
    return Range(value, value * draw(st.just(0.0) | st.floats(1e-4, 1.0)), value * draw(st.floats(1.0, 50.0)))


@given(spans())
def test_a_range_keeps_its_mean_and_its_high_end(span: Range) -> None:
    q = average(span, "zone")
    assert q.mean == pytest.approx(span.value)
    assert q.p95 <= span.high * HIGH_SLACK * (1 + 1e-9)
    assert log_sd(span) <= Z95


@given(spans())
def test_a_range_covers_its_low_end_unless_its_high_end_forbids(span: Range) -> None:
    q = average(span, "zone")
    at_the_limit = min(span.high * HIGH_SLACK, span.value * WIDEST)
    assert q.p5 <= span.low * (1 + 1e-9) or q.p95 == pytest.approx(at_the_limit, rel=1e-6)


@given(spans(), st.floats(0.0, 1.0), st.floats(1.0, 20.0))
def test_widening_either_end_of_a_range_never_narrows(span: Range, down: float, up: float) -> None:
    start = log_sd(span)
    assert log_sd(Range(span.value, span.low * down, span.high)) >= start * (1 - 1e-9)
    assert log_sd(Range(span.value, span.low, span.high * up)) >= start * (1 - 1e-9)


@given(st.floats(1e-3, 1e4), st.floats(1.0, 4.0))
def test_a_range_that_is_even_in_the_logarithm_gets_half_its_width(value: float, times: float) -> None:
    assert log_sd(Range(value, value / times, value * times)) == pytest.approx(math.log(times) / Z95, abs=1e-9)


def test_no_place_reaches_beyond_any_grid_on_earth() -> None:
    places = load_tables().places
    providers = [row.provider for row in places.providers()]
    found = {name: average(places.resolve(name).gco2e_per_kwh, "zone").p95 for name in [*providers, "nobody-knows"]}
    assert {name: p95 for name, p95 in found.items() if p95 > HIGHEST_GRID_G_PER_KWH} == {}
