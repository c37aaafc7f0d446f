"""How one meter's joules are shared out: by what each call should take, in the time it ran, adding up to the meter. It must never wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.deployment import Meter
from proxy.meters.answer import BadAnswer, read_prometheus, read_tensorrt
from proxy.meters.kinds import KINDS, boundary_of, promql
from proxy.meters.shares import KEPT_INTERVALS, Shares


def account(*, counts_idle: bool = False, is_power: bool = False, unit_j: float = 1.0) -> Shares:
    return Shares(interval_s=10, unit_j=unit_j, is_power=is_power, counts_idle=counts_idle)


def read(shares: Shares, *values: float, start: float = 0.0) -> None:
    """One series, a reading every ten seconds from `start`."""
    for place, value in enumerate(values):
        shares.reading({"gpu": value}, start + 10 * place)


def test_a_meter_that_was_never_read_is_silent() -> None:
    assert account().measured_per_modelled(0) is None


def test_a_meter_without_an_ended_call_says_nothing() -> None:
    shares = account()
    read(shares, 0, 1000)
    assert shares.measured_per_modelled(10) is None


def test_calls_share_what_was_counted_by_what_they_should_take() -> None:
    shares = account()
    read(shares, 0)
    shares.finished(100, 1, 4)
    shares.finished(300, 2, 9)
    read(shares, 1000, start=10)
    ratio = shares.measured_per_modelled(10)
    assert ratio is not None
    assert [ratio * modelled_j for modelled_j in (100, 300)] == pytest.approx([250, 750])


def test_a_call_over_two_intervals_counts_in_each_by_its_time_there() -> None:
    shares = account()
    read(shares, 0)
    shares.finished(100, 5, 20)
    read(shares, 500, 2000, start=10)
    shares.finished(900, 10, 20)
    assert shares.measured_per_modelled(20) == pytest.approx(2000 / 1000)


def test_a_call_that_ends_after_its_interval_was_read_is_put_into_it() -> None:
    shares = account()
    read(shares, 0, 600)
    shares.finished(100, 0, 12)
    assert shares.measured_per_modelled(12) == pytest.approx(600 / (100 * 10 / 12))


def test_idle_intervals_count_only_where_the_meter_is_one_of_servers() -> None:
    for counts_idle, joules in ((False, 1000), (True, 1200)):
        shares = account(counts_idle=counts_idle)
        read(shares, 0)
        shares.finished(100, 1, 2)
        read(shares, 1000, 1100, 1200, start=10)
        assert shares.measured_per_modelled(30) == pytest.approx(joules / 100)


def test_a_counter_that_began_anew_counts_from_zero() -> None:
    shares = account()
    read(shares, 5000)
    shares.finished(100, 1, 2)
    read(shares, 300, start=10)
    assert shares.measured_per_modelled(10) == pytest.approx(3)


def test_a_series_that_comes_or_goes_counts_from_its_second_reading() -> None:
    shares = account()
    shares.reading({"a": 0.0, "b": 7.0}, 0)
    shares.finished(100, 1, 2)
    shares.reading({"a": 50.0, "c": 9000.0}, 10)
    assert shares.measured_per_modelled(10) == pytest.approx(0.5)


def test_a_counter_that_stands_still_was_not_read_anew() -> None:
    shares = account()
    read(shares, 0)
    shares.finished(100, 1, 2)
    read(shares, 0, 400, start=10)
    assert shares.measured_per_modelled(20) == pytest.approx(4)


def test_watts_are_summed_over_the_time_between_readings() -> None:
    shares = account(is_power=True)
    read(shares, 300)
    shares.finished(100, 1, 2)
    read(shares, 500, start=10)
    assert shares.measured_per_modelled(10) == pytest.approx(400 * 10 / 100)


def test_a_meter_that_falls_silent_is_not_believed_for_long() -> None:
    shares = account()
    read(shares, 0)
    shares.finished(100, 1, 2)
    read(shares, 400, start=10)
    assert shares.measured_per_modelled(40) == pytest.approx(4)
    assert shares.measured_per_modelled(40.1) is None


def test_after_a_silence_what_was_used_meanwhile_is_nobodys() -> None:
    shares = account()
    read(shares, 0)
    shares.finished(100, 1, 2)
    read(shares, 400, start=10)
    read(shares, 90_400, start=500)
    shares.finished(100, 501, 502)
    read(shares, 90_800, start=510)
    assert shares.measured_per_modelled(510) == pytest.approx(4)


def test_a_quiet_deployment_keeps_the_last_ratio() -> None:
    shares = account()
    read(shares, 0)
    shares.finished(100, 1, 2)
    read(shares, 400, start=10)
    assert shares.measured_per_modelled(10) == pytest.approx(4)
    read(shares, *(410 + 10 * place for place in range(KEPT_INTERVALS + 2)), start=20)
    assert shares.measured_per_modelled(10 * (KEPT_INTERVALS + 3)) == pytest.approx(4)


@given(
    calls=st.lists(
        st.tuples(st.floats(1, 1e4), st.floats(0, 99), st.floats(0.1, 60)).map(lambda c: (c[0], c[1], min(c[1] + c[2], 100))),
        min_size=1,
        max_size=20,
    ),
    used=st.lists(st.floats(1, 1e5), min_size=10, max_size=10),
)
def test_shares_of_all_calls_add_up_to_the_meter(calls: list[tuple[float, float, float]], used: list[float]) -> None:
    shares, counted = account(counts_idle=True), 0.0
    shares.reading({"gpu": counted}, 0)
    for place, joules in enumerate(used):
        counted += joules
        for modelled_j, began, ended in calls:
            if 10 * place < ended <= 10 * place + 10:
                shares.finished(modelled_j, began, ended)
        shares.reading({"gpu": counted}, 10 * place + 10)
    ratio = shares.measured_per_modelled(100)
    assert ratio is not None
    assert sum(ratio * modelled_j for modelled_j, *_ in calls) == pytest.approx(counted, rel=1e-6)


def test_labels_pick_the_series_and_cannot_leave_their_quotes() -> None:
    meter = Meter(kind="dcgm", url="http://p", labels={"Hostname": 'a"} or vector(1) #', "gpu": "0"})
    expected = r'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{Hostname="a\"} or vector(1) #",gpu="0"}'
    assert promql(meter) == f"max by (Hostname, gpu, UUID) ({expected})"


def test_kepler_is_asked_for_processors_memory_and_gpus_of_the_node() -> None:
    meter = Meter(kind="kepler", url="http://p", labels={"node_name": "n1"})
    assert promql(meter) == (
        'kepler_node_cpu_joules_total{zone=~"package|dram",node_name="n1"} or kepler_node_gpu_joules_total{node_name="n1"}'
    )


def test_the_configured_query_goes_as_it_is() -> None:
    assert promql(Meter(kind="dcgm", url="http://p", query="sum(x)")) == "sum(x)"


def test_every_kind_says_what_it_contains_and_the_owner_may_know_better() -> None:
    assert {name: kind.boundary for name, kind in KINDS.items()} == {
        "dcgm": "gpu",
        "dcgm-power": "gpu",
        "kepler": "it",
        "kepler-pod": "gpu",
        "tensorrt-llm": "gpu",
        "query": "it",
    }
    assert boundary_of(Meter(kind="dcgm", url="http://p", boundary="facility")) == "facility"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'{"status":"error","errorType":"bad_data","error":"parse error"}',
        b'{"status":"success","data":{"resultType":"vector","result":[]}}',
        b'{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"2"]]}]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]}]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"-4"]}]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":"2"}]}}',
        b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{}}]}}',
    ],
)
def test_an_answer_that_is_no_reading_is_refused(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_prometheus(body)


def test_a_scalar_is_a_reading_too() -> None:
    assert read_prometheus(b'{"status":"success","data":{"resultType":"scalar","result":[1763900000.1,"42.5"]}}') == {"whole": 42.5}


@pytest.mark.parametrize(
    "body", [b'{"error":"Energy monitoring is not available"}', b'{"total_energy_j":-1}', b'{"total_energy_j":"5"}', b"x"]
)
def test_a_server_without_energy_metrics_is_no_reading(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_tensorrt(body)
