"""The simulated provider's sockets, without a socket: what a session says to what it hears."""

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from proxy.simulate import socket_door
from proxy.simulate.exchange import Asked, Cut, Refused
from proxy.simulate.provider import SimulatedProvider
from proxy.simulate.sockets.session import Session
from proxy.simulate.sockets.table import session_at


class FixedClock:
    """Always the same moment."""

    def now_ms(self) -> int:
        return 1_800_000_000_000

    def perf(self) -> float:
        return 0.0


def session(path: str = "/v1/realtime", query: str = "model=sim-small", **headers: str) -> Session:
    provider = SimulatedProvider(clock=FixedClock())  # type: ignore[arg-type]  # the two methods that it calls
    asked = Asked(
        method="GET", path=path, headers={name.replace("_", "-"): value for name, value in headers.items()}, body=b"", query=query
    )
    return session_at(provider, asked)


def heard(open_session: Session, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    return (json.loads(frame) for frame in open_session.hear(json.dumps(event)))


def spoken(open_session: Session) -> list[dict[str, Any]]:
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello in French."}]}
    return [*heard(open_session, {"type": "conversation.item.create", "item": item}), *heard(open_session, {"type": "response.create"})]


def test_the_same_words_bring_the_same_events() -> None:
    assert spoken(session()) == spoken(session())


def test_usage_counts_the_sound_that_is_sent() -> None:
    events = spoken(session())
    usage = events[-1]["response"]["usage"]
    sound = sum(len(base64.b64decode(event["delta"])) for event in events if event["type"] == "response.output_audio.delta")
    details = usage["output_token_details"]
    assert details["audio_tokens"] == pytest.approx(sound / 48_000 * 20, abs=1)
    assert usage["output_tokens"] == details["text_tokens"] + details["audio_tokens"]
    assert usage["input_tokens"] + usage["output_tokens"] == usage["total_tokens"]


def test_sound_is_heard_written_down_and_read_again_with_the_next_answer() -> None:
    open_session = session()
    told = {"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"transcription": {"model": "sim-transcribe-tokens"}}}}
    list(heard(open_session, {"type": "session.update", "session": told}))
    list(heard(open_session, {"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(96_000)).decode()}))
    committed = list(heard(open_session, {"type": "input_audio_buffer.commit"}))
    assert committed[-1]["usage"]["input_token_details"] == {"text_tokens": 0, "audio_tokens": 20}
    answered = list(heard(open_session, {"type": "response.create"}))
    assert answered[-1]["response"]["usage"]["input_token_details"]["audio_tokens"] == 20
    assert [event["type"] for event in answered if "audio" in event["type"]] == []


def test_a_session_calls_the_tool_it_is_given() -> None:
    tool = {"type": "function", "name": "price_of", "parameters": {"type": "object", "properties": {"sku": {"type": "string"}}}}
    events = list(heard(session(), {"type": "response.create", "response": {"tools": [tool], "tool_choice": "required"}}))
    (item,) = events[-1]["response"]["output"]
    assert (item["type"], item["name"]) == ("function_call", "price_of")
    assert "".join(event["delta"] for event in events if event["type"].endswith("arguments.delta")) == item["arguments"]


def test_a_responses_socket_goes_on_from_what_it_said() -> None:
    open_session = session("/v1/responses", "")
    asked = {"type": "response.create", "model": "sim-small", "input": "Hello"}
    first = list(heard(open_session, asked))[-1]["response"]
    second = list(heard(open_session, {**asked, "previous_response_id": first["id"]}))[-1]["response"]
    assert second["usage"]["input_tokens"] == first["usage"]["input_tokens"] + first["usage"]["total_tokens"]
    (error,) = heard(open_session, {**asked, "previous_response_id": "resp_nobody"})
    assert (error["type"], error["status"], error["error"]["code"]) == ("error", 400, "previous_response_not_found")


def test_a_live_session_tells_how_long_it_has_lasted() -> None:
    open_session = session("/v1/live/sessions")
    second = {"type": "input_audio.append", "audio": base64.b64encode(bytes(48_000)).decode()}
    told = [next(heard(open_session, second))["usage"]["seconds"] for _ in range(3)]
    assert told == [1.0, 2.0, 3.0]
    assert next(heard(open_session, {"type": "session.close"})) == {"type": "session.closed", "usage": {"seconds": 3.0}}


def test_faults_are_ordered_as_for_calls() -> None:
    with pytest.raises(Refused) as refused:
        session(x_simulate_fault="429=3")
    assert refused.value.status == 429
    with pytest.raises(Cut):
        spoken(session(x_simulate_fault="cut=3"))
    assert spoken(session(x_simulate_fault="no-usage"))[-1]["response"]["usage"] is None
    assert spoken(session(x_simulate_fault="stall=1"))[-1]["type"] == "response.created"


@pytest.mark.parametrize(("path", "query", "status"), [("/v1/realtime", "model=sim-nothing", 404), ("/v1/nowhere", "", 404)])
def test_what_is_not_there_is_refused(path: str, query: str, status: int) -> None:
    with pytest.raises(Refused) as refused:
        session(path, query)
    assert refused.value.status == status


@pytest.mark.parametrize("frame", ["", "[]", '{"type":"unknown"}', b"\xff", '{"type":"input_audio_buffer.commit"}'])
def test_a_frame_that_is_not_understood_is_answered_by_an_error(frame: str | bytes) -> None:
    (error,) = (json.loads(said) for said in session().hear(frame))
    assert error["type"] == "error"


async def test_a_client_that_reads_nothing_is_not_listened_to_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket_door, "MOST_WAITING", 3)
    socket = socket_door.SimulatedSocket(session(), None)
    await socket.send('{"type":"response.create"}')
    second = asyncio.ensure_future(socket.send('{"type":"response.create"}'))
    read = 0
    while not second.done():
        await socket.receive()
        read += 1
    assert read > 1, "room is made only as what was said is read"
    assert socket._waiting
