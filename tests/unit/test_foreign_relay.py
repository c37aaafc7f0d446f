"""The streams of other dialects alone: no way of cutting the bytes changes what leaves or what is read; usage is made inclusive."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.endpoints.gemini import GENERATE, STREAM_GENERATE
from proxy.endpoints.gemini import read_usage as read_gemini
from proxy.endpoints.messages import MESSAGES
from proxy.endpoints.messages import read_usage as read_messages
from proxy.errors import BadRequest, GrammageError, NotFound, TooLarge, Unauthorized
from proxy.meter.fallback import stream_text
from proxy.meter.foreign import ForeignRelay, GeminiRelay, MessagesRelay
from tests.contract.case import event
from tests.contract.foreign_cases import ARRAY, generated, message_events
from tests.contract.foreign_cases import STREAM_GENERATE as GEMINI_CASE

FOOTPRINT = b'"footprint":{"gco2e":0.5}'
MEMBER = b"," + FOOTPRINT


@st.composite
def split(draw: st.DrawFn, body: bytes) -> list[bytes]:
    cuts = sorted(draw(st.sets(st.integers(0, len(body)), max_size=12)))
    return [body[start:end] for start, end in itertools.pairwise([0, *cuts, len(body)])]


def relayed(relay: ForeignRelay, parts: list[bytes], footprint: bytes | None = FOOTPRINT) -> bytes:
    """All that leaves, in the order of the pipeline."""
    out, after = b"", b""
    for part in parts:
        if relay.finished:
            after += part
        else:
            out += relay.feed(part)
    if not relay.finished:
        out += relay.end()
    return out + relay.terminal(footprint) + after


MESSAGE_STREAM = b"".join(message_events("say message_delta, ", "\u00e9\U0001f411"))
ODD = b': hello\n\nevent: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"message_stop"}}\n\ndata: {"type":"mess'
messages_streams = st.sampled_from(
    [MESSAGE_STREAM, MESSAGE_STREAM.replace(b"\n", b"\r\n"), MESSAGE_STREAM + b": bye\n\n", ODD, MESSAGE_STREAM[:-20], b"", b"\n\n"]
)
GEMINI_STREAM = b"".join(GEMINI_CASE.events)
gemini_streams = st.sampled_from(
    [
        GEMINI_STREAM,
        GEMINI_STREAM.replace(b"\r\n", b"\n"),
        ARRAY,
        b" \n" + ARRAY,
        b"[]",
        ARRAY[:-40],
        GEMINI_STREAM[:-9],
        b"",
        b"{}",
        b": x\n\n",
    ]
)


@given(st.data(), messages_streams)
def test_a_messages_stream_leaves_as_it_came_but_for_the_footprint_however_it_is_cut(data: st.DataObject, body: bytes) -> None:
    at_once, in_parts = MessagesRelay(), MessagesRelay()
    assert relayed(at_once, [body]) == relayed(in_parts, data.draw(split(body)))
    assert (at_once.usage_raw, at_once.served_model) == (in_parts.usage_raw, in_parts.served_model)
    assert relayed(MessagesRelay(), [body]).replace(MEMBER, b"", 1) == body
    assert relayed(MessagesRelay(), [body], None) == body


@given(st.data(), gemini_streams)
def test_a_gemini_stream_leaves_as_it_came_but_for_the_footprint_however_it_is_cut(data: st.DataObject, body: bytes) -> None:
    at_once, in_parts = GeminiRelay(), GeminiRelay()
    assert relayed(at_once, [body]) == relayed(in_parts, data.draw(split(body)))
    assert (at_once.usage_raw, at_once.served_model) == (in_parts.usage_raw, in_parts.served_model)
    assert relayed(GeminiRelay(), [body]).replace(MEMBER, b"", 1) == body
    assert relayed(GeminiRelay(), [body], None) == body


def test_of_every_count_the_last_that_is_not_null_stands_and_none_is_summed() -> None:
    relay = MessagesRelay()
    relay.feed(b"".join(message_events("a", last_usage={"input_tokens": 30, "output_tokens": 8, "cache_read_input_tokens": None})))
    usage = json.loads(relay.usage_raw or b"")
    assert (usage["input_tokens"], usage["output_tokens"], usage["cache_read_input_tokens"]) == (30, 8, 2048)


def test_a_message_delta_that_is_not_the_last_leaves_without_a_footprint() -> None:
    first = event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}})
    last = event({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}})
    stop = event({"type": "message_stop"})
    relay = MessagesRelay()
    assert relay.feed(first) == b""
    assert relay.feed(last) == first
    assert relay.feed(stop) == b""
    assert relay.terminal(FOOTPRINT) == last.replace(b'{"output_tokens": 5}', b'{"output_tokens": 5' + MEMBER + b"}") + stop


def test_what_may_end_a_gemini_stream_waits() -> None:
    relay = GeminiRelay()
    sent = [relay.feed(part) for part in GEMINI_CASE.events]
    assert sent == [*GEMINI_CASE.events[:2], b""]
    assert relay.end() == b""
    assert relay.terminal(None) == GEMINI_CASE.events[2]


def test_a_reason_that_is_not_given_yet_holds_nothing_back() -> None:
    event = b'data: {"candidates":[{"finishReason":null}]}\n\n'
    assert GeminiRelay().feed(event) == event


def test_only_the_bracket_that_ends_an_array_waits() -> None:
    relay = GeminiRelay()
    assert relay.feed(ARRAY) + b"]\n" == ARRAY
    assert relay.end() == b""
    assert relay.terminal(FOOTPRINT) == b"]\n"


@pytest.mark.parametrize("whole", [True, False])
def test_the_text_of_an_array_is_read_as_far_as_it_is_whole(whole: bool) -> None:
    cut = ARRAY if whole else ARRAY[: ARRAY.rindex(b'"modelVersion"')]
    assert stream_text(STREAM_GENERATE, cut) == 'say "finishReason", caf\u00e9 ' + ("\U0001f411" if whole else "")
    assert stream_text(STREAM_GENERATE, GEMINI_STREAM) == 'say "finishReason", caf\u00e9 \U0001f411'


def test_the_text_of_a_messages_stream_is_what_its_deltas_say() -> None:
    tool = event({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "name": "find", "input": {}}})
    asked = event({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}})
    thought = event({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm "}})
    assert stream_text(MESSAGES, thought + MESSAGE_STREAM + tool + asked) == 'hm say message_delta, \u00e9\U0001f411find{"a":1}'


def test_the_text_of_whole_answers_is_read() -> None:
    content = [
        {"type": "thinking", "thinking": "hm "},
        {"type": "text", "text": "hi "},
        {"type": "tool_use", "name": "f", "input": {"a": 1}},
    ]
    assert MESSAGES.reply_text(json.dumps({"content": content}).encode()) == ('hm hi f{"a": 1}',)
    assert GENERATE.reply_text(json.dumps(generated("hi")).encode()) == ("hi",)


def test_messages_usage_is_made_inclusive() -> None:
    usage = read_messages(b'{"input_tokens":10,"cache_creation_input_tokens":5,"cache_read_input_tokens":20,"output_tokens":7}')
    assert usage is not None
    assert (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens) == (35, 20, 7)


def test_gemini_thoughts_and_tools_are_added() -> None:
    usage = read_gemini(
        b'{"promptTokenCount":10,"toolUsePromptTokenCount":4,"candidatesTokenCount":6,"thoughtsTokenCount":9,"totalTokenCount":29}'
    )
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.reasoning_output_tokens) == (14, 15, 9)


def test_gemini_pictures_and_sound_are_told_apart() -> None:
    details = [{"modality": "TEXT", "tokenCount": 3}, {"modality": "IMAGE", "tokenCount": 1290}, {"modality": "AUDIO", "tokenCount": 50}]
    raw = {"promptTokenCount": 2000, "candidatesTokenCount": 1343, "promptTokensDetails": details, "candidatesTokensDetails": details}
    usage = read_gemini(json.dumps(raw).encode())
    assert usage is not None
    assert (usage.image_input_tokens, usage.audio_input_tokens) == (1290, 50)
    assert (usage.image_output_tokens, usage.audio_output_tokens, usage.output_tokens) == (1290, 50, 1343)


@pytest.mark.parametrize("raw", [b"", b"{", b"{}", b"[]", b"null", b'{"input_tokens":null}', b'{"service_tier":"standard"}'])
def test_a_usage_without_counts_is_none(raw: bytes) -> None:
    assert read_messages(raw) is None
    assert read_gemini(raw) is None


COUNTS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "promptTokenCount", "thoughtsTokenCount", "cachedContentTokenCount")
TOTALS = ("totalTokenCount", "candidatesTokenCount", "promptTokensDetails", "candidatesTokensDetails", "output_tokens_details")
numbers = st.integers(-5, 10**20) | st.floats(allow_nan=False)
odd = st.none() | st.booleans() | numbers | st.text(max_size=3)
details = st.lists(st.dictionaries(st.sampled_from(["modality", "tokenCount"]), odd | st.sampled_from(["IMAGE", "AUDIO"])))


@given(st.dictionaries(st.sampled_from([*COUNTS, *TOTALS]), odd | details))
def test_no_usage_is_an_error(found: dict[str, Any]) -> None:
    raw = json.dumps(found).encode()
    for usage in (read_messages(raw), read_gemini(raw)):
        assert usage is None or usage.input_tokens >= usage.cached_input_tokens >= 0


ERRORS = [
    (BadRequest("no.", code="missing_model"), "invalid_request_error", "INVALID_ARGUMENT"),
    (Unauthorized("no."), "authentication_error", "UNAUTHENTICATED"),
    (NotFound("no.", code="unknown_model"), "not_found_error", "NOT_FOUND"),
    (TooLarge("no."), "request_too_large", "INVALID_ARGUMENT"),
    (GrammageError("no."), "api_error", "INTERNAL"),
]


@pytest.mark.parametrize(("error", "kind", "status"), ERRORS, ids=[kind for _, kind, _ in ERRORS])
def test_an_error_of_ours_has_the_shape_of_the_callers_dialect(error: GrammageError, kind: str, status: str) -> None:
    assert json.loads(error.envelope("anthropic", "id-1")) == {
        "type": "error",
        "error": {"type": kind, "message": f"{error.code}: no."},
        "request_id": "id-1",
    }
    assert json.loads(error.envelope("gemini")) == {"error": {"code": error.status, "message": f"{error.code}: no.", "status": status}}
    assert json.loads(error.envelope()) == {"error": {"message": "no.", "type": "grammage_error", "param": None, "code": error.code}}
