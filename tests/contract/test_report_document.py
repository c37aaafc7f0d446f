"""A whole report of a ledger: sums that agree with a Monte Carlo, parts that agree with each other, on either database."""

import io
import json
import math
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import typer
from msgspec.structs import replace

from config.settings import Settings
from config.tables import Tables, load_tables
from estimators.paired import PairedTotal
from estimators.quantity import LogVariance, Quantity, ScopeKeys
from estimators.usage import Media, Usage
from proxy.call import PENDING, AttemptRecord, CallRecord, Hour
from proxy.cli.report import report as report_command
from proxy.cli.report_full import ReportFormat
from proxy.ledger.queries import Selection
from proxy.ledger.store import Store
from proxy.reports.as_json import report_document
from proxy.reports.compose import compose
from proxy.reports.document import Report
from proxy.reports.line import Spread
from proxy.reports.period import Span
from proxy.reports.request import ReportRequest
from proxy.reports.summary import summarise
from tests.contract.ledger_rows import change_ledger
from tests.contract.ledgers import record
from tests.contract.rolled_ledgers import rolled_up
from tests.contract.test_decisions_ledger import DECISION
from tests.sample_records import attempt, estimate

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOVEMBER_MS = 1_793_491_200_000
"""2026-11-01T00:00:00Z."""

NOVEMBER = ReportRequest(now_ms=NOVEMBER_MS, since_ms=NOVEMBER_MS, until_ms=NOVEMBER_MS + 30 * DAY_MS)
RNG_SEED = 20_261_101


@pytest.fixture(scope="module")
def tables() -> Tables:
    return load_tables()


def composed(url: str, tables: Tables, request: ReportRequest = NOVEMBER, **settings: Any) -> Report:
    return compose(url, request, Settings.model_validate(settings), tables)


def made(number: int, *, grams: float = 0.15, doubt: LogVariance | None = None, call: Any = (), **facts: Any) -> CallRecord:
    """A call of November, `number` minutes in, of one attempt with so many grams (median)."""
    started_ms = NOVEMBER_MS + number * 60_000
    lines = {"operational_gco2e": 0.8, "embodied_gco2e": 0.2, "gco2e": 1.0, "facility_energy_wh": 2.0}
    variance = LogVariance(method=0.04, provider=0.02, model=0.02, zone=0.01, call=0.03) if doubt is None else doubt
    zone = facts.pop("zone", "US")
    changes = facts.pop("estimate", {})
    opinion = estimate(zone=zone, **({name: Quantity(grams * share, variance) for name, share in lines.items()} | changes))
    tried = attempt(**({"attempt_id": f"a-{number}", "zone": zone, "estimate": opinion} | facts))
    own: dict[str, Any] = {"call_id": f"c-{number}", "started_ms": started_ms, "attempts": (tried,)}
    return record(**(own | dict(call)))


def figures(spread: Spread | None) -> tuple[float, float, float]:
    """Expected value, low and high of what is known."""
    assert spread is not None
    return (spread.mean, spread.p5, spread.p95)


def test_the_total_is_that_of_the_summary(store: Store, url: str, tables: Tables) -> None:
    store.write([made(number, grams=0.1 + number % 5, model=f"m{number % 3}", zone=("US", "SE")[number % 2]) for number in range(50)])
    found = composed(url, tables)
    summary = summarise(url, Selection(by="model", since_ms=NOVEMBER.since_ms, until_ms=NOVEMBER.until_ms))
    assert figures(found.total.gco2e) == pytest.approx(figures(summary.whole.gco2e))
    assert [line.key for line in found.groups["model"]] == [line.key for line in summary.lines]
    for mine, theirs in zip(found.groups["model"], summary.lines, strict=True):
        assert figures(mine.gco2e) == pytest.approx(figures(theirs.gco2e))
        assert mine.calls == theirs.calls


