"""How a metered figure becomes an estimate, and which figures of providers are believed. It must never need a provider."""

import json
from dataclasses import replace
from typing import Any

import pytest

from config.tables import load_tables
from estimators import Estimate, Usage, prepare
from estimators.metered import FAR_FROM_MODEL, MeterEnergy
from estimators.quantity import LogVariance
from estimators.usage import MeterBoundary, Metered
from proxy.meter.energy import CAPPED, INVALID, SHAPES, Reading, read_events, read_member
from proxy.meter.reply import read_reply
from tests.weighing_samples import OPEN_70B, PARIS, US, shipped_factors

BOUNDARIES: tuple[MeterBoundary, ...] = ("gpu", "it", "facility")
CALL = Usage(input_tokens=200, output_tokens=400)
NEURALWATT = {
    "energy_joules": 190.46,
    "energy_kwh": 5.2904e-05,
    "avg_power_watts": 3109.0,
    "duration_seconds": 0.613,
    "attribution_method": "prorated_multi_gpu_8",
    "attribution_ratio": 0.1,
}
GREENPT = {
    "version": "20250922",
    "inferenceTime": {"total": 156, "unit": "ms"},
    "energy": {"total": 40433, "unit": "Wms"},
    "emissions": {"total": 1, "unit": "ugCO2e"},
}


def weighed(boundary: MeterBoundary = "it", *, wh: float = 0.4, shared: bool = False, source: str = "dcgm") -> Estimate:
    metered = Metered(energy_wh=wh, boundary=boundary, source=source, shared=shared)
    return prepare(OPEN_70B, PARIS, shipped_factors()).estimate(replace(CALL, metered=metered))


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_a_metered_call_says_by_what_it_was_weighed() -> None:
    estimate = weighed()
    assert (estimate.method, estimate.method_version) == ("metered", "1.0.0")
    assert "metered-it" in estimate.warnings


def test_a_gpu_meter_gets_host_idle_and_pue_once() -> None:
    lines = prepare(OPEN_70B, PARIS, shipped_factors()).lines
    estimate = weighed("gpu")
    assert estimate.it_energy_wh.mean == pytest.approx(0.4 * 3600 * lines.it_energy_wh.mean, rel=1e-9)
    assert estimate.facility_energy_wh.mean == pytest.approx(estimate.it_energy_wh.mean * PARIS.pue.value, rel=1e-9)
    assert estimate.it_energy_wh.mean > 0.4 * 1.3


def test_a_server_meter_gets_pue_and_no_second_host_or_idle() -> None:
    estimate = weighed("it")
    assert estimate.it_energy_wh.mean == pytest.approx(0.4, rel=1e-9)
    assert estimate.facility_energy_wh.mean == pytest.approx(0.4 * PARIS.pue.value, rel=1e-9)


def test_a_facility_meter_gets_nothing_added() -> None:
    estimate = weighed("facility")
    assert estimate.facility_energy_wh.mean == pytest.approx(0.4, rel=1e-9)
    assert estimate.it_energy_wh.mean == pytest.approx(0.4 / PARIS.pue.value, rel=1e-9)


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_operational_grams_are_facility_energy_times_intensity(boundary: MeterBoundary) -> None:
    estimate = weighed(boundary)
    expected = estimate.facility_energy_wh.mean / 1000 * PARIS.gco2e_per_kwh.value
    assert estimate.operational_gco2e.mean == pytest.approx(expected, rel=1e-9)
    assert estimate.gco2e.mean == pytest.approx(estimate.operational_gco2e.mean + estimate.embodied_gco2e.mean, rel=1e-9)


def test_the_same_servers_weigh_the_same_at_every_boundary() -> None:
    gpu = weighed("gpu", wh=0.4)
    it = weighed("it", wh=gpu.it_energy_wh.mean)
    facility = weighed("facility", wh=gpu.facility_energy_wh.mean)
    for line in ("facility_energy_wh", "gpu_seconds", "embodied_gco2e", "water_ml"):
        means = [getattr(estimate, line).mean for estimate in (gpu, it, facility)]
        assert means == pytest.approx([means[0]] * 3, rel=1e-9), line


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_meter_narrows_the_range_and_a_shared_one_less(boundary: MeterBoundary) -> None:
    modelled = prepare(OPEN_70B, PARIS, shipped_factors()).estimate(CALL)
    alone, shared = weighed(boundary), weighed(boundary, shared=True)
    widths = [e.facility_energy_wh.variance.total for e in (alone, shared, modelled)]
    assert widths == sorted(widths)
    assert alone.facility_energy_wh.variance.model == 0


def test_a_call_with_its_own_meter_is_tier_a_and_a_share_is_tier_b() -> None:
    assert weighed().quality_parts[:3] == ("A", "A", "A")
    assert weighed(shared=True).quality_parts[:3] == ("B", "B", "B")
    assert "meter-shared" in weighed(shared=True).warnings


def test_a_figure_from_running_time_is_no_meter_of_tier_a() -> None:
    timed, metered = weighed("facility", source="greenpt"), weighed("facility")
    assert timed.quality_parts.hardware == "B"
    assert timed.facility_energy_wh.variance.provider > metered.facility_energy_wh.variance.provider


@pytest.mark.parametrize(("wh", "far"), [(1e-6, True), (0.4, False), (1e4, True)])
def test_a_figure_far_from_the_model_stands_and_says_so(wh: float, far: bool) -> None:
    estimate = weighed("facility", wh=wh)
    assert estimate.facility_energy_wh.mean == pytest.approx(wh, rel=1e-9)
    assert (FAR_FROM_MODEL in estimate.warnings) is far


