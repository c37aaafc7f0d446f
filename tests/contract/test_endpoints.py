"""Every metered endpoint on the wire: bytes stay the provider's, its usage is recorded once, and what breaks says so."""

import contextlib
import sqlite3
import threading
from typing import Any

import httpx
import pytest

from proxy.endpoints import ENDPOINTS
from tests.contract.endpoint_cases import CASES, STREAMING, Case
from tests.contract.ledger_rows import plain
from tests.contract.proxy_harness import Proxy, until, without_footprint
from tests.contract.scripted_upstream import RESET, UNTIL_LEFT, ScriptedUpstream, streamed, whole

FIGURES = ("gco2e", "gco2e-low", "gco2e-high", "energy-wh", "basis", "quality", "method", "model", "region", "zone", "policy", "call-id")
UNARY = [row for row in ENDPOINTS if not row.streams and row.path in CASES]
whole_cases = pytest.mark.parametrize("case", [CASES[row.path] for row in UNARY], ids=[row.path[4:] for row in UNARY])
stream_cases = pytest.mark.parametrize("case", STREAMING.values(), ids=[case.path[4:] for case in STREAMING.values()])
JSON = [case for case in CASES.values() if not case.files and case.dialect == "openai"]
json_cases = pytest.mark.parametrize("case", JSON, ids=[case.operation for case in JSON])
BINARY = [case for case in CASES.values() if case.kind != "application/json"]