def test_every_way_to_group_has_the_total(store: Store, url: str, tables: Tables) -> None:
    tags = [(("brand", "acme"), ("campaign", "noel"), ("tool", "sheets")), (("brand", "acme"),), ()]
    store.write([made(number * 700, call={"tags": tags[number % 3], "policy": ("none", "p")[number % 2]}) for number in range(40)])
    found = composed(url, tables)
    assert found.total.gco2e is not None
    for name, lines in found.groups.items():
        assert math.fsum(line.gco2e.mean for line in lines if line.gco2e) == pytest.approx(found.total.gco2e.mean), name
        assert sum(line.calls for line in lines) == 40, name
    (acme, nobody) = found.tree
    assert (acme.name, nobody.name) == ("acme", "unassigned")
    assert [branch.name for branch in acme.below] == ["noel", "unassigned"]


def test_a_months_total_and_range_agree_with_a_monte_carlo_over_its_calls(store: Store, url: str, tables: Tables) -> None:
    rng = np.random.default_rng(RNG_SEED)
    calls, keys = [], []
    for number in range(3000):
        provider, model, zone = ("openai", "azure")[number % 2], f"m{number % 3}", ("US", "SE", "FR")[number % 3]
        doubt = LogVariance(0.05, 0.03 + 0.02 * (number % 2), 0.08 + 0.1 * (number % 3), 0.02, 0.1)
        grams = float(rng.lognormal(-1.5, 1.0))
        calls.append(made(number, grams=grams, doubt=doubt, provider=provider, model=model, zone=zone))
        keys.append(("tokens", provider, model, zone, grams, doubt))
    store.write(calls)
    gco2e = composed(url, tables).total.gco2e
    assert gco2e is not None
    sums = _sampled(keys, rng, draws=20_000)
    exact = math.fsum(key[4] * math.exp(key[5].total / 2) for key in keys)
    assert gco2e.mean == pytest.approx(exact, rel=1e-9)
    assert gco2e.mean == pytest.approx(float(sums.mean()), rel=0.01)
    assert (gco2e.p5, gco2e.p95) == pytest.approx(tuple(np.percentile(sums, [5, 95])), rel=0.03)


def _sampled(keys: list[tuple[Any, ...]], rng: np.random.Generator, draws: int) -> Any:
    """Sums of all calls: one draw per method, provider, model and zone, shared by the calls that have it, and one per call."""
    sums = np.zeros(draws)
    shared = [{name: rng.standard_normal(draws) for name in sorted({key[scope] for key in keys})} for scope in range(4)]
    for *names, grams, doubt in keys:
        log = sum(math.sqrt(doubt[scope]) * shared[scope][names[scope]] for scope in range(4))
        sums += grams * np.exp(log + math.sqrt(doubt.call) * rng.standard_normal(draws))
    return sums


def test_a_change_is_explained_in_full(store: Store, url: str, tables: Tables) -> None:
    before = [made(-number - 1, grams=0.2, model="m1") for number in range(20)]
    now = [made(number, grams=0.3, model=f"m{number % 3}", zone=("US", "SE")[number % 2]) for number in range(50)]
    store.write([*before, *now])
    change = composed(url, tables).change
    assert change is not None
    assert (change.previous.calls, change.previous_since, change.previous_until) == (
        20,
        "2026-10-01T00:00:00+00:00",
        "2026-11-01T00:00:00+00:00",
    )
    assert math.fsum(change.gco2e_by_effect.values()) == pytest.approx(change.difference_gco2e, abs=1e-9)
    assert change.gco2e_by_effect["volume"] > 0
    again = composed(url, tables, ReportRequest(now_ms=0, since_ms=NOVEMBER_MS, compare=Span(since_ms=0, until_ms=1)))
    assert again.change is None
    assert "previous_empty" in {note.code for note in again.notes}


