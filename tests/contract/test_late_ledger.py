"""The ledger keeps late bookings beside the calls that began their work, and counts both as one."""

from msgspec.structs import replace
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex

from estimators.usage import Media, Usage
from proxy.call import PENDING, UNKNOWN_ORIGIN, CallRecord
from proxy.ledger.queries import Selection
from proxy.ledger.store import Store
from proxy.ledger.tables import KEPT
from proxy.objects.split import split
from proxy.reports.summary import summarise
from tests.contract.ledger_rows import ask_ledger
from tests.contract.ledgers import record
from tests.sample_records import attempt


def begun(number: int = 0, **changes: object) -> CallRecord:
    """A call whose work goes on."""
    waiting = attempt(attempt_id=f"a{number}", usage=None, estimate=None, unweighed_reason=PENDING, upstream_object_id=f"batch_{number}")
    return record(number, operation="batches", attempts=(waiting,), **changes)


def booked(origin: str, number: int, **changes: object) -> CallRecord:
    """A booking of the work of `origin`."""
    return record(number, operation="batches", origin_call_id=origin, attempts=(attempt(attempt_id=f"b{number}"),), **changes)


def test_a_call_and_its_booking_are_one_in_a_report(store: Store, url: str) -> None:
    first, second = begun(1), begun(2)
    store.write([first, second, booked(first.call_id, 3), record(4)])
    summary = summarise(url, Selection(by="operation"))
    assert (summary.whole.calls, summary.whole.attempts, summary.whole.weighed_attempts) == (3, 3, 2)
    assert summary.whole.unweighed == {PENDING: 1}
    assert {line.key: (line.calls, dict(line.unweighed)) for line in summary.lines} == {"batches": (2, {PENDING: 1}), "chat": (1, {})}
    by_model = summarise(url, Selection(by="model"))
    assert [(line.key, line.calls) for line in by_model.lines] == [("gpt-4o-mini", 3)]


def test_a_booking_in_a_later_period_takes_the_call_with_it(store: Store, url: str) -> None:
    first = begun(1)
    late = booked(first.call_id, 5_000)
    store.write([first, late])
    before = summarise(url, Selection(by="operation", until_ms=late.started_ms))
    after = summarise(url, Selection(by="operation", since_ms=late.started_ms))
    assert (before.whole.calls, before.whole.unweighed) == (0, {})
    assert (after.whole.calls, after.whole.weighed_attempts) == (1, 1)


def test_bookings_of_unknown_calls_are_calls_of_their_own(store: Store, url: str) -> None:
    store.write([booked(UNKNOWN_ORIGIN, 1), booked(UNKNOWN_ORIGIN, 2)])
    assert summarise(url, Selection(by="operation")).whole.calls == 2


def test_a_booking_written_twice_is_there_once(store: Store) -> None:
    first = begun(1)
    late = booked(first.call_id, 2)
    store.write([first, late])
    store.write([replace(late, started_ms=late.started_ms + 99)])
    found = store.find(first.call_id)
    assert found is not None
    assert [(each["call_id"], each["started_ms"]) for each in found["late"]] == [(late.call_id, late.started_ms)]  # type: ignore[attr-defined]  # a list of calls
    assert store.has_call(late.call_id)
    assert not store.has_call("nobody")


def test_an_object_leads_to_the_call_that_began_it(store: Store) -> None:
    first = begun(1)
    store.write([first, booked(first.call_id, 2), record(3)])
    (found,) = store.find_objects(["batch_1", "batch_9"])
    assert (found["call_id"], found["upstream_object_id"], found["unweighed_reason"]) == (first.call_id, "batch_1", PENDING)
    assert found["tags"] == {"campaign": "noel-26", "asset": "sku-1"}
    assert store.find_objects([]) == []


def test_a_call_of_text_has_no_row_of_media(store: Store, url: str) -> None:
    kept = attempt(attempt_id="k", upstream_object_id="resp_1")
    store.write([record(1), record(2, attempts=(kept,)), record(3, attempts=(attempt(usage=Usage(media=Media(images=1))),))])
    assert ask_ledger(url, "SELECT media_images FROM attempt_media") == [(1,)]


def test_the_indices_hold_only_rows_that_fill_them_in_both_databases() -> None:
    for dialect in (postgresql.dialect(), sqlite.dialect()):  # type: ignore[no-untyped-call]  # the library has not typed it
        made = {
            str(index.name): str(CreateIndex(index).compile(dialect=dialect)) for table in KEPT.tables.values() for index in table.indexes
        }
        for name, column in (("ix_calls_origin_call_id", "origin_call_id"), ("ix_attempts_upstream_object_id", "upstream_object_id")):
            assert made[name].endswith(f"WHERE {column} IS NOT NULL"), made[name]


def test_splitting_a_call_loses_no_figure_and_doubles_none() -> None:
    whole = record(1)
    call, late = split(whole, "resp_1")
    assert late is not None
    assert (call.attempts[0].usage, call.attempts[0].estimate, call.attempts[0].unweighed_reason) == (None, None, PENDING)
    assert (late.attempts[0].usage, late.attempts[0].estimate) == (whole.attempts[0].usage, whole.attempts[0].estimate)
    assert (late.origin_call_id, late.call_id, late.tags) == (whole.call_id, split(whole, "resp_1")[1].call_id, whole.tags)  # type: ignore[union-attr]  # it is there as above
    refused = replace(whole, outcome="client_error")
    assert split(refused, "resp_1") == (refused, None)
