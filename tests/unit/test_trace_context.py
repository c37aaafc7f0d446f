"""W3C Trace Context: which headers name a span, and which ids and flags go on."""

import re

from hypothesis import given
from hypothesis import strategies as st

from proxy.clock import uuid7
from proxy.tracing.context import Headers, Trace, parent_of, trace_for, with_context

ALL = 1 << 64
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HEX = "0123456789abcdef"
CALL_ID = "01980000-0000-7000-8000-000000000001"


def begun(headers: Headers, call_id: str = CALL_ID, bound: int = ALL) -> Trace | None:
    return trace_for(call_id, headers, dict(headers), 1.0, bound)


@given(st.binary(max_size=80))
def test_no_bytes_break_the_reading(value: bytes) -> None:
    found = parent_of([value])
    assert found is None or (len(found.trace_id), len(found.span_id)) == (32, 16)


@given(st.text(HEX, min_size=32, max_size=32), st.text(HEX, min_size=16, max_size=16), st.integers(0, 255))
def test_what_is_well_formed_is_read(trace_id: str, span_id: str, flags: int) -> None:
    found = parent_of([f"00-{trace_id}-{span_id}-{flags:02x}".encode()])
    if not int(trace_id, 16) or not int(span_id, 16):
        assert found is None
        return
    assert found == (trace_id, span_id, flags & 3)


def test_two_traceparents_name_no_span() -> None:
    value = f"00-{TRACE}-{SPAN}-01".encode()
    assert parent_of([value, value]) is None
    found = begun([(b"traceparent", value), (b"traceparent", value)])
    assert found is not None
    assert found.parent_id is None
    assert found.trace_id != TRACE


@given(st.integers(0, (1 << 47) - 1))
def test_ids_are_well_formed_and_of_their_own(now_ms: int) -> None:
    trace = begun([], uuid7(now_ms))
    assert trace is not None
    spans = [trace.span_id, *(trace.span_id_of(ordinal) for ordinal in range(5))]
    assert len(set(spans)) == len(spans)
    assert all(re.fullmatch(r"[0-9a-f]{16}", span) and int(span, 16) for span in spans)
    assert re.fullmatch(r"[0-9a-f]{32}", trace.trace_id)


def test_calls_that_are_numbered_one_after_the_other_share_no_span() -> None:
    first = int(uuid7(1_790_000_000_000).replace("-", ""), 16)
    spans = []
    for at in range(50):
        text = f"{first + at:032x}"
        trace = begun([], f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}")
        assert trace is not None
        spans += [trace.span_id, *(trace.span_id_of(ordinal) for ordinal in range(4))]
    assert len(set(spans)) == 250


def test_a_share_of_the_traces_that_begin_here_is_told_of() -> None:
    told = sum(begun([], bound=ALL // 4) is not None for _ in range(4000))
    assert 800 < told < 1200
    assert begun([], bound=0) is None
    sampled = [(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())]
    assert begun(sampled, bound=0) is not None


def test_each_attempt_goes_out_under_its_own_span_and_the_last_may_change() -> None:
    trace = begun([(b"traceparent", f"00-{TRACE}-{SPAN}-01".encode())])
    assert trace is not None
    sent = [dict(with_context([(b"traceparent", b"old"), (b"a", b"b")], trace, at, 2.0 + at)) for at in range(3)]
    ids = [headers[b"traceparent"].decode().split("-")[2] for headers in sent]
    assert [trace.span_id_of(at) for at in range(3)] == ids
    assert all(headers[b"a"] == b"b" for headers in sent)
    trace.put_last(1)
    assert [trace.span_id_of(at) for at in range(3)] == [ids[0], ids[2], ids[1]]
    assert [leg.sent for leg in trace.legs] == [2.0, 4.0, 3.0]


def test_an_attempt_that_is_sent_twice_keeps_its_span() -> None:
    trace = begun([])
    assert trace is not None
    first = trace.leave(0, 1.0)
    assert trace.leave(0, 1.0) == first
    assert len(trace.legs) == 1