def test_deliverables_are_of_accepted_assets_with_minutes_beside(store: Store, url: str, tables: Tables) -> None:
    tags = [(("brand", "acme"), ("tool", "sheets"), ("asset", f"sku-{number % 4}")) for number in range(12)]
    store.write([made(number, call={"tags": tags[number]}) for number in range(12)])
    said = (
        "INSERT INTO asset_verdicts (verdict_id, asset, verdict, decided_ms, caller_id, minutes_saved)"
        " VALUES (:id, :asset, :verdict, :at, 'x', :minutes)"
    )
    words = (("sku-0", "rejected", None), ("sku-0", "accepted", 20.0), ("sku-1", "rejected", None))
    for at, (asset, verdict, minutes) in enumerate(words):
        change_ledger(url, said, id=f"v-{at}", asset=asset, verdict=verdict, at=at, minutes=minutes)
    found = composed(url, tables)
    (line,) = found.deliverables
    assert (line.kind, line.assets, line.accepted, line.rejected, line.undecided) == ("sheets", 4, 1, 1, 2)
    assert line.calls_per_accepted == 12
    assert figures(line.gco2e_per_accepted) == pytest.approx(figures(found.total.gco2e))
    assert line.minutes_saved == 20.0
    assert {unit.name for unit in found.units} == {"1000_words"}


def test_what_is_missing_is_said(store: Store, url: str, tables: Tables) -> None:
    lost: dict[str, Any] = {"usage": None, "estimate": None}
    attempts: list[AttemptRecord] = [
        attempt(attempt_id="x-1", unweighed_reason="no_usage", **lost),
        attempt(attempt_id="x-2", unweighed_reason="not_generated", **lost),
        attempt(attempt_id="x-3", unweighed_reason=PENDING, **lost),
    ]
    store.write([made(0), *(made(number, call={"attempts": (each,)}) for number, each in enumerate(attempts, start=1))])
    found = composed(url, tables)
    assert dict(found.total.unweighed) == {"no_usage": 1, "pending": 1}
    assert (found.pending_calls, found.total.not_generated) == (1, 1)
    notes = {note.code: note.values for note in found.notes}
    assert notes["unweighed"] == {"attempts": 1}
    assert {"pending", "not_generated", "not_reconciled", "unassigned"} <= notes.keys()


def test_the_hour_stands_beside_the_year(store: Store, url: str, tables: Tables) -> None:
    hour = Hour(gco2e_per_kwh=200.0, source="s", zone="US", basis="production-based, lifecycle", state="measured", age_s=1.0)
    direct = Hour(gco2e_per_kwh=1.0, source="s", zone="US", basis="production-based, direct", state="measured", age_s=1.0)
    store.write([made(0, hour=hour), made(1), made(2, hour=direct)])
    found = composed(url, tables)
    assert found.hourly is not None
    assert found.hourly.covered_share == pytest.approx(1 / 3)
    assert found.hourly.covered_hourly_gco2e == pytest.approx(found.hourly.covered_yearly_gco2e / 2)
    assert found.total.gco2e is not None
    assert found.hourly.gco2e < found.total.gco2e.mean


def test_days_are_of_the_place_that_is_named(store: Store, url: str, tables: Tables) -> None:
    store.write([made(-30), made(30)])
    request = ReportRequest(now_ms=NOVEMBER_MS, time_zone="Europe/Paris")
    assert [line.key for line in composed(url, tables, request).groups["day"]] == ["2026-11-01"]
    assert [line.key for line in composed(url, tables, ReportRequest(now_ms=0)).groups["day"]] == ["2026-10-31", "2026-11-01"]


def test_tags_and_brands_narrow_every_part(store: Store, url: str, tables: Tables) -> None:
    store.write([made(number, call={"tags": (("brand", ("acme", "other")[number % 2]), ("asset", "a"))}) for number in range(10)])
    found = composed(url, tables, ReportRequest(now_ms=0, tags=(("brand", ("acme",)),)))
    assert found.total.calls == 5
    assert found.basis.scope == {"brand": "acme"}
    assert [branch.name for branch in found.tree] == ["acme"]
    assert found.deliverables[0].calls == 5
    assert all(sum(line.calls for line in lines) == 5 for lines in found.groups.values())


