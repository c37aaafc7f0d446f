"""A whole report from the sums of hours and days is the one from the calls; what was pruned is said, and never told short."""

import random  # noqa: TID251  # seeded by each test
from dataclasses import asdict
from typing import Any

import pytest

from config.settings import Settings
from config.tables import Tables, load_tables
from proxy.ledger.prune import prune
from proxy.ledger.store import Store
from proxy.ledger.turn import taken_turn
from proxy.reports.compose import compose
from proxy.reports.document import Report
from proxy.reports.pages.write import write
from proxy.reports.request import ReportRequest
from tests.contract.ledger_rows import change_ledger
from tests.contract.rolled_ledgers import DAY_MS, MIDNIGHT_MS, any_calls, retag, rolled_up, touched

WHOLE = ReportRequest(now_ms=MIDNIGHT_MS, since_ms=MIDNIGHT_MS, until_ms=MIDNIGHT_MS + 3 * DAY_MS)
SECOND = ReportRequest(now_ms=MIDNIGHT_MS, since_ms=MIDNIGHT_MS + DAY_MS, until_ms=MIDNIGHT_MS + 2 * DAY_MS)
CUT = ("total", "boundary", "deliverables", "policies", "lighter", "habits", "details")
NEED_CALLS = ("hourly", "deliverables", "units", "policies", "lighter", "habits", "imported")


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def composed(url: str, tables: Tables, request: ReportRequest = WHOLE) -> Report:
    return compose(url, request, Settings.model_validate({"tags": {"audience": ["young"]}}), tables)


def filled(store: Store, url: str, seed: int) -> None:
    """Calls of every kind, late bookings, re-tags, an import and words on assets."""
    dice = random.Random(seed)
    kept = any_calls(dice, 120)
    store.write(kept)
    for at, call in enumerate(dice.sample(kept, 9)):
        retag(url, call.call_id, "late", at)
    imported = [call.call_id for call in dice.sample(kept, 8)]
    for call_id in imported:
        said = "INSERT INTO imports (call_id, batch_id, source_kind, row_hash, calls_counted) VALUES (:id, 'b', 'csv', :id, 3)"
        change_ledger(url, said, id=call_id)
    touched(url, imported)
    words = "INSERT INTO asset_verdicts (verdict_id, asset, verdict, decided_ms, caller_id) VALUES (:id, :asset, :verdict, 1, 'x')"
    change_ledger(url, words, id="w-1", asset="a", verdict="accepted")


def near(value: Any, rel: float) -> Any:
    """The value with its figures to be compared; lists of groups in the order of their names."""
    if isinstance(value, dict):
        ends = {"mean", "p5", "p95"} == value.keys()
        return {name: near(each, rel if not ends else 1e-9 if name == "mean" else 1e-6) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(near(each, rel) for each in value)
    return pytest.approx(value, rel=rel, abs=1e-9) if isinstance(value, float) else value


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("request_of", [WHOLE, SECOND], ids=["all", "second day"])
def test_a_whole_report_from_sums_is_the_one_from_calls(
    store: Store, url: str, tables: Tables, seed: int, request_of: ReportRequest
) -> None:
    filled(store, url, seed)
    scanned = asdict(composed(url, tables, request_of))
    assert rolled_up(url) > 0
    rolled = asdict(composed(url, tables, request_of))
    assert scanned["total"]["gco2e"]["mean"] > 0
    for part in scanned:
        assert rolled[part] == near(scanned[part], 1e-9), part


def test_a_report_over_pruned_calls_keeps_its_total_and_says_what_is_not_there(store: Store, url: str, tables: Tables) -> None:
    filled(store, url, 3)
    rolled_up(url)
    whole = composed(url, tables)
    with taken_turn(url) as turn:
        assert turn is not None
        assert prune(turn, MIDNIGHT_MS + DAY_MS).calls > 0
    left = composed(url, tables)
    assert asdict(left.total) == near(asdict(whole.total), 1e-9)
    for name, lines in left.groups.items():
        assert [asdict(line) for line in lines] == near([asdict(line) for line in whole.groups[name]], 1e-9), name
    assert whole.groups.keys() - left.groups.keys() == {"tag:audience"}
    assert [bool(getattr(left, part)) for part in NEED_CALLS] == [False] * len(NEED_CALLS)
    assert (left.imported_calls, [line.name for line in left.boundary]) == (None, ["operational", "embodied"])
    assert left.single_calls_since is not None
    assert left.single_calls_since.startswith("2026-09-")
    for language, words in (("en", "Not available"), ("fr", "Non disponible")):
        told = {section.id: " ".join(section.paragraphs) for section in write(left, language).sections}
        assert [words in told[part] for part in CUT] == [True] * len(CUT)
        assert not any(words in text for text in _told(whole, language))
    later = composed(url, tables, ReportRequest(now_ms=0, since_ms=MIDNIGHT_MS + DAY_MS))
    assert (later.single_calls_since, later.change) == (None, None)
    assert "previous_pruned" in {note.code for note in later.notes}


def _told(report: Report, language: str) -> list[str]:
    return [text for section in write(report, language).sections for text in section.paragraphs]


def test_a_report_of_all_times_begins_with_the_sums_of_calls_that_are_gone(store: Store, url: str, tables: Tables) -> None:
    filled(store, url, 4)
    rolled_up(url)
    whole = composed(url, tables)
    with taken_turn(url) as turn:
        assert turn is not None
        prune(turn, MIDNIGHT_MS + DAY_MS)
    assert whole.total.gco2e is not None
    found = composed(url, tables, ReportRequest(now_ms=MIDNIGHT_MS)).total.gco2e
    assert found is not None
    assert found.mean >= whole.total.gco2e.mean * (1 - 1e-9)


def test_live_and_imported_grams_add_up_to_the_total_each_once(store: Store, url: str, tables: Tables) -> None:
    filled(store, url, 5)
    rolled_up(url)
    found = composed(url, tables)
    assert found.imported is not None
    assert found.imported.gco2e is not None
    assert found.imported.live_gco2e is not None
    assert found.total.gco2e is not None
    assert found.imported.gco2e.mean + found.imported.live_gco2e.mean == pytest.approx(found.total.gco2e.mean, rel=1e-9)
    assert 0 < found.imported.live_gco2e.p5 < found.imported.live_gco2e.mean < found.imported.live_gco2e.p95
    (kind,) = found.imported.kinds
    assert (kind.source, kind.records, kind.calls, kind.gco2e) == ("csv", 8, 24, found.imported.gco2e)
    assert sum(kind.gco2e_by_tier.values()) == pytest.approx(found.imported.gco2e.mean)
    months = [(line.provider, line.month, line.gap) for line in found.coverage]
    assert months == sorted(months)
    assert {gap for *_, gap in months} == {"not_compared"}
    assert sum(line.imported_calls or 0 for line in found.coverage) >= 1


def test_the_live_part_is_what_a_report_without_the_imports_has(store: Store, url: str, tables: Tables) -> None:
    filled(store, url, 6)
    both = composed(url, tables).imported
    change_ledger(url, "DELETE FROM kept_estimates WHERE call_id IN (SELECT call_id FROM imports)")
    alone = composed(url, tables).total.gco2e
    assert both is not None
    assert alone is not None
    assert both.live_gco2e is not None
    assert both.live_gco2e.mean == pytest.approx(alone.mean, rel=1e-9)
    assert (both.live_gco2e.p5, both.live_gco2e.p95) == pytest.approx((alone.p5, alone.p95), rel=0.05)