def test_a_meter_is_heard_only_before_what_is_listed_after_it() -> None:
    usage = replace(CALL, metered=Metered(energy_wh=0.4, boundary="it", source="dcgm"))
    chosen = {
        methods: prepare(OPEN_70B, US, shipped_factors(), methods=methods).estimate(usage).method
        for methods in ((), ("metered", "tokens"), ("tokens", "metered"), ("tokens",), ("metered",))
    }
    assert chosen == {
        (): "metered",
        ("metered", "tokens"): "metered",
        ("tokens", "metered"): "tokens",
        ("tokens",): "tokens",
        ("metered",): "metered",
    }


def test_a_named_method_weighs_a_metered_call_by_itself() -> None:
    usage = replace(CALL, metered=Metered(energy_wh=0.4, boundary="it", source="dcgm"))
    assert prepare(OPEN_70B, US, shipped_factors(), method="tokens").estimate(usage).method == "tokens"


def test_an_order_with_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="does not exist; known: metered"):
        prepare(OPEN_70B, US, shipped_factors(), methods=("metred",))


def test_the_meter_form_refuses_usage_without_a_figure() -> None:
    with pytest.raises(ValueError, match="no metered energy"):
        MeterEnergy(LogVariance()).gpu_energy_j(CALL)


def test_neuralwatt_states_joules_of_its_gpus_and_its_share_of_them() -> None:
    reading = read_member("energy", encoded(NEURALWATT))
    assert reading == Reading(Metered(energy_wh=190.46 / 3600, boundary="gpu", source="neuralwatt", shared=True), ())


def test_neuralwatt_alone_on_its_server_is_not_shared() -> None:
    reading = read_member("energy", encoded({**NEURALWATT, "attribution_ratio": 1.0}))
    assert reading is not None
    assert reading.metered is not None
    assert not reading.metered.shared


def test_neuralwatt_kilowatt_hours_stand_in_for_missing_joules() -> None:
    reading = read_member("energy", encoded({"energy_kwh": 5.2904e-05}))
    assert reading is not None
    assert reading.metered is not None
    assert reading.metered.energy_wh == pytest.approx(0.052904)


def test_a_capped_share_is_said() -> None:
    reading = read_member("energy", encoded({**NEURALWATT, "ratio_was_capped": True, "uncapped_energy_joules": 1904.55}))
    assert reading is not None
    assert reading.warnings == (CAPPED,)


def test_greenpt_states_watt_milliseconds_of_the_facility_from_running_time() -> None:
    reading = read_member("impact", encoded(GREENPT))
    assert reading is not None
    assert reading.metered is not None
    assert reading.metered.energy_wh == pytest.approx(40.433 / 3600)
    assert (reading.metered.boundary, reading.metered.source, reading.metered.shared) == ("facility", "greenpt", True)
    assert reading.warnings == ("energy-from-running-time",)


@pytest.mark.parametrize("bad", [0, -3, 1e30, "12", True, [1], {"a": 1}, 1e-400])
def test_a_figure_that_cannot_be_is_ignored_and_said(bad: Any) -> None:
    assert read_member("energy", encoded({**NEURALWATT, "energy_joules": bad})) == Reading(None, (INVALID,))


@pytest.mark.parametrize("unit", ["W", "furlong", 3])
def test_a_unit_that_nobody_knows_is_ignored_and_said(unit: Any) -> None:
    assert read_member("impact", encoded({**GREENPT, "energy": {"total": 5, "unit": unit}})) == Reading(None, (INVALID,))


@pytest.mark.parametrize("body", [b'{"energy": 5}', b'{"energy": {"level": "high"}}', b'{"impact": null}', b'{"energy": []}', b"{}"])
def test_a_member_of_the_same_name_that_means_something_else_says_nothing(body: bytes) -> None:
    assert read_reply(body).reading is None


def test_a_whole_answer_carries_its_figure() -> None:
    head = read_reply(encoded({"model": "m", "usage": {"prompt_tokens": 3}, "choices": [], "energy": NEURALWATT}))
    assert head.reading == read_member("energy", encoded(NEURALWATT))
    assert head.usage_raw is not None


def test_a_stream_carries_it_as_a_comment_or_in_a_chunk() -> None:
    comment = b'data: {"choices":[]}\n\n: energy ' + encoded(NEURALWATT) + b"\n\ndata: [DONE]\n\n"
    chunk = b"data: " + encoded({"choices": [], "usage": {}, "impact": GREENPT}) + b"\n\n"
    assert read_events(comment) == read_member("energy", encoded(NEURALWATT))
    assert read_events(chunk) == read_member("impact", encoded(GREENPT))


def test_words_of_an_answer_are_no_figure() -> None:
    said = encoded({"choices": [{"delta": {"content": '\n: energy {"energy_joules": 5}\n"impact": {"energy": {"total": 5}}'}}]})
    assert read_events(b"data: " + said + b"\n\n") is None


@pytest.mark.parametrize(
    "torn", [b": energy {", b': energy {"energy_joules": 5', b": energy nothing", b": keep-alive energy", b"data: {impact"]
)
def test_a_torn_comment_says_nothing(torn: bytes) -> None:
    assert read_events(torn + b"\n\n") is None


def test_every_shape_says_what_it_contains() -> None:
    assert {shape.source: shape.boundary for shape in SHAPES} == {"neuralwatt": "gpu", "greenpt": "facility"}


def test_the_rows_of_doubt_are_ordered() -> None:
    factors = load_tables().factors
    assert factors["metered.sd_meter"].value < factors["metered.sd_share"].value < factors["metered.sd_runtime"].value
