"""The tracer's queue and thread: what is dropped, what is lost, and that nothing of it reaches a call."""

import sys
import threading
from collections.abc import Callable, Sequence

import msgspec
import pytest

from config.telemetry import Tracing
from proxy.call import CallRecord
from proxy.errors import StartError
from proxy.tracing import tracer as room
from proxy.tracing.context import Trace, trace_for
from proxy.tracing.opening import open_tracer, traces_url
from proxy.tracing.spans import Span, spans_of
from proxy.tracing.tracer import Tracer
from tests.sample_records import CALL_ID, attempt, call

WAIT_S = 10


class Door:
    """Takes what it is given, unless it is told otherwise; `may_go` holds it back."""

    def __init__(self, answer: Callable[[], bool] = lambda: True) -> None:
        self.answer = answer
        self.may_go = threading.Event()
        self.may_go.set()
        self.entered = threading.Event()
        self.batches: list[list[Span]] = []

    def export(self, spans: Sequence[Span]) -> bool:
        self.entered.set()
        self.may_go.wait(WAIT_S)
        self.batches.append(list(spans))
        return self.answer()

    def close(self) -> None:
        self.may_go.set()


def begun() -> Trace:
    found = trace_for(CALL_ID, [], {}, 0.0, 1 << 64)
    assert found is not None
    return found


def made(door: Door, most_waiting: int = 100) -> Tracer:
    return Tracer(door, sample_ratio=1, most_waiting=most_waiting, grouping_s=0)


def test_everything_that_waits_is_sent_at_the_end_in_small_batches() -> None:
    door = Door()
    tracer = made(door)
    for _ in range(50):
        tracer.end(call(), begun())
    tracer.close()
    assert (tracer.exported_total, tracer.dropped_total) == (100, 0)
    assert max(len(batch) for batch in door.batches) <= 2 * room.CALLS_AT_ONCE


def test_what_does_not_fit_is_dropped_and_counted_in_spans() -> None:
    door = Door()
    door.may_go.clear()
    tracer = made(door, most_waiting=3)
    tracer.end(call(), begun())
    assert door.entered.wait(WAIT_S)  # the first one is on its way
    for _ in range(5):
        tracer.end(call(), begun())
    assert tracer.dropped_total == 4
    door.may_go.set()
    tracer.close()
    assert (tracer.exported_total, tracer.dropped_total) == (8, 4)


def broken() -> bool:
    raise ValueError("a span that nobody can write")


@pytest.mark.parametrize("answer", [lambda: False, broken])
def test_what_is_not_taken_is_counted_and_the_thread_goes_on(answer: Callable[[], bool], caplog: pytest.LogCaptureFixture) -> None:
    door = Door(answer)
    tracer = made(door)
    tracer.end(call(), begun())
    assert door.entered.wait(WAIT_S)
    while not tracer.failed_total:
        threading.Event().wait(0.001)
    door.answer = lambda: True
    tracer.end(call(), begun())
    tracer.close()
    assert (tracer.failed_total, tracer.exported_total) == (2, 2)
    said = [entry.getMessage() for entry in caplog.records if "tracing backend" in entry.getMessage()]
    assert said == ["the tracing backend takes no spans; they are lost", "the tracing backend takes spans again"]


def test_a_door_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "CLOSING_S", 0.05)
    door = Door()
    door.may_go.clear()
    tracer = made(door)
    tracer.end(call(), begun())
    assert door.entered.wait(WAIT_S)
    tracer.close()
    assert door.may_go.is_set(), "the door was closed, which ends what hangs in it"


def weighed(record: CallRecord) -> list[Span]:
    return spans_of(record, begun())


def test_a_call_of_several_attempts_weighs_their_sum_with_its_range() -> None:
    one = attempt()
    two = call(attempts=(one, msgspec.structs.replace(one, ordinal=1, attempt_id="0198a000-0000-7000-8000-00000000000b")))
    whole, first, second = weighed(two)
    parts = [span.attributes["grammage.attempt.co2e"] for span in (first, second)]
    assert whole.attributes["grammage.co2e"] == pytest.approx(sum(float(part) for part in parts), rel=1e-9)
    assert (
        float(whole.attributes["grammage.co2e.low"])
        < float(whole.attributes["grammage.co2e"])
        < float(whole.attributes["grammage.co2e.high"])
    )
    assert whole.attributes["grammage.attempts"] == 2


def test_what_is_not_known_is_absent_and_never_zero() -> None:
    call_span, attempt_span = weighed(call(attempts=(attempt(usage=None, estimate=None, unweighed_reason="weighing_failed"),)))
    for span in (call_span, attempt_span):
        assert span.attributes["grammage.unweighed_reason"] == "weighing_failed"
        assert not [name for name in span.attributes if "co2e" in name or "energy" in name or "usage" in name]


def test_the_packages_of_the_extra_are_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "proxy.tracing.otlp_door", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(StartError, match=r"pip install 'grammage\[otel\]'"):
        open_tracer(Tracing(endpoint="http://127.0.0.1:4318"), "0")
    assert open_tracer(None, "0") is None


@pytest.mark.parametrize("endpoint", ["http://c:4318", "http://c:4318/", "http://c:4318/v1/traces", "http://c:4318/v1/traces/"])
def test_the_path_is_added_once(endpoint: str) -> None:
    assert traces_url(endpoint) == "http://c:4318/v1/traces"
