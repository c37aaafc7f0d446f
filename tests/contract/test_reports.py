"""Reports sum what the ledger holds, with a range that shared doubt does not shrink, and say what they rest on."""

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from estimators.estimate import Estimate
from estimators.quantity import LogVariance, Quantity, ScopeKeys, Total
from estimators.usage import Usage
from proxy.call import AttemptRecord, CallRecord
from proxy.cli.db import check
from proxy.cli.report import By, report
from proxy.cli.report_full import ReportFormat
from proxy.clock import uuid7
from proxy.errors import StartError
from proxy.ledger.columns import ESTIMATES, SCOPED_QUANTITIES
from proxy.ledger.queries import Selection
from proxy.ledger.store import Store
from proxy.reports.line import Line, Spread
from proxy.reports.render import as_document, csv_document, json_document, notes
from proxy.reports.summary import Summary, summarise
from tests.contract import ledger_rows
from tests.contract.ledger_rows import ON_A_FILE, change_ledger
from tests.contract.ledgers import STARTED_MS, record
from tests.contract.logical_rows import estimate_row
from tests.sample_records import attempt, estimate

ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000
FORBIDDEN = re.compile(r"saved|saving|avoided|neutral|green", re.IGNORECASE)


def uneven(number: int) -> Quantity:
    """A quantity whose size and every component depend on the number."""
    return Quantity(0.1 * (1 + number % 7), LogVariance(0.04, 0.02 + 0.01 * (number % 2), 0.05 * (number % 3), 0.01, 0.002 * (number % 5)))


def served(number: int, **changes: Any) -> AttemptRecord:
    """An attempt by one of two providers, three models and two zones."""
    zone = ("SE", "US")[number % 2]
    lines: dict[str, Any] = {line: uneven(number + place) for place, line in enumerate(SCOPED_QUANTITIES)}
    facts: dict[str, Any] = {"provider": ("openai", "azure")[number % 2], "model": f"m{number % 3}", "zone": zone}
    facts |= {"attempt_id": uuid7(STARTED_MS + number), "estimate": estimate(zone=zone, **lines)}
    return attempt(**(facts | changes))


def one_call(number: int, **changes: Any) -> CallRecord:
    return record(number, **({"attempts": (served(number),)} | changes))


def by_model(url: str, **changes: Any) -> Summary:
    return summarise(url, Selection(**({"by": "model"} | changes)))


def line_of(summary: Summary, key: str) -> Line:
    (line,) = [line for line in summary.lines if line.key == key]
    return line


def added_one_by_one(kept: list[CallRecord], line: str) -> Spread:
    total = Total()
    for call in kept:
        for each in call.attempts:
            assert each.estimate is not None
            keys = ScopeKeys("tokens@1.0.0", each.provider, each.model, each.estimate.zone)
            total.add(getattr(each.estimate, line), keys)
    return Spread(total.mean, total.p5, total.p95)


def assert_same(summed: Spread | None, expected: Spread) -> None:
    assert summed is not None
    assert (summed.mean, summed.p5, summed.p95) == pytest.approx((expected.mean, expected.p5, expected.p95), rel=1e-6)


def test_sums_made_by_the_database_equal_sums_made_call_by_call(store: Store, url: str) -> None:
    kept = [one_call(number) for number in range(60)]
    store.write(kept)
    summary = by_model(url)
    for name in SCOPED_QUANTITIES:
        assert_same(getattr(summary.whole, name), added_one_by_one(kept, name))
    for model in ("m0", "m1", "m2"):
        own = [call for call in kept if call.attempts[0].model == model]
        assert_same(line_of(summary, model).gco2e, added_one_by_one(own, "gco2e"))


def test_a_hundred_equal_calls_are_as_uncertain_as_one(store: Store, url: str) -> None:
    store.write([record(number) for number in range(100)])
    one, whole = estimate().gco2e, by_model(url).whole.gco2e
    assert whole is not None
    assert whole.p95 / whole.p5 == pytest.approx(one.p95 / one.p5, rel=1e-6)
    assert whole.mean == pytest.approx(100 * one.mean, rel=1e-6)


