"""What spans mean: usage, addresses, nesting, crossing, ids; and that nothing which is sent breaks their reading."""

import contextlib
import json
import re
import uuid
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.listen import is_loopback
from config.settings import Settings
from config.tables import load_tables
from proxy.gen_ai_names import (
    AROUND,
    OPERATIONS,
    PROVIDERS,
    SPELLINGS,
    USAGE_CACHE_CREATION_INPUT_TOKENS,
    USAGE_CACHE_READ_INPUT_TOKENS,
    USAGE_INPUT_TOKENS,
    USAGE_OUTPUT_TOKENS,
    USAGE_REASONING_OUTPUT_TOKENS,
    WRITTEN_OPERATIONS,
    WRITTEN_PROVIDERS,
)
from proxy.ledger.crossing_store import Crossed
from proxy.observe import otlp_json, otlp_protobuf
from proxy.observe.addresses import Address, address, points_here
from proxy.observe.answer import Refused, accepted
from proxy.observe.crossing import MOST_LOOKED_AT, Crossing
from proxy.observe.deployed import Deployments
from proxy.observe.nesting import Nesting
from proxy.observe.record import call_id_of
from proxy.observe.span import BadTelemetry, Scalar, Span, Wanted
from proxy.observe.understand import ENDPOINT_OF, Told, understand
from proxy.observe.usage import BadUsage, usage_of
from proxy.policy.candidates import candidates_from

TABLES = load_tables()
S = 1_000_000_000
FACTS: dict[str, Scalar] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "gpt-4o-mini",
    USAGE_INPUT_TOKENS: 12,
    USAGE_OUTPUT_TOKENS: 3,
}


def made(own: int = 1, parent: int | None = None, start_s: int = 1_790_000_000, seconds: int = 2, **facts: Scalar) -> Span:
    """A span of one trace; facts by the end of their name."""
    return Span(
        trace_id=f"{1:032x}",
        span_id=f"{own:016x}",
        parent_id="" if parent is None else f"{parent:016x}",
        start_ns=start_s * S,
        end_ns=(start_s + seconds) * S,
        is_error=False,
        facts={**FACTS, **{name.replace("__", "."): value for name, value in facts.items()}},
    )


def told(**changes: Any) -> Told:
    """The call of such a span."""
    found = understand(made(**changes))
    assert isinstance(found, Told)
    return found


def test_every_name_is_read_as_one_fact_and_tables_fit_each_other() -> None:
    names = [each for row in SPELLINGS.values() for each in row]
    assert len(names) == len(set(names))
    assert all(row[0] == name for name, row in SPELLINGS.items())
    assert not set(OPERATIONS) & AROUND
    assert set(OPERATIONS.values()) <= set(ENDPOINT_OF)
    assert set(WRITTEN_OPERATIONS) <= set(ENDPOINT_OF)
    known = {row.provider for row in TABLES.places.providers()}
    assert set(PROVIDERS.values()) <= known | {"azure-ai"}
    assert all(PROVIDERS[written] == provider for provider, written in WRITTEN_PROVIDERS.items())


def test_the_most_current_of_two_names_counts() -> None:
    raw = json.dumps(_export({"gen_ai.usage.prompt_tokens": 9, "gen_ai.usage.input_tokens": 5, "llm.token_count.prompt": 7})).encode()
    (found,) = otlp_json.spans(raw, Wanted({}))
    assert found is not None
    assert found.facts[USAGE_INPUT_TOKENS] == 5


def _export(attributes: dict[str, int]) -> dict[str, Any]:
    pairs = [{"key": key, "value": {"intValue": value}} for key, value in attributes.items()]
    span = {"traceId": "1" * 32, "spanId": "2" * 16, "startTimeUnixNano": "1", "endTimeUnixNano": 2, "attributes": pairs}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def test_parts_that_exceed_their_whole_were_told_beside_it() -> None:
    cache = {USAGE_CACHE_READ_INPUT_TOKENS: 1000, USAGE_CACHE_CREATION_INPUT_TOKENS: 50}
    usage = usage_of({USAGE_INPUT_TOKENS: 10, USAGE_OUTPUT_TOKENS: 5, USAGE_REASONING_OUTPUT_TOKENS: 20, **cache}, "chat", writes=True)
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens) == (1060, 1000)
    assert (usage.output_tokens, usage.reasoning_output_tokens) == (25, 20)
    inclusive = usage_of({USAGE_INPUT_TOKENS: 2000, USAGE_OUTPUT_TOKENS: 5, **cache}, "chat", writes=True)
    assert inclusive is not None
    assert inclusive.input_tokens == 2000