def rows_of(made: Proxy) -> list[dict[str, Any]]:
    """Every attempt in the ledger, all columns, beside its call and its estimate."""
    with contextlib.closing(sqlite3.connect(f"file:{made.ledger}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        found = database.execute(
            "SELECT a.*, c.alias, c.operation, c.path, c.stream, c.stream_complete, e.gco2e, e.method FROM calls c"
            " JOIN attempts a ON a.call_id = c.call_id LEFT JOIN estimates e ON e.attempt_id = a.attempt_id"
            " ORDER BY c.started_ms, c.call_id"
        )
        return [plain(row) for row in found]


def only_row(made: Proxy, call_id: str) -> dict[str, Any]:
    """The call's one row: it was recorded once."""
    (row,) = [row for row in rows_of(made) if row["call_id"] == call_id]
    return row


def holds(row: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name: row[name] for name in expected} == expected


def answers(case: Case) -> list[bytes]:
    """The case's whole answer; a binary one comes in chunks."""
    if case.kind == "application/json":
        return whole(case.answer)
    cuts = range(0, len(case.answer), 50_000)
    return streamed(*(case.answer[at : at + 50_000] for at in cuts), kind=case.kind.encode())


def test_every_row_of_the_table_has_a_case() -> None:
    assert {row.path for row in ENDPOINTS} == set(CASES)


@whole_cases
def test_with_tagging_off_the_answer_is_the_providers_to_the_byte(upstream: ScriptedUpstream, plain: Proxy, case: Case) -> None:
    upstream.answers(*answers(case))
    answer = plain.send("POST", case.sent_to, case.sent(), case.headers)
    assert (answer.status, answer.body, answer.ours) == (200, case.answer, {})
    assert answer.theirs == [(b"content-type", case.kind.encode())]
    assert (upstream.last.target, upstream.last.body) == (case.sent_to, case.sent())
    assert upstream.last.value("content-type") == case.headers["content-type"].encode()


@whole_cases
def test_the_usage_of_a_whole_answer_is_recorded_once(upstream: ScriptedUpstream, tagging: Proxy, case: Case) -> None:
    upstream.answers(*answers(case))
    answer = tagging.send("POST", case.sent_to, case.sent(), case.headers)
    row = only_row(tagging, answer.ours["call-id"])
    holds(row, {**case.recorded, "operation": case.operation, "path": case.path, "partial": 0, "unweighed_reason": None})
    assert row["response_bytes"] == len(case.answer)
    assert set(answer.ours) == set(FIGURES)
    assert answer.ours["basis"] == "final"
    assert row["gco2e"] > 0
    assert float(answer.ours["gco2e-low"]) < float(answer.ours["gco2e"]) == pytest.approx(row["gco2e"], rel=1e-3)
    assert (without_footprint(answer.body) if case.tagged else answer.body) == case.answer
    if case.tagged:
        assert answer.json[case.usage_key]["footprint"]["gco2e"] == float(answer.ours["gco2e"])


@stream_cases
def test_with_tagging_off_a_stream_is_the_providers_to_the_byte(upstream: ScriptedUpstream, plain: Proxy, case: Case) -> None:
    upstream.answers(*streamed(*case.events))
    answer = plain.send("POST", case.sent_to, case.sent(**case.stream_ask), case.headers)
    assert answer.body == b"".join(case.events)
    assert upstream.last.body == case.sent(**case.stream_ask)


@stream_cases
@pytest.mark.parametrize("size", [None, 7, 1000])
def test_the_usage_of_a_stream_is_recorded_once_however_it_is_cut(
    upstream: ScriptedUpstream, tagging: Proxy, case: Case, size: int | None
) -> None:
    sent = b"".join(case.events)
    parts = case.events if size is None else tuple(sent[at : at + size] for at in range(0, len(sent), size))
    upstream.answers(*streamed(*parts))
    answer = tagging.send("POST", case.sent_to, case.sent(**case.stream_ask), case.headers)
    assert without_footprint(answer.body) == sent
    assert answer.ours["basis"] == "forecast"
    row = only_row(tagging, answer.ours["call-id"])
    holds(row, {**case.recorded, **case.streamed, "stream": 1, "stream_complete": 1, "partial": 0, "unweighed_reason": None})
    assert row["gco2e"] > 0


@stream_cases
def test_the_end_of_a_stream_waits_for_the_record_and_what_went_before_does_not(
    upstream: ScriptedUpstream, tagging: Proxy, case: Case
) -> None:
    gate = threading.Event()
    first, *rest = streamed(*case.events)
    upstream.answers(first, rest[0], gate, *rest[1:])
    with (
        httpx.Client(base_url=tagging.url, headers=tagging.headers, trust_env=False) as client,
        client.stream("POST", case.sent_to, content=case.sent(**case.stream_ask), headers=case.headers) as reply,
    ):
        chunks = reply.iter_raw()
        assert next(chunks) == case.events[0]
        gate.set()
        body = b"".join(chunks)
    assert without_footprint(case.events[0] + body) == b"".join(case.events)


@stream_cases
def test_a_stream_that_the_provider_cuts_ends_uncleanly_and_is_recorded_as_partial(
    upstream: ScriptedUpstream, tagging: Proxy, case: Case
) -> None:
    start = streamed(*case.events[:1], end=False)
    upstream.answers(*start, RESET)
    answer = tagging.send("POST", case.sent_to, case.sent(**case.stream_ask), case.headers)
    assert answer.cut
    row = rows_of(tagging)[-1]
    holds(row, {"path": case.path, "outcome": "upstream_cut", "partial": 1, "stream_complete": 0})
    assert row["gco2e"] > 0


@stream_cases
def test_a_client_that_leaves_a_stream_is_recorded_once_as_partial(upstream: ScriptedUpstream, tagging: Proxy, case: Case) -> None:
    before = len(rows_of(tagging))
    upstream.left.clear()
    upstream.answers(*streamed(*case.events[:1], end=False), UNTIL_LEFT)
    with (
        httpx.Client(base_url=tagging.url, headers=tagging.headers, trust_env=False) as client,
        client.stream("POST", case.sent_to, content=case.sent(**case.stream_ask), headers=case.headers) as reply,
    ):
        next(reply.iter_raw())
    assert upstream.left.wait(15)
    (row,) = until(lambda: rows_of(tagging)[before:] or None)
    holds(row, {"path": case.path, "outcome": "client_left", "partial": 1})
    assert row["gco2e"] > 0


@whole_cases
def test_an_error_of_the_providers_keeps_status_body_and_headers(upstream: ScriptedUpstream, tagging: Proxy, case: Case) -> None:
    body = b'{ "error" : {"message":"slow down","type":"requests","param":null,"code":"rate_limit_exceeded"} }'
    upstream.answers(*whole(body, (b"retry-after", b"7"), status=b"429 Too Many Requests"))
    answer = tagging.send("POST", case.sent_to, case.sent(), case.headers)
    assert (answer.status, answer.body, answer.value("retry-after")) == (429, body, "7")
    assert set(answer.ours) == {"call-id"}
    row = only_row(tagging, answer.ours["call-id"])
    holds(row, {"unweighed_reason": "not_generated", "gco2e": None, "input_tokens": None, "media_images": None})


@json_cases
@pytest.mark.parametrize(("body", "code"), [(b"{", "malformed_json"), (b"[]", "invalid_type"), (b'{"model": 7}', "invalid_type")])
def test_a_bad_request_is_refused_in_the_envelope(tagging: Proxy, case: Case, body: bytes, code: str) -> None:
    answer = tagging.post(case.path, body)
    assert (answer.status, answer.error["type"], answer.error["code"]) == (400, "grammage_error", code)


@whole_cases
def test_a_dry_run_foresees_a_weight_and_sends_nothing(upstream: ScriptedUpstream, tagging: Proxy, case: Case) -> None:
    before = len(upstream.received)
    answer = tagging.send("POST", case.sent_to, case.sent(), {**case.headers, "x-grammage-dry-run": "true"})
    assert answer.json["forecast"]["gco2e"] > 0
    assert len(upstream.received) == before


@pytest.mark.parametrize("case", BINARY, ids=[case.operation for case in BINARY])
def test_a_binary_answer_comes_as_it_is_made_and_ends_once_recorded(upstream: ScriptedUpstream, tagging: Proxy, case: Case) -> None:
    gate = threading.Event()
    start, *parts, end = answers(case)
    upstream.answers(start, parts[0], gate, *parts[1:], end)
    with (
        httpx.Client(base_url=tagging.url, headers=tagging.headers, trust_env=False) as client,
        client.stream("POST", case.sent_to, content=case.sent(), headers=case.headers) as reply,
    ):
        assert "content-length" not in reply.headers
        chunks = reply.iter_raw()
        first = next(chunks)
        assert 0 < len(first) <= 50_000
        gate.set()
        assert first + b"".join(chunks) == case.answer
    assert only_row(tagging, reply.headers["x-grammage-call-id"])["gco2e"] > 0


@pytest.mark.parametrize("case", BINARY, ids=[case.operation for case in BINARY])
def test_a_binary_answer_that_is_cut_ends_uncleanly_and_is_partial(upstream: ScriptedUpstream, tagging: Proxy, case: Case) -> None:
    start, first, *_ = answers(case)
    upstream.answers(start, first, RESET)
    assert tagging.send("POST", case.sent_to, case.sent(), case.headers).cut
    holds(rows_of(tagging)[-1], {"path": case.path, "outcome": "upstream_cut", "partial": 1, "media_characters": 35})