def test_a_call_counts_once_and_its_usage_is_that_of_its_attempts(store: Store, url: str) -> None:
    store.write([record(0, attempts=(served(0), served(1)))])
    summary = by_model(url)
    assert (summary.whole.calls, summary.whole.attempts) == (1, 2)
    assert summary.whole.usage["input_tokens"] == 200
    assert summary.whole.usage["cached_input_tokens"] == 40
    assert summary.whole.usage["output_tokens"] == 100
    assert [(line.key, line.calls) for line in sorted(summary.lines, key=lambda line: line.key)] == [("m0", 1), ("m1", 1)]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("model", {"m0": 2, "m1": 2, "m2": 2}),
        ("provider", {"azure": 3, "openai": 3}),
        ("zone", {"SE": 3, "US": 3}),
        ("operation", {"chat": 6}),
    ],
)
def test_calls_are_grouped_by_what_is_asked(store: Store, url: str, by: str, expected: dict[str, int]) -> None:
    store.write([one_call(number) for number in range(6)])
    assert {line.key: line.calls for line in by_model(url, by=by).lines} == expected


def test_days_are_utc_and_in_order(store: Store, url: str) -> None:
    midnight = STARTED_MS // DAY_MS * DAY_MS
    starts = (midnight + DAY_MS, midnight - 1, midnight, midnight + DAY_MS - 1)
    store.write([one_call(number, started_ms=started_ms) for number, started_ms in enumerate(starts)])
    lines = by_model(url, by="day").lines
    assert [(line.key, line.calls) for line in lines] == [("2026-09-20", 1), ("2026-09-21", 2), ("2026-09-22", 1)]


def test_the_period_includes_its_start_and_excludes_its_end(store: Store, url: str) -> None:
    store.write([one_call(number) for number in range(10)])
    summary = by_model(url, since_ms=STARTED_MS + 2, until_ms=STARTED_MS + 5)
    assert summary.whole.calls == 3
    assert (summary.first_ms, summary.last_ms) == (STARTED_MS + 2, STARTED_MS + 4)
    assert summary.whole.weighed_attempts == 3


def test_a_call_without_the_tag_is_unassigned_and_a_retag_counts(store: Store, url: str) -> None:
    tagged, retagged, bare = one_call(0), one_call(1), one_call(2, tags=())
    store.write([tagged, retagged, bare])
    retag = "INSERT INTO retags (call_id, name, created_ms, value) VALUES (:call_id, 'campaign', :created_ms, :value)"
    for created_ms, value in ((1, "typo"), (2, "soldes-27")):
        change_ledger(url, retag, call_id=retagged.call_id, created_ms=created_ms, value=value)
    lines = by_model(url, by="tag", tag_name="campaign").lines
    assert {line.key: line.calls for line in lines} == {"noel-26": 1, "soldes-27": 1, "unassigned": 1}
    assert [line.key for line in by_model(url, by="tag", tag_name='od"d.name').lines] == ["unassigned"]


def add_opinion(url: str, call: CallRecord, opinion: Estimate, estimate_id: str, created_ms: int) -> None:
    """What a re-weighing adds."""
    row = dict(zip(ESTIMATES, estimate_row(call, call.attempts[0], opinion), strict=True))
    row |= {"estimate_id": estimate_id, "created_ms": created_ms}
    ledger_rows.add_opinion(url, **row)


def test_the_newest_opinion_counts_and_the_older_are_history(store: Store, url: str) -> None:
    call = one_call(0)
    store.write([call])
    newer = estimate(gco2e=Quantity(7.0, LogVariance()), factor_set="beef", method_version="2.0.0")
    add_opinion(url, call, newer, "later", STARTED_MS + DAY_MS)
    other = estimate(gco2e=Quantity(9.0, LogVariance()), method="ecologits")
    add_opinion(url, call, other, "other", STARTED_MS + 1)
    summary = by_model(url)
    assert_same(summary.whole.gco2e, Spread(7.0, 7.0, 7.0))
    assert (summary.methods, summary.factor_sets) == (("tokens@2.0.0",), ("beef",))
    assert_same(by_model(url, method="ecologits").whole.gco2e, Spread(9.0, 9.0, 9.0))


def test_what_was_not_weighed_is_counted_by_reason_and_never_zero_grams(store: Store, url: str) -> None:
    failed = served(0, estimate=None, unweighed_reason="weighing_failed", model="broken")
    refused = served(1, estimate=None, usage=None, unweighed_reason="not_generated", model="busy", status=429)
    store.write([record(0, attempts=(failed,)), record(1, attempts=(refused,)), one_call(2)])
    summary = by_model(url)
    assert summary.whole.unweighed == {"weighing_failed": 1}
    assert summary.whole.not_generated == 1
    assert summary.whole.weighed_attempts == 1
    broken, busy = line_of(summary, "broken"), line_of(summary, "busy")
    assert (broken.gco2e, broken.facility_energy_wh, broken.unweighed) == (None, None, {"weighing_failed": 1})
    assert (busy.gco2e, busy.unweighed, busy.not_generated) == (None, {}, 1)