@given(st.dictionaries(st.sampled_from([name for name in SPELLINGS if ".usage." in name]), st.integers(0, 10**6)))
def test_any_counts_make_a_usage_whose_parts_fit(facts: dict[str, Scalar]) -> None:
    usage = usage_of(facts, "chat", writes=True)
    if USAGE_INPUT_TOKENS not in facts and USAGE_OUTPUT_TOKENS not in facts:
        assert usage is None
    else:
        assert usage is not None
        assert usage.partial == (USAGE_OUTPUT_TOKENS not in facts)
        assert usage.input_tokens >= int(facts.get(USAGE_INPUT_TOKENS, 0))


@pytest.mark.parametrize("count", [-1, 1.5, True, "many", "-3", 1 << 40, float("inf"), float("nan")])
def test_a_count_that_is_none_is_refused(count: Scalar) -> None:
    with pytest.raises(BadUsage, match="input_tokens"):
        usage_of({USAGE_INPUT_TOKENS: count}, "chat", writes=True)


def test_pictures_are_counted_as_asked_where_no_tokens_are_told() -> None:
    usage = usage_of({"gen_ai.request.choice.count": 3}, "images", writes=False)
    assert usage is not None
    assert usage.media is not None
    assert (usage.media.images, usage.source) == (3, "estimated")


@pytest.mark.parametrize(
    ("word", "meant"),
    [("Chat", "chat"), ("LLM", "chat"), ("text_completion", "completions"), ("embeddings", "embeddings"), ("images", "images")],
)
def test_words_of_operations_are_understood(word: str, meant: str) -> None:
    assert told(gen_ai__operation__name=word).endpoint.operation == meant


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"gen_ai.operation.name": "invoke_agent"}, "around_calls"),
        ({"gen_ai.operation.name": "execute_tool"}, "around_calls"),
        ({"gen_ai.operation.name": "levitate"}, "unknown_operation"),
        ({"gen_ai.request.model": ""}, "model_missing"),
        ({"gen_ai.request.model": "a\x00b"}, "model_missing"),
        ({USAGE_INPUT_TOKENS: -1}, "bad_usage"),
        ({"grammage.call_id": "0192f3a0-0000-7000-8000-000000000000"}, "came_through_us"),
    ],
)
def test_spans_that_are_no_calls_are_told_apart(facts: dict[str, Any], why: str) -> None:
    assert understand(made(**{name.replace(".", "__"): value for name, value in facts.items()})) == why


def test_a_span_without_a_word_is_a_call_only_where_it_tells_tokens() -> None:
    assert told(gen_ai__operation__name="").endpoint.operation == "chat"
    bare = Span(trace_id="1" * 32, span_id="2" * 16, parent_id="", start_ns=1, end_ns=2, is_error=False, facts={})
    assert understand(bare) == "not_a_call"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("api.openai.com", "api.openai.com", None),
        ("https://LLM.corp/v1/", "llm.corp", 443),
        ("http://127.0.0.1:8080/v1", "127.0.0.1", 8080),
        ("llm.corp:9000", "llm.corp", 9000),
        ("[::1]:80", "::1", 80),
        ("http://[bad", None, None),
        ("\x00", None, None),
        ("", None, None),
    ],
)
def test_addresses_are_read_from_hosts_and_urls(text: str, host: str | None, port: int | None) -> None:
    found = told(server__address=text)
    assert (found.host, found.port) == (host, port)


def test_only_our_own_addresses_point_here() -> None:
    ours = [found for text in ("127.0.0.1:8080", "llm.corp", "grammage:9000", "https://x.corp:443") if (found := address(text)) is not None]
    here = [("localhost", 8080), ("127.0.0.1", 8080), ("llm.corp", 443), ("llm.corp", None), ("grammage", 9000), ("x.corp", None)]
    elsewhere = [("localhost", 11434), ("api.openai.com", 443), (None, 8080), ("grammage", 443), ("127.0.0.1", None)]
    assert all(points_here(host, port, ours) for host, port in here)
    assert not any(points_here(host, port, ours) for host, port in elsewhere)
    assert is_loopback("localhost")