def test_a_declared_basis_is_said_and_moves_france_alone(store: Store, url: str, tables: Tables) -> None:
    store.write([made(0, zone="FR"), made(1, zone="US")])
    yearly, moved = composed(url, tables), composed(url, tables, ReportRequest(now_ms=0, intensity="ademe-annual"))
    assert (yearly.basis.intensity, moved.basis.intensity) == ("yearly", "ademe-annual")
    (note,) = [note for note in moved.notes if note.code == "restated"]
    assert note.values["gco2e_per_kwh"] == 58
    before, after = ({line.key: line.gco2e for line in each.groups["zone"]} for each in (yearly, moved))
    assert figures(after["US"]) == pytest.approx(figures(before["US"]))
    assert figures(after["FR"]) != pytest.approx(figures(before["FR"]))
    day = moved.groups["day"][0].gco2e
    assert figures(day) == pytest.approx(figures(moved.total.gco2e))
    with pytest.raises(ValueError, match="is no basis"):
        composed(url, tables, ReportRequest(now_ms=0, intensity="best"))


def test_pictures_have_grams_of_their_own(store: Store, url: str, tables: Tables) -> None:
    drawn = Usage(input_tokens=20, media=Media(images=2, width=1024, height=1024))
    store.write([made(0, grams=4.0, usage=drawn, call={"operation": "images"}), made(1)])
    found = {unit.name: unit for unit in composed(url, tables).units}
    assert found["image"].quantity == 2
    assert found["image"].gco2e_per_unit.mean == pytest.approx(2.0 * math.exp(0.12 / 2))


def test_policies_stand_beside_their_baseline(store: Store, url: str, tables: Tables) -> None:
    acted = replace(DECISION, policy="drafts")
    held = replace(DECISION, policy="drafts", action="holdback")
    blind = replace(DECISION, policy="blind", baseline_gco2e=None, choice_gco2e=None)
    said = [acted, acted, held, blind]
    store.write([made(number, call={"decision": each}) for number, each in enumerate(said)])
    lines = {line.policy: line for line in composed(url, tables).policies}
    drafts = lines["drafts"]
    assert (drafts.modelled_calls, drafts.held_back_calls, dict(drafts.calls_by_action)) == (2, 1, {"holdback": 1, "routed": 2})
    assert DECISION.baseline_gco2e is not None
    assert DECISION.choice_gco2e is not None
    assert figures(drafts.baseline_gco2e)[0] == pytest.approx(2 * DECISION.baseline_gco2e.mean)
    assert figures(drafts.difference_gco2e)[0] == pytest.approx(2 * (DECISION.choice_gco2e.mean - DECISION.baseline_gco2e.mean))
    paired = PairedTotal()
    for _ in range(2):
        paired.add(DECISION.choice_gco2e, CHOSEN, DECISION.baseline_gco2e, BASELINE)
    gap = paired.difference()
    assert figures(drafts.difference_gco2e) == pytest.approx((gap.mean, gap.p5, gap.p95), rel=1e-6)
    assert (lines["blind"].difference_gco2e, lines["blind"].water_unknown) == (None, "not_modelled")


def test_an_empty_ledger_gives_a_report_that_says_so(store: Store, url: str, tables: Tables) -> None:
    found = composed(url, tables)
    assert (found.total.gco2e, found.change, found.drivers, found.deliverables, found.equivalences) == (None, None, (), (), ())
    assert [note.code for note in found.notes] == ["empty"]
    json.dumps(report_document(found), allow_nan=False)


def test_purposes_and_equivalences_stand_beside(store: Store, url: str, tables: Tables) -> None:
    store.write([made(0)])
    found = composed(url, tables, campaigns={"noel": {"purpose": "Product sheets"}})
    assert found.purposes == {"noel": "Product sheets"}
    assert found.equivalences
    bare = ReportRequest(now_ms=0, equivalences=False)
    assert composed(url, tables, bare).equivalences == ()


CHOSEN = ScopeKeys("", "azure", "gpt-4o-mini", "US-MIDA-PJM")
BASELINE = ScopeKeys("", "azure", "gpt-4o", "US-MIDA-PJM")
"""The sample decision says that method, provider and zone err alike."""


class _Piped(io.TextIOWrapper):
    """Standard output that is kept."""

    def __init__(self) -> None:
        self.kept = io.BytesIO()
        super().__init__(self.kept, encoding="utf-8")