def test_a_call_without_an_attempt_is_counted(store: Store, url: str) -> None:
    store.write([one_call(0), record(1, attempts=())])
    summary = by_model(url)
    assert (summary.whole.calls, summary.whole.attempts) == (2, 1)
    assert line_of(summary, "none").calls == 1


def test_shares_tell_who_counted_what_was_simulated_and_the_tiers(store: Store, url: str) -> None:
    heavy = estimate(gco2e=Quantity(3.0, LogVariance()), quality="E")
    light = estimate(gco2e=Quantity(1.0, LogVariance()), quality="C")
    store.write(
        [
            record(0, attempts=(served(0, estimate=heavy, simulated=True),)),
            record(1, attempts=(served(1, estimate=light, usage=Usage(input_tokens=5, source="estimated")),)),
            record(2, attempts=(served(2, estimate=None, usage=Usage(output_tokens=5, source="counted"), unweighed_reason="x"),)),
            record(3, attempts=(served(3, estimate=None, usage=None, unweighed_reason="not_generated"),)),
        ]
    )
    whole = by_model(url).whole
    assert whole.gco2e_share_by_tier == pytest.approx({"C": 0.25, "E": 0.75})
    assert (whole.simulated_share, whole.counted_usage_share, whole.estimated_usage_share) == pytest.approx((1 / 4, 1 / 3, 1 / 3))


def test_an_empty_ledger_gives_an_empty_report(store: Store, url: str) -> None:
    summary = by_model(url)
    assert (summary.lines, summary.whole.calls, summary.whole.gco2e, summary.whole.simulated_share) == ((), 0, None, None)
    assert json.loads(json_document(summary))["total"]["gco2e"] is None


def test_the_document_holds_figures_in_full_and_their_basis(store: Store, url: str) -> None:
    store.write([one_call(number) for number in range(5)])
    summary = by_model(url)
    document = json.loads(json_document(summary))
    assert summary.whole.gco2e is not None
    assert document["total"]["gco2e"] == {"mean": summary.whole.gco2e.mean, "low": summary.whole.gco2e.p5, "high": summary.whole.gco2e.p95}
    assert (document["profiles"], document["factor_sets"], document["methods"]) == (["sci-consumer"], ["f00d"], ["tokens@1.0.0"])
    assert document["first_call"] == "2026-09-21T14:13:20Z"
    assert [group["group"] for group in document["groups"]] == [line.key for line in summary.lines]


def test_csv_has_a_row_per_group_and_marks_the_total(store: Store, url: str) -> None:
    store.write([one_call(number) for number in range(6)])
    summary = by_model(url)
    rows = list(csv.DictReader(io.StringIO(csv_document(summary))))
    assert [row["row"] for row in rows] == ["group", "group", "group", "total"]
    assert summary.whole.gco2e is not None
    assert float(rows[-1]["gco2e_high"]) == summary.whole.gco2e.p95
    assert rows[0]["factor_sets"] == "f00d"