class Ledger:
    """Calls that came through, and how often they were asked for."""

    def __init__(self, *rows: Crossed) -> None:
        self.rows = rows
        self.asked: list[tuple[int, int]] = []

    def between(self, since_ms: int, until_ms: int) -> list[Crossed]:
        self.asked.append((since_ms, until_ms))
        return [row for row in self.rows if since_ms <= row.started_ms < until_ms]


def row(call_id: str, at_s: float, counts: tuple[int, int] = (12, 3), model: str = "gpt-4o-mini", ids: Sequence[str] = ()) -> Crossed:
    """A call that came through us."""
    return Crossed(
        call_id=call_id,
        started_ms=round(at_s * 1000),
        served_model=model,
        input_tokens=counts[0],
        output_tokens=counts[1],
        ids=tuple(ids),
    )


def crossing(*rows: Crossed) -> tuple[Crossing, Ledger]:
    ledger = Ledger(*rows)
    return Crossing(ledger, TABLES.places, TABLES.catalogue), ledger


START = 1_790_000_000


def test_where_nobody_says_where_a_call_went_the_same_counts_at_the_same_time_tell() -> None:
    room, _ = crossing(row("c-1", START + 0.2))
    calls = [told(own=1), told(own=2), told(own=3, start_s=START + 60)]
    assert room.crossed(calls, ()) == {0}, "each call of the ledger stands for one span"
    assert room.crossed(calls, ()) == {0}, "and for the same one when it is sent again"


@pytest.mark.parametrize(
    "other", [row("c", START, counts=(12, 4)), row("c", START + 5), row("c", START - 5), row("c", START, model="claude-sonnet-4-5")]
)
def test_another_call_is_not_taken_for_this_one(other: Crossed) -> None:
    room, _ = crossing(other)
    assert room.crossed([told()], ()) == set()


def test_a_call_to_a_providers_own_address_did_not_come_through() -> None:
    room, ledger = crossing(row("c-1", START, ids=("r-1",)))
    assert room.crossed([told(server__address="api.openai.com", gen_ai__response__id="r-1")], ()) == set()
    assert not ledger.asked, "the ledger is not even asked"


def test_a_call_to_our_address_came_through_only_if_the_ledger_holds_one_of_its_time() -> None:
    ours = [Address("llm.corp", None)]
    room, _ = crossing(row("c-1", START + 1, counts=(999, 999), model="another"), row("c-2", START + 60))
    calls = [told(own=1, server__address="llm.corp"), told(own=2, server__address="llm.corp"), told(own=3, start_s=START + 60)]
    assert room.crossed(calls, ours) == {0, 2}
    crowd, _ = crossing(*(row(f"c-{number}", START + number / 10_000) for number in range(MOST_LOOKED_AT + 1)))
    room_of_many = [told(own=number + 1, server__address="llm.corp", gen_ai__usage__input_tokens=77) for number in range(3)]
    assert crowd.crossed(room_of_many, ours) == {0, 1, 2}


def test_the_answers_id_tells_and_the_ledger_is_asked_by_windows() -> None:
    room, ledger = crossing(row("c-1", START, counts=(7, 7), ids=("r-1",)))
    calls = [told(own=1, gen_ai__response__id="r-1"), told(own=2, start_s=START + 100), told(own=3, start_s=START + 4000)]
    assert room.crossed(calls, ()) == {0}
    assert len(ledger.asked) == 2


def test_nested_spans_count_once_whichever_comes_first() -> None:
    inner_first = Nesting()
    assert inner_first.counts(made(own=3, parent=2))
    inner_first.pass_by(made(own=2, parent=1))
    assert not inner_first.counts(made(own=1))
    outer_first = Nesting()
    assert outer_first.counts(made(own=1))
    outer_first.pass_by(made(own=2, parent=1))
    assert not outer_first.counts(made(own=3, parent=2))
    siblings = Nesting()
    assert siblings.counts(made(own=2, parent=1))
    assert siblings.counts(made(own=3, parent=1))


