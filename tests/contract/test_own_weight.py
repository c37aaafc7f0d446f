"""The proxy's own weight in the ledger: hours once, over restarts and kills, beside the calls and in none of their figures."""

import json
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from config.tables import Tables, load_tables
from estimators.own import OwnHost, OwnUse, own_estimate
from proxy.ledger.own_store import OwnRow
from proxy.ledger.store import Store
from proxy.reports.as_json import report_document
from proxy.reports.compose import compose
from proxy.reports.document import OwnWeight, Report
from proxy.reports.pages.plain import csv_report
from proxy.reports.pages.write import write
from proxy.reports.request import ReportRequest
from tests.contract.ledger_rows import ask_ledger
from tests.contract.ledgers import record
from tests.contract.proxy_harness import proxy, serve_command, until

HOUR_MS = 3_600_000
NOVEMBER_MS = 1_793_491_200_000
"""2026-11-01T00:00:00Z."""

FIRST = NOVEMBER_MS // HOUR_MS
ALL = ReportRequest(now_ms=NOVEMBER_MS + 48 * HOUR_MS)


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def own_row(tables: Tables, hour: int = 0, process: str = "p1", part: int = 0, cpu_s: float = 36.0, **changes: Any) -> OwnRow:
    """An hour of a process in France, `hour` hours into November."""
    use = OwnUse(cpu_s=cpu_s, wall_s=3600.0, memory_gb_s=360.0)
    made = own_estimate(use, OwnHost(place=tables.places.resolve("local", zone="FR")), tables.factors, "sci-consumer")
    lines = ("it_energy_wh", "facility_energy_wh", "operational_gco2e", "embodied_gco2e", "gco2e", "water_ml")
    facts: dict[str, Any] = {
        "process_id": process,
        "part": part,
        "hour": FIRST + hour,
        "since_ms": NOVEMBER_MS + hour * HOUR_MS,
        "until_ms": NOVEMBER_MS + (hour + 1) * HOUR_MS,
        "cpu_s": use.cpu_s,
        "wall_s": use.wall_s,
        "memory_gb_s": use.memory_gb_s,
        "measured_cpu_s": 0.0,
        "package_j": 0.0,
        "provider": "local",
        "region": None,
        "zone": made.zone,
        "method": made.method,
        "method_version": made.method_version,
        "factor_set": made.factor_set,
        "profile": made.profile,
        "quality": made.quality,
        "warnings": made.warnings,
        "lines": {name: (getattr(made, name).p50, *getattr(made, name).variance) for name in lines},
    }
    return OwnRow(**(facts | changes))


def composed(url: str, tables: Tables, request: ReportRequest = ALL) -> Report:
    return compose(url, request, Settings(), tables)


def own_of(url: str, tables: Tables, request: ReportRequest = ALL) -> OwnWeight:
    own = composed(url, tables, request).own
    assert own is not None
    return own


def test_a_row_said_again_counts_once_and_as_it_was_said_last(store: Store, url: str, tables: Tables) -> None:
    for cpu_s in (1.0, 20.0, 36.0, 36.0):
        store.own().keep([own_row(tables, cpu_s=cpu_s)])
    found = own_of(url, tables)
    assert found.cpu_s == 36.0
    assert found.processes == 1
    assert ask_ledger(url, "SELECT count(*) FROM ledger_meta WHERE key LIKE 'own.%'") == [(1,)]


def test_processes_workers_and_restarts_add_up_with_the_doubt_that_they_share(store: Store, url: str, tables: Tables) -> None:
    rows = [own_row(tables, hour, process, part=hour) for hour in range(3) for process in ("p1", "p2")]
    store.own().keep(rows)
    found = own_of(url, tables)
    one = own_row(tables).lines["gco2e"]
    single = own_estimate(
        OwnUse(cpu_s=36.0, wall_s=3600.0, memory_gb_s=360.0), OwnHost(place=tables.places.resolve("local", zone="FR")), tables.factors, "x"
    ).gco2e
    assert one[0] == single.p50
    assert found.processes == 2
    assert found.process_hours == pytest.approx(6.0)
    assert found.gco2e.mean == pytest.approx(6 * single.mean)
    assert found.gco2e.p95 == pytest.approx(6 * single.p95, rel=1e-6), "all hours err alike: the range shrinks by no root of their number"


def test_the_line_stands_beside_the_calls_and_in_none_of_their_figures(store: Store, url: str, tables: Tables) -> None:
    store.write([record(0, started_ms=NOVEMBER_MS), record(1, started_ms=NOVEMBER_MS + HOUR_MS)])
    without = report_document(composed(url, tables))
    assert without.pop("own") is None
    store.own().keep([own_row(tables)])
    report = composed(url, tables)
    document = report_document(report)
    own: Any = document.pop("own")
    assert document == without
    assert own["gco2e"]["mean"] == pytest.approx(own["operational_gco2e"]["mean"] + own["embodied_gco2e"]["mean"])
    assert own["gco2e_per_call"]["mean"] == pytest.approx(own["gco2e"]["mean"] / 2)
    assert own["measured_share"] == 0


