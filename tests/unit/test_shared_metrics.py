"""Metrics that several workers count together: nothing is lost or doubled, whoever dies, and nothing grows with the dead."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from statistics import median
from types import SimpleNamespace

import pytest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from config.series import MOST_SERIES
from config.settings import Settings
from config.tables import Tables, load_tables
from proxy.call import CallRecord
from proxy.metrics import Metrics
from proxy.metrics.series import MOST_CODES
from proxy.metrics.shared import SharedCounterFamily, SharedHistogramFamily, SharedMetrics
from proxy.metrics.sheet import NOBODY, Sheet, SheetFull
from proxy.metrics.sheets import COUNT, STATE, Sheets
from proxy.metrics.states import MERGES
from tests.contract import stall_harness
from tests.contract.stall_harness import MOST_STALL_MS, crew_of, fill, stalls
from tests.sample_records import attempt, call
from tests.unit.test_metrics import SETTINGS

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
SAME_IN_ALL = {"grammage_build_info", "grammage_factors_info", "grammage_config_info"}


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def seen_by(sheets: Sheets, number: int) -> Sheets:
    """The sheets as a worker has them; as in a process of its own, but for what it shares by accident: nothing of `Sheets`."""
    own = Sheets.__new__(Sheets)
    own.__dict__.update(Sheets(0).__dict__, all=sheets.all, _seen=[0] * len(sheets.all), _lock_file=sheets._lock_file)
    own.take(number)
    own.own.owner = os.getpid()
    return own


def worker(sheets: Sheets, number: int, tables: Tables, settings: Settings = SETTINGS) -> SharedMetrics:
    """The metrics of a worker in this process."""
    own = seen_by(sheets, number)
    return SharedMetrics(settings, tables, own, version="1.2.3", built_in_aliases=())


def count(metrics: SharedMetrics, record: CallRecord) -> None:
    metrics.observe(record)
    metrics.kept(record)


def killed(job: Callable[[], None]) -> None:
    """Does the job in a process that is killed with -9 when it has done it."""
    pid = os.fork()
    if pid == 0:
        try:
            job()
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    body, _ = metrics.render("")
    found = [
        ((sample.name, frozenset(sample.labels.items())), sample.value)
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    ]
    assert len(dict(found)) == len(found), "a sample is exposed twice"
    return dict(found)


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name, frozenset(labels.items())]


def requests(metrics: Metrics) -> float:
    return sum(found for (name, _), found in samples(metrics).items() if name == "grammage_requests_total")


def mixed(number: int) -> list[CallRecord]:
    outcomes = ("ok", "client_left", "upstream_error")
    return [
        call(outcome=outcomes[at % 3], latency_s=0.01 * at, tags=(("brand", ("acme", "x")[at % 2]),), attempts=(attempt(zone="SE"),))
        for at in range(number)
    ]


def test_three_workers_expose_what_one_would_have(tables: Tables) -> None:
    alone, sheets, records = Metrics(SETTINGS, tables, version="1.2.3"), Sheets(3), mixed(60)
    crew = [worker(sheets, number, tables) for number in range(3)]
    for at, record in enumerate(records):
        alone.observe(record)
        count(crew[at % 3], record)
    for each in crew:
        each.write_down()
    expected = samples(alone)
    for each in crew:
        found = samples(each)
        assert set(found) == set(expected)
        assert found == pytest.approx(expected, rel=1e-9)


def test_what_a_killed_worker_counted_stays_and_its_successor_goes_on(tables: Tables) -> None:
    sheets = Sheets(2)
    other = worker(sheets, 1, tables)

    def count_ten() -> None:
        metrics = worker(sheets, 0, tables)
        for record in mixed(10):
            count(metrics, record)

    for round_number in range(1, 4):
        killed(count_ten)
        assert requests(other) == 10 * round_number


def test_a_call_is_counted_once_the_ledger_has_dealt_with_it(tables: Tables) -> None:
    metrics, record = worker(Sheets(1), 0, tables), call()
    metrics.observe(record)
    assert requests(metrics) == 0
    metrics.kept(call())
    assert requests(metrics) == 0, "what is given to the ledger for a shadow's opinion is no call"
    metrics.kept(record)
    metrics.kept(record)
    assert requests(metrics) == 1


def test_a_thousand_restarts_do_not_grow_the_scrape_or_the_memory(tables: Tables) -> None:
    sheets = Sheets(2)
    for record in mixed(6):
        first = worker(sheets, 0, tables)
        count(first, record)
        first.write_down()
    metrics = worker(sheets, 1, tables)
    metrics.write_down()
    lines, used_bytes = len(metrics.render("")[0].splitlines()), [sheet.used_bytes for sheet in sheets.all]
    for number in range(1_000):
        successor = worker(sheets, 0, tables)
        count(successor, mixed(6)[number % 6])
        successor.write_down()
    metrics.write_down()
    assert len(metrics.render("")[0].splitlines()) == lines
    assert [sheet.used_bytes for sheet in sheets.all] == used_bytes
    assert requests(metrics) == 1_006


def test_an_entry_that_a_killed_worker_left_half_written_is_none() -> None:
    sheet = Sheet(4096)
    place = sheet.add(b"whole", 1)
    place.numbers[place.first] = 7.0
    end = sheet.used_bytes // 8
    sheet._words[end] = 2 << 32 | 5  # the head of an entry that the header does not count
    assert [key for key, _, _ in sheet.entries(0)] == [b"whole"]
    sheet.add(b"next", 2)
    assert [(key, found.width) for key, found, _ in sheet.entries(0)] == [(b"whole", 1), (b"next", 2)]


def test_a_full_sheet_says_so_and_keeps_what_it_has() -> None:
    sheet = Sheet(4096)
    for number in range((4096 - 64) // 48):
        sheet.add(b"%032d" % number, 1)
    with pytest.raises(SheetFull):
        sheet.add(b"%032d" % 1_000, 1)
    assert sum(1 for _ in sheet.entries(0)) == 84


def test_workers_hold_the_bound_of_series_together(tables: Tables) -> None:
    settings = Settings.model_validate({"tags": {"brand": [f"b{number}" for number in range(3_000)]}})
    sheets = Sheets(3)

    def junk(number: int) -> None:
        metrics = worker(sheets, number, tables, settings)
        for at in range(1_500):
            count(metrics, call(tags=(("brand", f"b{at * 2 % 3_000 + number % 2}"),), attempts=(attempt(zone=f"Z{at % 40}"),)))

    for number in range(2):
        killed(lambda number=number: junk(number))  # type: ignore[misc]  # bound at once
    metrics = worker(sheets, 2, tables, settings)
    tagged = [name for name, _ in samples(metrics) if "tokens" in name or "energy" in name or "emissions" in name]
    assert 4_000 < len(tagged) <= MOST_SERIES + 20
    assert requests(metrics) == 3_000
    assert sum(found for (name, _), found in samples(metrics).items() if name == "grammage_input_tokens_total") == 3_000 * 100
    assert value(metrics, "grammage_label_overflow_total") > 0


def test_workers_hold_the_bound_of_codes_together(tables: Tables) -> None:
    sheets = Sheets(2)
    for number in range(2):
        metrics = worker(sheets, number, tables)
        for at in range(MOST_CODES):
            count(metrics, call(attempts=(attempt(estimate=None, unweighed_reason=f"reason-{number}-{at}"),)))
    found = {labels: count for (name, labels), count in samples(metrics).items() if name == "grammage_unweighed_calls_total"}
    assert len(found) == MOST_CODES + 1
    assert sum(found.values()) == 2 * MOST_CODES


def ledger(queued: int, oldest_s: float, spooled: int) -> SimpleNamespace:
    return SimpleNamespace(queued=queued, oldest_age_s=lambda: oldest_s, last_commit_s=0.01, spooled_total=spooled, failures_total=0)


def test_the_state_of_workers_is_merged_and_that_of_the_dead_is_not_shown(tables: Tables) -> None:
    sheets = Sheets(3)
    crew = [worker(sheets, number, tables) for number in range(3)]
    for each, (queued, oldest_s, spooled) in zip(crew, ((3, 1.5, 2), (4, 9.5, 0), (100, 99.0, 5)), strict=True):
        each.watch_ledger(ledger(queued, oldest_s, spooled))
        each.write_down()
    crew[1].config_reloaded(ok=False)
    crew[1].write_down()
    assert value(crew[0], "grammage_ledger_queue_calls") == 107
    sheets.all[2].owner = NOBODY
    for each in crew[:2]:
        assert value(each, "grammage_ledger_queue_calls") == 7
        assert value(each, "grammage_ledger_oldest_call_seconds") == 9.5
        assert value(each, "grammage_ledger_spooled_total") == 7, "counts of the dead stay"
        assert value(each, "grammage_config_reload_success") == 0
        assert [found for (name, _), found in samples(each).items() if name == "grammage_build_info"] == [1]


def test_counters_of_the_state_go_on_after_a_restart_and_a_reset(tables: Tables) -> None:
    sheets, state = Sheets(1), ledger(0, 0.0, 4)
    for spooled in (4, 9):
        metrics = worker(sheets, 0, tables)
        metrics.watch_ledger(state)
        state.spooled_total = spooled
        metrics.write_down()
        metrics.write_down()
    assert value(metrics, "grammage_ledger_spooled_total") == 13
    state.spooled_total = 2
    assert value(metrics, "grammage_ledger_spooled_total") == 15


class _Deployments(Collector):
    def __init__(self) -> None:
        self.names = ["a", "b"]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily("grammage_deployment_passed_over", "x", labels=("alias",))
        for name in self.names:
            family.add_metric((name,), 1.0)
        yield family


def test_a_figure_that_nobody_tells_any_more_is_gone(tables: Tables) -> None:
    metrics, told = worker(Sheets(1), 0, tables), _Deployments()
    metrics._families.registry.register(told)
    assert value(metrics, "grammage_deployment_passed_over", alias="b") == 1
    told.names = ["a"]
    assert ("grammage_deployment_passed_over", frozenset({("alias", "b")})) not in samples(metrics)
    assert value(metrics, "grammage_deployment_passed_over", alias="a") == 1


def test_there_are_no_exemplars_of_several_workers(tables: Tables) -> None:
    metrics = worker(Sheets(1), 0, tables)
    count(metrics, call())
    body, kind = metrics.render("application/openmetrics-text; version=1.0.0")
    assert b"# EOF" in body
    assert b"call_id" not in body
    assert "openmetrics" in kind


def test_every_gauge_says_how_workers_are_merged(tables: Tables) -> None:
    metrics = Metrics(SETTINGS, tables)
    metrics.watch_ledger(ledger(0, 0.0, 0))
    metrics.watch_reuse(lambda: 1)
    metrics.watch_breakers(lambda: [(("a", "b", "c", "d"), True)])
    metrics.watch_budgets(lambda: SimpleNamespace(figures=lambda: [("b", 1.0, 1.0, 1.0)], period_ends=lambda: [("b", 1.0)], counts=dict))
    gauges = {family.name for family in metrics._families.registry.collect() if family.type == "gauge"}
    told = {name for name in gauges if name not in SAME_IN_ALL and "_intensity_grams" not in name}
    assert told <= set(MERGES)


@pytest.mark.parametrize("workers", [0, 2])
async def test_a_scrape_of_5000_series_holds_the_event_loop_for_less_than_5_ms(tables: Tables, workers: int) -> None:
    crew = crew_of(Sheets(workers), tables) if workers else [Metrics(stall_harness.SETTINGS, tables)]
    series = max(fill(metrics) for metrics in crew)
    assert series > MOST_SERIES
    found = await stalls(crew[0], series, scrapes=3)
    assert median(found.hold_ms) < MOST_STALL_MS, found.told()


def test_two_workers_never_count_on_one_place() -> None:
    sheets = Sheets(2)
    places = []
    for number in range(2):
        sheets.take(number)
        places.append(sheets.place((COUNT, "grammage_x_total", "a"), 1))
        places[-1].numbers[places[-1].first] += number + 1
    assert sum(place.numbers[place.first] for _, place in sheets.of(COUNT, "grammage_x_total")[("a",)]) == 3


def test_two_threads_of_a_worker_never_get_one_place() -> None:
    """The event loop counts while a scrape writes the state down."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            sheets, ready = Sheets(1), threading.Barrier(2)
            sheets.take(0)

            def fill_in(kind: str, sheets: Sheets = sheets, ready: threading.Barrier = ready) -> None:
                ready.wait()
                for number in range(200):
                    sheets.place((kind, "x", str(number)), 1)

            threads = [threading.Thread(target=fill_in, args=(kind,)) for kind in (COUNT, STATE)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            places = [found for kind in (COUNT, STATE) for row in sheets.of(kind, "x").values() for _, found in row]
            assert len({place.first for place in places}) == len(places) == 400
    finally:
        sys.setswitchinterval(before)


def test_the_state_of_a_dead_worker_is_not_shown_while_its_successor_starts(tables: Tables) -> None:
    sheets = Sheets(2)
    dead, alive = worker(sheets, 0, tables), worker(sheets, 1, tables)
    dead.watch_ledger(ledger(7, 3.0, 0))
    dead.write_down()
    assert value(alive, "grammage_ledger_queue_calls") == 7
    sheets.all[0].give_back()
    sheets.all[0].owner = os.getpid()
    assert ("grammage_ledger_queue_calls", frozenset()) not in samples(alive)


def test_whoever_answers_a_scrape_adds_up_to_the_last_digit() -> None:
    """A sum that were less by one digit would look like a restart, and the whole of it would count as new."""
    sheets = Sheets(3)
    views = [seen_by(sheets, number) for number in range(3)]
    counters = [SharedCounterFamily(view, "grammage_x_grams_total", "x", ("a",)) for view in views]
    histograms = [SharedHistogramFamily(view, "grammage_x_seconds", "x", (), (1.0,)) for view in views]
    for number, amount in ((2, 0.1), (1, 0.2), (0, 0.3)):
        counters[number].labels("b").inc(amount)
        histograms[number].labels().observe(amount, "")
        found(counters[2])  # knows the sheets in the order in which they were written on, the others by number
    assert {found(each)["grammage_x_grams_total"] for each in counters} == {0.6}
    assert {found(each)["grammage_x_seconds_sum"] for each in histograms} == {0.6}


def found(collector: Collector) -> dict[str, float]:
    return {sample.name: sample.value for family in collector.collect() for sample in family.samples}