def test_nesting_survives_circles_and_keeps_a_bounded_memory() -> None:
    room = Nesting(remembered=10)
    room.pass_by(made(own=1, parent=2))
    room.pass_by(made(own=2, parent=1))
    assert room.counts(made(own=3, parent=1))
    assert room.counts(made(own=4, parent=4))
    for number in range(100, 200):
        room.counts(made(own=number, parent=number + 1000))
    assert {len(room._around), len(room._counted), len(room._parents)} <= {10, 2, 3}
    assert len(room._counted) == 10


def test_ids_follow_from_trace_and_span_and_sort_by_time() -> None:
    one, again, other = call_id_of(made()), call_id_of(made(seconds=9)), call_id_of(made(own=2))
    assert one == again
    assert len({one, other, call_id_of(made(), "attempt")}) == 3
    assert uuid.UUID(one).version == 8
    assert call_id_of(made(start_s=START + 1)) > one
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", one)


@pytest.mark.parametrize(
    ("facts", "provider"),
    [
        ({"gen_ai.provider.name": "azure.ai.openai"}, "azure"),
        ({"gen_ai.provider.name": "openai", "server.address": "api.mistral.ai"}, "mistral"),
        ({"gen_ai.provider.name": "openai", "server.address": "localhost"}, "local"),
        ({"gen_ai.provider.name": "openai", "server.address": "llm.corp"}, "unknown"),
        ({"gen_ai.provider.name": "anthropic", "server.address": "gateway.corp"}, "anthropic"),
        ({"gen_ai.provider.name": "nobody-knows-it"}, "openai"),
        ({"gen_ai.request.model": "claude-sonnet-4-5"}, "anthropic"),
        ({"gen_ai.request.model": "nobody-knows-it"}, "unknown"),
    ],
)
def test_the_provider_is_told_by_address_name_and_model_in_turn(facts: dict[str, Scalar], provider: str) -> None:
    deployments = Deployments(candidates_from(Settings(), TABLES.places), TABLES)
    found = deployments.of(told(**{name.replace(".", "__"): value for name, value in facts.items()}))
    assert found.provider == provider


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading(raw: bytes) -> None:
    for read in (otlp_json.spans, otlp_protobuf.spans):
        with contextlib.suppress(BadTelemetry):
            list(read(raw, Wanted({"tool": "service.name"})))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3), max_leaves=8
)
VALUE = st.dictionaries(st.sampled_from(["intValue", "stringValue", "doubleValue", "boolValue", "arrayValue"]), JSON, max_size=2)
ATTRIBUTE = st.fixed_dictionaries({"key": st.sampled_from([*SPELLINGS, "grammage.tag.x"]), "value": VALUE})
SPAN = st.fixed_dictionaries(
    {},
    optional={
        "traceId": st.sampled_from(["1" * 32, "0" * 32, "x", ""]) | JSON,
        "spanId": st.sampled_from(["1" * 16, ""]) | JSON,
        "startTimeUnixNano": st.sampled_from(["1790000000000000000", 5, "x", "-4"]) | JSON,
        "endTimeUnixNano": st.sampled_from(["1790000001000000000", 5]) | JSON,
        "attributes": st.lists(ATTRIBUTE, max_size=6),
        "status": st.fixed_dictionaries({}, optional={"code": JSON}),
    },
)


@given(st.lists(SPAN, max_size=4))
def test_no_span_breaks_the_understanding(spans: list[dict[str, Any]]) -> None:
    raw = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).encode()
    try:
        found = list(otlp_json.spans(raw, Wanted({})))
    except BadTelemetry:
        return
    for span in found:
        if span is not None:
            understand(span)
            call_id_of(span)


@given(st.integers(0, 1 << 40), st.text(max_size=300))
def test_partial_success_in_protobuf_is_what_the_library_reads(spans: int, message: str) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    _, body = accepted(b"application/x-protobuf", Refused(spans=spans, message=message))
    told = ExportTraceServiceResponse.FromString(body).partial_success
    assert told.rejected_spans == spans
    assert told.error_message == (message if spans else "")


@pytest.mark.parametrize("parent", ["f" * 1_000_000, "not hexadecimal!", "0" * 16])
def test_a_parent_that_is_no_id_is_none_and_kept_nowhere(parent: str) -> None:
    sent = {"traceId": "1" * 32, "spanId": "2" * 16, "parentSpanId": parent, "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [sent]}]}]}).encode()
    (found,) = otlp_json.spans(body, Wanted({}))
    assert found is not None
    assert found.parent_id == ""