@pytest.mark.parametrize(("form", "start"), [("json", b"{"), ("csv", b"section,"), ("html", b"<!"), ("xlsx", b"PK")])
def test_the_command_prints_data_on_standard_output_and_a_line_for_people_beside(
    store: Store, url: str, capsys: pytest.CaptureFixture[str], form: str, start: bytes
) -> None:
    store.write([made(number) for number in range(5)])
    piped = _Piped()
    with patch.object(sys, "stdout", piped):
        report_command(full=True, form=ReportFormat(form), since="2026-11", time_zone="UTC", ledger=url)
    assert piped.kept.getvalue().startswith(start)
    assert "5 calls" in capsys.readouterr().err


def test_the_command_writes_a_file_and_refuses_what_it_does_not_know(store: Store, url: str, tmp_path: Path) -> None:
    store.write([made(0)])
    out = tmp_path / "report.json"
    report_command(full=True, form=ReportFormat.JSON, brand=["acme"], tag=["campaign=x"], out=out, ledger=url)
    written = json.loads(out.read_text(encoding="utf-8"))
    assert written["basis"]["scope"] == {"brand": "acme", "campaign": "x"}
    assert written["total"]["calls"] == 0
    for wrong in ({"tag": ["campaign"]}, {"since": "soon"}, {"time_zone": "Mars/Olympus"}, {"basis_name": "best"}):
        with pytest.raises(typer.BadParameter):
            report_command(full=True, form=ReportFormat.JSON, out=out, ledger=url, **wrong)


def test_the_terminal_shows_the_parts_in_order(store: Store, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([made(0)])
    report_command(full=True, since="2026-11", ledger=url)
    shown = capsys.readouterr().out
    parts = ["Boundary", "What may", "sci-consumer"]
    assert all(part.lower() in shown.lower() for part in parts)


def test_what_providers_counted_stands_beside_unless_the_report_is_of_some_tags(store: Store, url: str, tables: Tables) -> None:
    store.write([made(0)])
    said = (
        "INSERT INTO reconciliations (reconciliation_id, provider, model, month, created_ms, source_kind, since_ms, until_ms,"
        " provider_tokens, seen_tokens, currency) VALUES ('r-1', 'openai', '', '2026-11', 1, 'usage', :since, :until, 1000, 970, 'USD')"
    )
    change_ledger(url, said, since=NOVEMBER.since_ms, until=NOVEMBER.until_ms)
    found = composed(url, tables)
    (line,) = found.coverage
    assert (line.provider, line.month, line.money, line.gap) == ("openai", "2026-11", None, "unexplained")
    assert line.tokens == pytest.approx(0.97)
    assert "not_reconciled" not in {note.code for note in found.notes}
    assert composed(url, tables, ReportRequest(now_ms=0, tags=(("brand", ("acme",)),))).coverage == ()


def test_an_imported_call_is_counted_and_said(store: Store, url: str, tables: Tables) -> None:
    store.write([made(0), made(1)])
    marked = "INSERT INTO imports (call_id, batch_id, source_kind, row_hash, calls_counted) VALUES (:call_id, 'b-1', 'csv', 'h', 7)"
    change_ledger(url, marked, call_id="c-1")
    found = composed(url, tables)
    assert found.imported_calls == 7
    assert {note.code: note.values for note in found.notes}["imported"] == {"calls": 7}


def test_a_report_over_rollups_is_that_over_calls(store: Store, url: str, tables: Tables) -> None:
    store.write([made(number * 600, model=f"m{number % 3}", call={"tags": (("brand", "acme"),)}) for number in range(40)])
    plain = composed(url, tables)
    rolled_up(url)
    rolled = composed(url, tables)
    assert figures(rolled.total.gco2e) == pytest.approx(figures(plain.total.gco2e))
    assert {name: [(line.key, line.calls) for line in lines] for name, lines in rolled.groups.items()} == {
        name: [(line.key, line.calls) for line in lines] for name, lines in plain.groups.items()
    }
    assert "pruned" not in {note.code for note in rolled.notes}
