"""What the ledger tells of calls that telemetry tells of too, and what reports say of them, on either database."""

from config.settings import Settings
from config.tables import load_tables
from proxy.ledger.crossing_store import Crossed
from proxy.ledger.store import Store
from proxy.reports.compose import compose
from proxy.reports.request import ReportRequest
from tests.contract.ledger_rows import change_ledger
from tests.contract.ledgers import STARTED_MS, record
from tests.sample_records import attempt


def test_calls_that_came_through_are_found_by_time_and_observed_or_imported_ones_are_not(store: Store, url: str) -> None:
    store.open_writer("commit")
    through = [record(1), record(5000), record(9000)]
    store.write([*through, record(2, caller_id="observe:collector"), record(3, caller_id="import:csv", call_id="imported")])
    statement = "INSERT INTO imports (call_id, batch_id, source_kind, row_hash, calls_counted) VALUES (:id, 'b-1', 'csv', 'h', 1)"
    change_ledger(url, statement, id="imported")
    found = store.crossings().between(STARTED_MS, STARTED_MS + 9000)
    assert [each.call_id for each in found] == [each.call_id for each in through[:2]]
    first = through[0].attempts[0]
    assert first.usage is not None
    assert found[0] == Crossed(
        call_id=through[0].call_id,
        started_ms=STARTED_MS + 1,
        served_model=first.served_model,
        input_tokens=first.usage.input_tokens,
        output_tokens=first.usage.output_tokens,
        ids=tuple(each for each in (first.upstream_request_id, first.upstream_object_id) if each),
    )


def test_known_ids_are_told_however_many_are_asked(store: Store) -> None:
    store.open_writer("commit")
    kept = [record(number) for number in range(3)]
    store.write(kept)
    strangers = [f"stranger-{number}" for number in range(1200)]
    assert store.crossings().known([*strangers, *(each.call_id for each in kept)]) == {each.call_id for each in kept}
    assert store.crossings().known([]) == set()


def test_a_report_says_how_many_calls_were_observed(store: Store, url: str) -> None:
    store.open_writer("commit")
    store.write(
        [record(1), *(record(number, caller_id="observe:collector", attempts=(attempt(attempt_id=f"a-{number}"),)) for number in (2, 3))]
    )
    asked = ReportRequest(now_ms=STARTED_MS + 1000)

    def notes() -> dict[str, object]:
        return {note.code: note.values for note in compose(url, asked, Settings(), load_tables()).notes}

    assert "observed" not in notes(), "a ledger that holds none is not looked through"
    store.crossings().remember(STARTED_MS)
    store.crossings().remember(STARTED_MS + 1)
    assert notes()["observed"] == {"calls": 2}
