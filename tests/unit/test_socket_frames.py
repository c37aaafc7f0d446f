"""What is read of frames, addresses and subprotocols, without a socket."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.deployment import Deployment
from config.places import Places
from config.settings import Settings
from config.tables import load_tables
from proxy.endpoints.realtime import LIVE, REALTIME, ask_of
from proxy.endpoints.responses import RESPONSES
from proxy.errors import RateLimited
from proxy.policy.candidates import Candidate, candidates_from
from proxy.sockets.address import key_in, parameter, upstream_address, with_parameter, without, without_key
from proxy.sockets.exchange import LONGEST_TEXT, Exchange
from proxy.sockets.kinds import UNMETERED, kind_at
from proxy.sockets.live import Live
from proxy.sockets.peek import event_of, kind_of, marks_of
from proxy.sockets.realtime import MARKS, Realtime, partial_usage, payload_length
from proxy.sockets.responses import MOST_WAITING, Responses
from proxy.sockets.visit import nth_id

NAMES = st.sampled_from(["event_id", "item_id", "x", "previous", "response_id"])
PLAIN = st.one_of(st.text(max_size=40), st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False))
NESTED = st.dictionaries(st.sampled_from(["type", "usage", "a"]), PLAIN, max_size=3)


@given(
    before=st.dictionaries(NAMES, st.one_of(PLAIN, NESTED), max_size=4),
    after=st.dictionaries(NAMES, PLAIN, max_size=3),
    ascii_only=st.booleans(),
)
def test_a_terminal_frame_is_known_wherever_its_type_stands(before: dict[str, Any], after: dict[str, Any], ascii_only: bool) -> None:
    frame = json.dumps({**before, "type": "response.done", **after}, ensure_ascii=ascii_only)
    assert kind_of(frame.encode("utf-8", "replace").decode(), MARKS) == "response.done"


@given(NESTED, st.text(max_size=30))
def test_a_type_deeper_in_a_frame_is_not_the_frames(inner: dict[str, Any], text: str) -> None:
    frame = json.dumps({"response": {**inner, "type": "response.done"}, "text": text, "type": "other"})
    assert kind_of(frame, MARKS) == "other"


@pytest.mark.parametrize(
    "frame", ["", "[]", "null", '{"type":', '{"type":7,"x":"response.done"', '"response.done"', "{}", "\ud83d", b'{"type":"response.done"}']
)
def test_what_is_no_event_has_no_type(frame: str | bytes) -> None:
    assert kind_of(frame, marks_of(("response.done",))) == ""


def test_an_odd_event_reads_as_far_as_it_can() -> None:
    event = event_of('{"type":7,"delta":{},"usage":"none","response":[1],"bad":"\\ud83d"}')
    assert event.type == 7
    assert event.answer.id is None


def sound(kind: str, size: int) -> str:
    return json.dumps({"type": kind, "response_id": "r", "delta": "A" * size})


def realtime() -> Realtime:
    return Realtime(ask_of(REALTIME, "gpt-realtime"))


def created(name: str) -> str:
    return json.dumps({"type": "response.created", "response": {"id": name}})


def test_sound_counts_by_its_length_in_the_sessions_format() -> None:
    g711 = {"audio": {"output": {"format": {"type": "audio/pcmu"}}, "input": {"format": {"type": "audio/pcm", "rate": 16000}}}}
    listener = realtime()
    listener.from_provider(json.dumps({"type": "session.updated", "session": g711}), 0)
    listener.from_client(json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 128_000}))
    listener.from_provider(created("r"), 1)
    listener.from_provider(sound("response.output_audio.delta", 32_000), 2)
    (left,) = listener.unfinished(3)
    assert (left.spoken_s, left.heard_s, left.first) == (3.0, 3.0, 2)


def test_the_older_names_of_formats_and_events_are_known() -> None:
    listener = realtime()
    session = {"input_audio_format": "pcm16", "output_audio_format": "g711_alaw", "input_audio_transcription": {"model": "whisper-1"}}
    listener.from_provider(json.dumps({"type": "session.created", "session": session}), 0)
    listener.from_provider(created("r"), 0)
    listener.from_provider(sound("response.audio.delta", 32_000), 0)
    listener.from_provider('{"type":"response.audio_transcript.delta","delta":"hello"}', 0)
    kind = "conversation.item.input_audio_transcription.completed"
    heard = listener.from_provider(json.dumps({"type": kind, "usage": {"type": "duration", "seconds": 2}}), 0)
    assert heard is not None
    assert (heard.served_model, heard.ask.alias, heard.usage and heard.usage.media and heard.usage.media.audio_input_seconds) == (
        "whisper-1",
        "whisper-1",
        2.0,
    )
    (left,) = listener.unfinished(1)
    assert (left.spoken_s, left.text) == (3.0, "hello")


def test_what_is_written_down_in_turn_heard_no_second_twice() -> None:
    """A session that only writes down has no answers that would begin the account anew."""
    listener, heard_s = realtime(), []
    for second in (1, 2, 3):
        listener.from_client(json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 64_000}))
        noted = listener.from_provider('{"type":"conversation.item.input_audio_transcription.completed","transcript":"a"}', second)
        assert noted is not None
        heard_s.append(noted.heard_s)
    assert heard_s == [1.0, 1.0, 1.0]


def test_two_answers_at_once_keep_their_own_text() -> None:
    listener = realtime()
    listener.from_provider(created("a"), 0)
    listener.from_provider(created("b"), 0)
    for name, text in (("a", "one"), ("b", "two"), ("a", " three")):
        listener.from_provider(json.dumps({"type": "response.output_text.delta", "response_id": name, "delta": text}), 1)
    done = listener.from_provider(
        json.dumps({"type": "response.done", "response": {"id": "b", "usage": {"input_tokens": 1, "output_tokens": 2}}}), 2
    )
    assert done is not None
    assert (done.response_id, done.text) == ("b", "two")
    (left,) = listener.unfinished(3)
    assert (left.response_id, left.text) == ("a", "one three")
    assert listener.unfinished(4) == []


def test_an_answer_that_failed_unseen_made_nothing() -> None:
    done = realtime().from_provider('{"type":"response.done","response":{"id":"r","status":"failed","usage":null}}', 0)
    assert done is not None
    assert (done.generated, done.usage) == (False, None)


def test_an_answer_without_usage_is_read_again_with_all_that_was_said_before() -> None:
    listener = realtime()
    listener.from_provider(
        json.dumps({"type": "response.done", "response": {"id": "a", "usage": {"input_tokens": 70, "output_tokens": 30}}}), 0
    )
    listener.from_client("x" * 40)
    listener.from_provider(created("b"), 0)
    (left,) = listener.unfinished(1)
    usage = partial_usage(left, 5, (10, 20), partial=True)
    assert (usage.input_tokens, usage.output_tokens, usage.partial) == (110, 5, True)


def test_text_is_kept_up_to_a_bound() -> None:
    exchange = Exchange(ask=ask_of(REALTIME, "m"), began=0)
    for _ in range(10):
        exchange.write("x" * LONGEST_TEXT, 1)
    assert (len(exchange.text), exchange.text_length) == (LONGEST_TEXT, 10 * LONGEST_TEXT)


@pytest.mark.parametrize(("frame", "length"), [('{"delta": "abcd"}', 4), ('{"delta":""}', 0), ('{"x":1}', 0), ('{"delta":"ab', 0)])
def test_a_payload_is_measured_without_being_read(frame: str, length: int) -> None:
    assert payload_length(frame, '"delta"') == length


def test_a_responses_socket_answers_in_the_order_of_its_requests() -> None:
    listener = Responses(ask_of(RESPONSES, "fallback"))
    for alias in ("a", "b"):
        listener.asked(Exchange(ask=ask_of(RESPONSES, alias), began=0))
    refused = listener.from_provider('{"type":"error","status":400,"error":{}}', 1)
    assert refused is not None
    assert (refused.ask.alias, refused.status, refused.outcome, refused.generated) == ("a", 400, "client_error", False)
    listener.from_provider('{"type":"response.created","response":{"id":"r2","model":"b-1"}}', 2)
    listener.from_provider('{"type":"response.output_text.delta","delta":"hi"}', 3)
    listener.from_provider('{"type":"response.output_text.done","text":"hi"}', 4)
    done = listener.from_provider('{"type":"response.incomplete","response":{"id":"r2","usage":{"input_tokens":3,"output_tokens":4}}}', 5)
    assert done is not None
    assert (done.ask.alias, done.served_model, done.text, done.ended, done.first) == ("b", "b-1", "hi", True, 3)
    assert done.usage is not None
    assert (done.usage.input_tokens, done.usage.output_tokens) == (3, 4)
    assert listener.from_provider('{"type":"error","status":500}', 6) is None
    assert listener.unfinished(7) == []


def test_a_request_refused_beside_an_answer_under_way_leaves_that_answer_alone() -> None:
    listener = Responses(ask_of(RESPONSES, "fallback"))
    for alias in ("a", "b"):
        listener.asked(Exchange(ask=ask_of(RESPONSES, alias), began=0))
    listener.from_provider('{"type":"response.created","response":{"id":"r1"}}', 1)
    refused = listener.from_provider('{"type":"error","status":409}', 2)
    done = listener.from_provider('{"type":"response.completed","response":{"id":"r1","usage":{"input_tokens":3,"output_tokens":4}}}', 3)
    assert refused is not None
    assert done is not None
    assert (refused.ask.alias, refused.generated, done.ask.alias) == ("b", False, "a")
    assert listener.unfinished(4) == []


@pytest.mark.parametrize(("told", "status"), [("-1", 500), ("null", 500), ("true", 500), ("1e300", 500), ("429", 429)])
def test_a_refusal_without_a_status_of_http_is_the_providers_fault(told: str, status: int) -> None:
    listener = Responses(ask_of(RESPONSES, "m"))
    listener.asked(Exchange(ask=ask_of(RESPONSES, "m"), began=0))
    refused = listener.from_provider(f'{{"type":"error","status":{told}}}', 1)
    assert refused is not None
    assert refused.status == status


def test_an_answer_that_the_provider_never_ended_is_not_forgotten_when_the_next_one_begins() -> None:
    listener = Responses(ask_of(RESPONSES, "m"))
    listener.from_provider('{"type":"response.created","response":{"id":"r1"}}', 1)
    listener.from_provider('{"type":"response.output_text.delta","delta":"hi"}', 2)
    left = listener.from_provider('{"type":"response.created","response":{"id":"r2"}}', 3)
    assert left is not None
    assert (left.response_id, left.ended, left.outcome, left.text) == ("r1", False, "upstream_cut", "hi")
    assert [each.response_id for each in listener.unfinished(4)] == ["r2"]


def test_requests_that_wait_are_bounded_in_number_and_in_bytes() -> None:
    many, large = Responses(ask_of(RESPONSES, "m")), Responses(ask_of(RESPONSES, "m"))
    for _ in range(MOST_WAITING):
        many.refuse_more(10, 1000)
        many.asked(Exchange(ask=ask_of(RESPONSES, "m"), began=0, request_bytes=10))
    large.refuse_more(900, 1000)
    large.asked(Exchange(ask=ask_of(RESPONSES, "m"), began=0, request_bytes=900))
    for listener in (many, large):
        with pytest.raises(RateLimited, match="wait for one of them"):
            listener.refuse_more(200, 1000)


def test_a_picture_in_an_answer_is_not_kept() -> None:
    listener = Responses(ask_of(RESPONSES, "m"))
    response = {
        "id": "r",
        "output": [{"type": "image_generation_call", "result": "A" * 1_000_000}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    done = listener.from_provider(json.dumps({"type": "response.completed", "response": response}), 0)
    assert done is not None
    assert len(done.answer) < 1000
    assert b"image_generation_call" in done.answer


def test_a_live_session_takes_the_largest_figure_and_says_when_it_was_not_closed() -> None:
    listener = Live(ask_of(LIVE, "gpt-live"))
    for seconds in (1, 3, 2):
        assert listener.from_provider(json.dumps({"type": "session.usage.updated", "usage": {"seconds": seconds}}), 10) is None
    (left,) = listener.unfinished(20)
    assert left.usage is not None
    assert left.usage.media is not None
    assert (left.usage.media.audio_input_seconds, left.usage.partial, left.usage.source) == (3.0, True, "provider")


def test_a_live_session_that_told_nothing_lasts_as_long_as_it_was_open() -> None:
    listener = Live(ask_of(LIVE, "gpt-live"))
    listener.from_provider('{"type":"session.created","session":{"id":"s","model":"gpt-live-2"}}', 10)
    (left,) = listener.unfinished(14.5)
    assert left.usage is not None
    assert left.usage.media is not None
    assert (left.usage.media.audio_input_seconds, left.usage.source, left.served_model) == (4.5, "estimated", "gpt-live-2")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/v1/realtime", "realtime"),
        ("/v1/realtime/", "realtime"),
        ("/v1//realtime", "realtime"),
        ("/v1/responses", "responses"),
        ("/v1/live/sessions", "live"),
        ("/v1/live/sessions/s_1/fork", "live"),
        ("/v1/realtime/calls", "nothing"),
    ],
)
def test_kinds_of_sockets_by_path(path: str, says: str) -> None:
    assert kind_at(path).says == says
    assert kind_at("/v1/other") is UNMETERED


def test_call_ids_count_up_and_stay_ids_of_their_kind() -> None:
    first = "01a20a37-4f50-77ec-bfff-ffffffffffff"
    assert nth_id(first, 0) == first
    assert nth_id(first, 1) == "01a20a37-4f50-77ec-8000-000000000000"
    assert nth_id("01a20a37-4f50-77ec-aa7b-f462397eafc7", 1) == "01a20a37-4f50-77ec-aa7b-f462397eafc8"


def test_parameters_change_alone() -> None:
    query = "a=%20x&model=old&b=&model2=y"
    assert with_parameter(query, "model", "n/w é") == "a=%20x&model=n%2Fw%20%C3%A9&b=&model2=y"
    assert with_parameter("", "model", "m") == "model=m"
    assert without(query, "model", "b") == "a=%20x&model2=y"
    assert (parameter(query, "a"), parameter(query, "b"), parameter("", "a")) == (" x", None, None)


def test_a_key_is_found_where_browsers_put_it_and_taken_out() -> None:
    offered = ("realtime", "openai-insecure-api-key.sk-1", "openai-beta.realtime-v1")
    assert key_in(offered, "") == "sk-1"
    assert key_in(("realtime",), "api-key=az%2B1") == "az+1"
    assert key_in(("openai-insecure-api-key.",), "model=m") is None
    assert without_key(offered) == ("realtime", "openai-beta.realtime-v1")


def _candidate(**fields: Any) -> Candidate:
    settings = Settings.model_validate({"models": {"m": {"deployments": [fields]}}})
    places: Places = load_tables().places
    (found,) = candidates_from(settings, places).exact["m"]
    assert found.deployment == Deployment.model_validate(fields)
    return found


@pytest.mark.parametrize(
    ("fields", "query", "model", "url"),
    [
        ({"provider": "openai"}, "model=m&x=1", "m", "https://api.openai.com/v1/realtime?model=m&x=1"),
        ({"provider": "openai"}, "x=1", None, "https://api.openai.com/v1/realtime?x=1"),
        ({"provider": "openai"}, "deployment=m&api-version=2024-10-01", "gpt", "https://api.openai.com/v1/realtime?model=gpt"),
        (
            {"provider": "azure", "api_base": "https://r.openai.azure.com/openai/v1"},
            "model=m",
            "d",
            "https://r.openai.azure.com/openai/v1/realtime?model=d",
        ),
        (
            {"provider": "azure", "api_base": "https://r.openai.azure.com", "api_version": "2025-04-01-preview"},
            "model=m",
            "d",
            "https://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview&deployment=d",
        ),
    ],
)
def test_addresses_are_the_providers(fields: dict[str, Any], query: str, model: str | None, url: str) -> None:
    assert upstream_address(_candidate(api_key="k" * 8, **fields), "/v1/realtime", query, model) == url