@pytest.mark.parametrize("value", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_made_text(store: Store, url: str, value: str) -> None:
    store.write([one_call(0, tags=(("campaign", value),))])
    rows = list(csv.DictReader(io.StringIO(csv_document(by_model(url, by="tag", tag_name="campaign")), newline="")))
    assert rows[0]["group"] == f"'{value}"


def test_simulated_calls_are_said_to_be_so(store: Store, url: str) -> None:
    store.write([record(0, attempts=(served(0, simulated=True),)), one_call(1)])
    assert any(note.startswith("50 % of the attempts were answered by the simulated provider") for note in notes(by_model(url)))


def test_no_report_claims_what_it_must_not(store: Store, url: str) -> None:
    simulated = served(0, simulated=True, usage=Usage(output_tokens=1, source="counted"))
    failed = served(1, estimate=None, unweighed_reason="weighing_failed")
    store.write([record(0, attempts=(simulated, failed)), record(1, attempts=(served(2, usage=Usage(source="estimated")),))])
    summary = by_model(url)
    assert len(notes(summary)) == 5
    assert not FORBIDDEN.search(json.dumps(as_document(summary)) + csv_document(summary))


def test_the_table_states_period_boundary_factors_and_rounds_for_people(store: Store, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([one_call(0, attempts=(served(0, estimate=estimate(gco2e=Quantity(1234.567, LogVariance()))),))])
    report(by=By.MODEL, ledger=url)
    text = capsys.readouterr().out
    assert "period    2026-09-21T14:13:20Z to 2026-09-21T14:13:20Z" in text
    assert "boundary  sci-consumer" in text
    assert "factors   f00d" in text
    assert "1,200" in text
    assert "1234" not in text
    assert "D 100 %" in text
    assert not FORBIDDEN.search(text)


def test_a_terminal_never_sees_a_client_s_control_characters(store: Store, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([one_call(0, attempts=(served(0, model="\x1b[31mred[bold]"),))])
    report(by=By.MODEL, ledger=url)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "[31mred[bold]" in text


def test_until_a_day_includes_that_day(store: Store, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([one_call(0), one_call(1, started_ms=STARTED_MS + DAY_MS)])
    report(by=By.DAY, since="2026-09-21", until="2026-09-21", form=ReportFormat.JSON, ledger=url)
    document = json.loads(capsys.readouterr().out)
    assert [group["group"] for group in document["groups"]] == ["2026-09-21"]
    assert document["until"] == "2026-09-22T00:00:00Z"
    report(by=By.DAY, since="2026-09-21T14:13:20Z", until="2026-09-21T14:13:20.001Z", form=ReportFormat.JSON, ledger=url)
    assert json.loads(capsys.readouterr().out)["total"]["calls"] == 1


@pytest.mark.parametrize(
    ("since", "until", "calls"), [("2026-09", None, 1), ("2026", None, 2), ("2026-08", None, 0), ("2026-08", "2026-10", 2)]
)
def test_a_month_or_a_year_is_meant_whole(
    since: str, until: str | None, calls: int, store: Store, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.write([one_call(0), one_call(1, started_ms=STARTED_MS + 30 * DAY_MS)])
    report(by=By.DAY, since=since, until=until, form=ReportFormat.JSON, ledger=url)
    assert json.loads(capsys.readouterr().out)["total"]["calls"] == calls


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "99999-01-01", "2026-13"])
def test_a_day_that_is_none_is_refused(since: str, url: str) -> None:
    with pytest.raises(typer.BadParameter, match="--since"):
        report(since=since, ledger=url)


@pytest.mark.parametrize(("since", "until"), [("2026-11-25", "2026-11-24"), ("2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z")])
def test_a_period_that_ends_before_it_begins_is_refused(since: str, until: str, url: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"--since '2026-11-2.* is not before --until"):
        report(since=since, until=until, ledger=url)


def test_a_tag_that_no_call_has_is_said_to_be_so(store: Store, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    store.write([one_call(0)])
    report(by=By.TAG, tag_name="colour", ledger=url)
    assert "no call of this period has the tag 'colour'" in capsys.readouterr().err


@pytest.mark.parametrize("command", [report, check])
def test_a_file_given_for_the_ledger_is_told_how_its_url_is_written(command: Callable[..., None]) -> None:
    with pytest.raises(StartError, match=r"--ledger 'calls\.db' is not a URL; a file is written sqlite:///calls\.db"):
        command(ledger="calls.db")


@pytest.mark.parametrize(("by", "tag_name"), [(By.TAG, None), (By.MODEL, "campaign")])
def test_a_tag_report_needs_its_tag(by: By, tag_name: str | None, url: str) -> None:
    with pytest.raises(typer.BadParameter, match="--tag-name"):
        report(by=by, tag_name=tag_name, ledger=url)


@ON_A_FILE
def test_a_ledger_that_is_not_there_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(StartError, match=r"there is no ledger at .*ledger\.db"):
        report(ledger=url)
    assert list(tmp_path.iterdir()) == []


@ON_A_FILE
def test_a_ledger_without_schema_is_told_how_to_get_one(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ledger.db").touch()
    with pytest.raises(StartError, match="grammage db upgrade"):
        report(ledger=url)
    with pytest.raises(typer.Exit):
        check(ledger=url)
    assert "grammage db upgrade" in capsys.readouterr().err


def test_the_ledger_is_taken_from_the_configuration_and_tables_alone_need_rich(store: Store, url: str, tmp_path: Path) -> None:
    store.write([one_call(0)])
    config = tmp_path / "grammage.yaml"
    config.write_text(f"version: 1\nledger: {{url: '{url}'}}\n")
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from proxy.cli.report_full import ReportFormat\n"
        "from proxy.cli.report import report\n"
        f"report(form=ReportFormat.JSON, config=Path({str(config)!r}))\n"
        "print([name for name in ('rich.table', 'alembic') if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT)
    assert json.loads(done.stdout)["total"]["calls"] == 1
    assert done.stderr.strip() == "[]"