@pytest.mark.parametrize(
    ("code", "line", "says"), [("en", "The proxy itself", "in none of them"), ("fr", "Le proxy lui-même", "aucun d'eux")]
)
def test_the_page_has_the_line_in_both_languages(store: Store, url: str, tables: Tables, code: str, line: str, says: str) -> None:
    store.write([record(0, started_ms=NOVEMBER_MS)])
    store.own().keep([own_row(tables)])
    outline = write(composed(url, tables), code)
    (boundary,) = (section for section in outline.sections if section.id == "boundary")
    assert any(says in text for text in boundary.paragraphs)
    (row,) = (row for table in boundary.tables for row in table.rows if str(row[0]).startswith(line))
    assert row[2] in ("no", "non")
    assert line in csv_report(outline)


def test_an_hour_that_the_period_cuts_counts_by_its_share_and_periods_add_up(store: Store, url: str, tables: Tables) -> None:
    store.own().keep([own_row(tables, hour) for hour in range(3)])
    cut = NOVEMBER_MS + HOUR_MS + HOUR_MS // 4
    whole = own_of(url, tables).gco2e.mean
    before = own_of(url, tables, ReportRequest(now_ms=0, since_ms=NOVEMBER_MS, until_ms=cut)).gco2e.mean
    after = own_of(url, tables, ReportRequest(now_ms=0, since_ms=cut, until_ms=NOVEMBER_MS + 24 * HOUR_MS)).gco2e.mean
    assert before == pytest.approx(whole * 1.25 / 3)
    assert before + after == pytest.approx(whole)
    assert (
        composed(url, tables, ReportRequest(now_ms=0, since_ms=NOVEMBER_MS + 5 * HOUR_MS, until_ms=NOVEMBER_MS + 9 * HOUR_MS)).own is None
    )


def test_a_report_of_one_brand_has_no_share_of_it(store: Store, url: str, tables: Tables) -> None:
    store.own().keep([own_row(tables)])
    assert composed(url, tables, ReportRequest(now_ms=ALL.now_ms, tags=(("brand", ("acme",)),))).own is None


def test_idle_hours_without_a_call_are_told(store: Store, url: str, tables: Tables) -> None:
    store.own().keep([own_row(tables, cpu_s=0.0)])
    report = composed(url, tables, ReportRequest(now_ms=0, since_ms=NOVEMBER_MS, until_ms=NOVEMBER_MS + HOUR_MS))
    assert report.own is not None
    assert report.own.gco2e.mean > 0
    assert report.own.gco2e_per_call is None
    text = " ".join(text for section in write(report, "en").sections for text in section.paragraphs)
    assert "although no call came" in text


def own_in(ledger: Path) -> list[dict[str, Any]]:
    """The rows in a ledger that a proxy writes."""
    if not ledger.exists():
        return []
    with closing(sqlite3.connect(ledger)) as connection:
        if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ledger_meta'").fetchone() is None:
            return []
        return [json.loads(row[0]) for row in connection.execute("SELECT value FROM ledger_meta WHERE key LIKE 'own.%' ORDER BY key")]


def rows_of_more_than(ledger: Path, processes: int) -> list[dict[str, Any]] | None:
    rows = own_in(ledger)
    return rows if len({row["process_id"] for row in rows}) > processes else None


def test_kill_minus_9_loses_no_more_than_the_last_look_and_a_restart_adds_up(tmp_path: Path, tables: Tables) -> None:
    ledger = tmp_path / "own.db"
    config = tmp_path / "grammage.yaml"
    listen = 'server: {listen: "127.0.0.1:0", zone: FR, host: {sample_s: 1}}\n'
    config.write_text(f'version: 1\n{listen}ledger: {{url: "sqlite:///{ledger}", spool_reserve_mb: 1}}\n')
    kept: list[dict[str, Any]] = []
    used = 0.0
    for end in ("kill", "terminate"):
        before = len({row["process_id"] for row in kept})
        with serve_command(tmp_path, "--config", str(config)) as child:
            rows = until(partial(rows_of_more_than, ledger, before))
            getattr(child.process, end)()
            child.exit_code()
        kept = own_in(ledger)
        assert sum(row["cpu_s"] for row in kept) >= sum(row["cpu_s"] for row in rows)
        assert sum(row["cpu_s"] for row in kept) > used
        used = sum(row["cpu_s"] for row in kept)
    found = own_of(f"sqlite:///{ledger}", tables, ReportRequest(now_ms=2_000_000_000_000))
    assert found.processes == 2
    assert found.cpu_s == pytest.approx(used)
    assert (found.zones, found.gco2e.p5 < found.gco2e.mean < found.gco2e.p95) == (("FR",), True)


def test_a_proxy_that_ends_in_order_has_weighed_itself_to_its_end(tmp_path: Path) -> None:
    with proxy(tmp_path) as running:
        metrics = running.get("/metrics").body.decode()
    assert 'grammage_own_energy_joules_total{power="modelled"}' in metrics
    assert 'grammage_own_emissions_co2e_grams_total{phase="embodied"}' in metrics
    (row,) = own_in(running.ledger)
    assert row["cpu_s"] > 0
    assert row["memory_gb_s"] > 0
    assert "region-assumed" in row["warnings"], "nobody said where it runs"
