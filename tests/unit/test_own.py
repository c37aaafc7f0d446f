"""The proxy weighs itself: what it uses is read in the background, measured or modelled, and idle time counts."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from config.ranges import Range
from config.settings import Settings
from config.tables import load_tables
from estimators.own import OwnHost, OwnUse, own_estimate, own_it_energy_wh
from proxy.clock import Clock
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.own_store import OwnRow
from proxy.own.gauge import Gauge
from proxy.own.opening import host_of
from proxy.own.weight import HOUR_MS, OwnWeight

TABLES = load_tables()
FACTORS = TABLES.factors
FRANCE = OwnHost(place=TABLES.places.resolve("local", zone="FR"))
WORLD = OwnHost(place=TABLES.places.resolve("local"))
IDLE = OwnUse(wall_s=3600.0, memory_gb_s=360.0)
BUSY = OwnUse(cpu_s=1800.0, wall_s=3600.0, memory_gb_s=360.0)
PROFILE = "sci-consumer"


def test_an_hour_of_work_is_its_cores_and_its_memory_by_grid() -> None:
    found = own_estimate(BUSY, FRANCE, FACTORS, PROFILE)
    watts = 0.5 * FACTORS["frontend.w_per_core"].value + 0.1 * FACTORS["own.memory_w_per_gb"].value
    assert found.it_energy_wh.mean == pytest.approx(watts, rel=1e-9)
    facility = watts * FRANCE.place.pue.value
    assert found.facility_energy_wh.mean == pytest.approx(facility, rel=1e-9)
    assert found.operational_gco2e.mean == pytest.approx(facility * FRANCE.place.gco2e_per_kwh.value / 1000, rel=1e-9)
    assert found.gco2e.mean == pytest.approx(found.operational_gco2e.mean + found.embodied_gco2e.mean, rel=1e-9)
    assert (found.method, found.zone, found.quality_parts.hardware) == ("own", "FR", "D")


def test_a_proxy_without_a_call_still_weighs_the_memory_that_it_holds() -> None:
    found = own_estimate(IDLE, FRANCE, FACTORS, PROFILE)
    assert found.facility_energy_wh.mean > 0
    assert found.embodied_gco2e.mean > 0


def test_cores_that_are_kept_for_it_weigh_more_when_idle_and_no_less_when_busy() -> None:
    kept = replace(FRANCE, reserved_cores=2.0)
    shared, reserved = (own_estimate(IDLE, host, FACTORS, PROFILE) for host in (FRANCE, kept))
    idle_wh = 2 * FACTORS["own.idle_w_per_core"].value
    assert reserved.it_energy_wh.mean - shared.it_energy_wh.mean == pytest.approx(idle_wh, rel=1e-9)
    assert reserved.embodied_gco2e.mean > shared.embodied_gco2e.mean
    assert own_estimate(BUSY, kept, FACTORS, PROFILE).it_energy_wh.mean > own_estimate(BUSY, FRANCE, FACTORS, PROFILE).it_energy_wh.mean


def test_hours_add_up_to_their_sum() -> None:
    parts, whole = (own_estimate(IDLE, FRANCE, FACTORS, PROFILE), own_estimate(BUSY, FRANCE, FACTORS, PROFILE)), IDLE + BUSY
    both = own_estimate(whole, FRANCE, FACTORS, PROFILE)
    for line in ("facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml"):
        assert getattr(both, line).mean == pytest.approx(sum(getattr(part, line).mean for part in parts), rel=1e-9)


def test_what_was_measured_stands_in_the_place_of_the_model() -> None:
    measured = replace(BUSY, measured_cpu_s=1800.0, measured_wall_s=3600.0, measured_memory_gb_s=360.0, package_j=7200.0)
    by_counter, by_model = own_it_energy_wh(measured, replace(FRANCE, reserved_cores=4.0), FACTORS)
    assert by_counter.mean == pytest.approx(2.0 * FACTORS["own.server_per_package_ratio"].value, rel=1e-9)
    assert by_model.mean == 0
    found = own_estimate(measured, FRANCE, FACTORS, PROFILE)
    assert found.quality_parts.hardware == "B"
    assert "power-measured" in found.warnings
    assert "power-by-core-assumed" not in found.warnings


def test_an_unknown_place_is_said_and_has_the_wider_range() -> None:
    known, unknown = (own_estimate(BUSY, host, FACTORS, PROFILE) for host in (FRANCE, WORLD))
    assert "region-assumed" in unknown.warnings
    spans = [each.operational_gco2e.p95 / each.operational_gco2e.p5 for each in (known, unknown)]
    assert spans[1] > spans[0]


@pytest.mark.parametrize("cpu_s", [-1.0, float("nan"), float("inf")])
def test_a_use_that_is_none_is_refused(cpu_s: float) -> None:
    with pytest.raises(ValueError, match="numbers >= 0"):
        own_estimate(OwnUse(cpu_s=cpu_s), FRANCE, FACTORS, PROFILE)


def test_the_host_is_what_the_configuration_says_of_it() -> None:
    settings = Settings.model_validate({
        "server": {"host": {"provider": "aws", "region": "eu-west-3", "pue": 1.1, "watts_per_core": 5, "reserved_cores": 2}},
    })  # fmt: skip
    host = host_of(settings, TABLES.places)
    assert (host.place.zone, host.place.pue, host.w_per_core, host.reserved_cores) == ("FR", Range(1.1, 1.1, 1.1), 5, 2)
    nothing = host_of(Settings(), TABLES.places)
    assert (nothing.place.zone, nothing.place.assumed) == ("WORLD", True)


class Machine(Clock):
    """Files as Linux has them, and the clocks of a process."""

    def __init__(self, folder: Path, *, packages: int = 1) -> None:
        self.proc, self.powercap = folder / "proc", folder / "powercap"
        self.cpu_s, self.wall_s = 0.0, 100.0
        self.files: list[Path] = []
        (self.proc / "self").mkdir(parents=True)
        for number in range(packages):
            package = self.powercap / f"intel-rapl:{number}"
            package.mkdir(parents=True)
            (package / "max_energy_range_uj").write_text("1000000000")
            (self.powercap / f"intel-rapl:{number}:0").mkdir()
            self.files.append(package / "energy_uj")
        self.show(0, 0)

    def process_cpu(self) -> float:
        return self.cpu_s

    def perf(self) -> float:
        return self.wall_s

    def show(self, busy_ticks: int, energy_uj: int, pages: int = 25_000) -> None:
        (self.proc / "stat").write_text(f"cpu  {busy_ticks} 0 0 999 0 0 0 0 0 0\ncpu0 0\n")
        (self.proc / "self/statm").write_text(f"99999 {pages} 1 1 0 1 0")
        for file in self.files:
            file.write_text(str(energy_uj))

    def gauge(self) -> Gauge:
        return Gauge(self, proc=self.proc, powercap=self.powercap)


def test_the_share_of_the_hosts_energy_is_the_share_of_its_busy_time(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=2)
    gauge = machine.gauge()
    gauge.look()
    machine.cpu_s, machine.wall_s = 2.0, 110.0
    machine.show(busy_ticks=800, energy_uj=400_000_000)  # 8 s at 100 ticks a second
    use = gauge.look()
    assert (use.cpu_s, use.wall_s) == (2.0, 10.0)
    assert use.package_j == pytest.approx(800.0 * 2 / 8)
    assert (use.measured_cpu_s, use.measured_wall_s) == (2.0, 10.0)
    assert use.memory_gb_s == pytest.approx(25_000 * os.sysconf("SC_PAGE_SIZE") / 1e9 * 10)


def test_an_energy_counter_that_begins_anew_is_followed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.show(0, 999_000_000)
    gauge = machine.gauge()
    gauge.look()
    machine.cpu_s = 1.0
    machine.show(100, 2_000_000)
    assert gauge.look().package_j == pytest.approx(3.0)


def test_without_energy_counters_nothing_is_called_measured(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=0)
    machine.cpu_s = 1.0
    use = machine.gauge().look()
    assert (use.cpu_s, use.measured_cpu_s, use.package_j) == (1.0, 0.0, 0.0)


def test_a_counter_that_stops_telling_leaves_that_time_to_the_model(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    gauge = machine.gauge()
    gauge.look()
    machine.files[0].unlink()
    machine.cpu_s = 1.0
    assert gauge.look().measured_cpu_s == 0.0


def test_the_first_look_reaches_back_to_the_start_of_the_process(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=0)
    machine.cpu_s = 3.0
    gauge = machine.gauge()
    machine.cpu_s = 3.5
    assert gauge.look().cpu_s == 3.5


class Hands(Clock):
    def __init__(self) -> None:
        self.ms = 500_000 * HOUR_MS

    def now_ms(self) -> int:
        return self.ms


class Uses:
    """Ten seconds of work in a minute, whenever it looks."""

    def look(self) -> OwnUse:
        return OwnUse(cpu_s=10.0, wall_s=60.0, memory_gb_s=6.0)


class Kept:
    def __init__(self) -> None:
        self.rows: dict[str, OwnRow] = {}
        self.is_gone = False

    def keep(self, rows: Sequence[OwnRow]) -> None:
        if self.is_gone:
            raise LedgerUnavailable("gone")
        self.rows |= {row.key: row for row in rows}


def weight(kept: Kept, clock: Clock) -> OwnWeight:
    return OwnWeight(Uses(), kept, FRANCE, FACTORS, profile=PROFILE, every_s=60.0, clock=clock)


def test_an_hour_is_one_row_that_grows_and_the_next_hour_another() -> None:
    kept, clock = Kept(), Hands()
    own = weight(kept, clock)
    for _ in range(90):
        own.look()
        clock.ms += 60_000
    assert [(row.hour, row.cpu_s) for row in kept.rows.values()] == [(500_000, 600.0), (500_001, 300.0)]
    assert own.sums().cpu_s == pytest.approx(900.0)


def test_a_clock_that_jumps_back_overwrites_no_hour() -> None:
    kept, clock = Kept(), Hands()
    own = weight(kept, clock)
    for hours in (0, 1, 0, 1):
        clock.ms = (500_000 + hours) * HOUR_MS
        own.look()
    assert sum(row.cpu_s for row in kept.rows.values()) == pytest.approx(own.sums().cpu_s) == pytest.approx(40.0)


def test_hours_without_a_ledger_are_kept_until_it_is_back(caplog: pytest.LogCaptureFixture) -> None:
    kept, clock = Kept(), Hands()
    own = weight(kept, clock)
    kept.is_gone = True
    for _ in range(3):
        own.look()
        clock.ms += HOUR_MS
    assert not kept.rows
    assert len(caplog.records) == 1, "once, not at every look"
    kept.is_gone = False
    own.look()
    assert sorted(row.hour for row in kept.rows.values()) == [500_000, 500_001, 500_002, 500_003]


def test_grams_only_ever_grow_and_are_the_sum_of_the_rows() -> None:
    kept, clock = Kept(), Hands()
    own, seen = weight(kept, clock), 0.0
    for turn in range(6):
        own.look()
        assert own.sums().operational_gco2e[0] > seen
        seen = own.sums().operational_gco2e[0]
        clock.ms += HOUR_MS // 2
        if turn == 3:
            own.move(WORLD)
    assert {row.zone for row in kept.rows.values()} == {"FR", "WORLD"}
    assert own.sums().measured_j == 0
    assert own.sums().modelled_j > 0


def test_the_end_is_a_last_look() -> None:
    kept = Kept()
    own = weight(kept, Hands())
    own.start()
    own.close()
    assert [row.cpu_s for row in kept.rows.values()] == [10.0]
