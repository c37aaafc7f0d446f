"""Calls on sockets, with real clients: what is booked, once, and what a request on a socket may ask for."""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError

from tests.contract.proxy_harness import KEY, Proxy, proxy, simulated
from tests.contract.socket_harness import CREATED, DONE, SESSION, USAGE, SocketUpstream, opened, read, refusal


def test_a_large_frame_passes_and_its_usage_is_read(provider: SocketUpstream, front: Proxy) -> None:
    response = {"id": "resp_1", "output": [{"content": [{"audio": "A" * 12_000_000}]}], "usage": USAGE}
    large = json.dumps({"response": response, "type": "response.done"})
    provider.says(CREATED, large)
    with opened(front) as socket:
        socket.send("{}")
        assert read(socket, 2) == [CREATED, large]
        assert front.call()["output_tokens"] == 180


def test_an_answer_is_recorded_once_before_its_last_frame_leaves(provider: SocketUpstream, front: Proxy) -> None:
    provider.says(SESSION, CREATED, DONE, DONE)
    with opened(front, headers={"x-grammage-tag-brand": "acme"}) as socket:
        socket.send('{"type":"response.create"}')
        assert read(socket, 3)[-1] == DONE
        row = front.call()
        assert socket.recv(timeout=15) == DONE
    assert len(front.calls()) == 1
    assert socket.response is not None
    assert row["call_id"] == socket.response.headers["x-grammage-call-id"]
    assert (row["operation"], row["path"], row["alias"]) == ("realtime", "/v1/realtime", "gpt-realtime")
    assert row["served_model"] == "gpt-realtime-2026"
    assert (row["input_tokens"], row["cached_input_tokens"], row["output_tokens"]) == (120, 64, 180)
    assert (row["outcome"], row["usage_source"], row["partial"], row["stream_complete"]) == ("ok", "provider", 0, 1)
    assert row["gco2e"] > 0
    assert "acme" in json.dumps(row, default=str)


def test_each_answer_is_a_call_whose_id_counts_up_from_the_handshakes(provider: SocketUpstream, front: Proxy) -> None:
    second = DONE.replace("resp_1", "resp_2")
    provider.says(DONE, second)
    with opened(front) as socket:
        socket.send("{}")
        read(socket, 2)
        assert socket.response is not None
        first_id = socket.response.headers["x-grammage-call-id"]
    ids = [row["call_id"] for row in front.calls()]
    numbers = [int(each.replace("-", ""), 16) for each in ids]
    assert ids[0] == first_id
    assert numbers[1] - numbers[0] == 1
    assert front.get(f"/v1/footprint/{ids[1]}").status == 200


def test_what_was_heard_is_booked_by_the_model_that_wrote_it_down(provider: SocketUpstream, front: Proxy) -> None:
    session = {"model": "gpt-realtime", "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}}}
    kind = "conversation.item.input_audio_transcription.completed"
    tokens = {"type": "tokens", "input_tokens": 40, "output_tokens": 12, "input_token_details": {"audio_tokens": 40}}
    frames = [
        json.dumps({"type": "session.updated", "session": session}),
        json.dumps({"type": kind, "event_id": "e", "item_id": "i", "transcript": "hello", "usage": tokens}),
        json.dumps({"type": kind, "event_id": "e", "item_id": "j", "transcript": "you", "usage": {"type": "duration", "seconds": 7.5}}),
    ]
    provider.says(*frames)
    with opened(front) as socket:
        socket.send("{}")
        assert read(socket, 3) == frames
    by_tokens, by_seconds = front.calls()
    assert (by_tokens["operation"], by_tokens["served_model"]) == ("transcription", "gpt-4o-mini-transcribe")
    assert (by_tokens["input_tokens"], by_tokens["output_tokens"]) == (40, 12)
    assert by_seconds["usage_source"] == "provider"
    assert by_seconds["gco2e"] > 0


def test_an_answer_that_the_provider_breaks_off_is_booked_partial_and_the_client_sees_no_clean_end(
    provider: SocketUpstream, front: Proxy
) -> None:
    text = json.dumps({"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "delta": "one two three four five six"})
    sound = json.dumps({"type": "response.output_audio.delta", "response_id": "resp_1", "delta": "A" * 128_000})

    async def break_off(socket: ServerConnection) -> None:
        socket.transport.abort()

    provider.says(CREATED, text, sound, then=break_off)
    with opened(front) as socket:
        socket.send('{"type":"response.create","response":{"instructions":"Say six numbers, in words."}}')
        read(socket, 3)
        with pytest.raises(ConnectionClosedError) as ended:
            socket.recv(timeout=15)
    assert ended.value.rcvd is None
    (row,) = front.recorded()
    assert (row["outcome"], row["partial"], row["usage_source"], row["stream_complete"]) == ("upstream_cut", 1, "estimated", 0)
    spoken_s = 96_000 / 48_000
    assert 6 < row["output_tokens"] - 6 <= 6 + spoken_s * 25
    assert row["input_tokens"] > 0
    assert row["gco2e"] > 0


def test_the_next_deployment_opens_where_the_first_refuses_by_its_state(provider: SocketUpstream, tmp_path: Path) -> None:
    rows = [
        {"provider": "openai", "model": "a", "api_base": "http://127.0.0.1:9/v1", "api_key": "k-1", "order": 0},
        {"provider": "openai", "model": "b", "api_base": f"{provider.url}/v1", "api_key": "k-2", "order": 1},
    ]
    provider.says(DONE)
    with proxy(tmp_path, None, models={"voice": {"deployments": rows}}) as front:
        with opened(front, "/v1/realtime?model=voice") as socket:
            socket.send("{}")
            socket.recv(timeout=15)
        assert front.call()["model"] == "b"
    assert provider.last.path == "/v1/realtime?model=b"


def test_a_live_session_counts_its_last_seconds_once(provider: SocketUpstream, front: Proxy) -> None:
    frames = [json.dumps({"type": "session.usage.updated", "usage": {"seconds": seconds}}) for seconds in (2, 4.5)]
    frames.append(json.dumps({"type": "session.closed", "usage": {"seconds": 6.25}}))
    provider.says(*frames)
    with opened(front, "/v1/live/sessions?model=gpt-live") as socket:
        socket.send("{}")
        assert read(socket, 3) == frames
        row = front.call()
    assert (row["operation"], row["partial"], row["usage_source"]) == ("live", 0, "provider")
    assert row["gco2e"] > 0
    assert len(front.calls()) == 1


def test_other_paths_pass_and_are_recorded_unmetered(provider: SocketUpstream, front: Proxy) -> None:
    provider.says("ok")
    with opened(front, "/v1/agents/stream?x=1") as socket:
        socket.send(b"\x00\x01")
        assert socket.recv(timeout=15) == "ok"
    assert provider.last.path == "/v1/agents/stream?x=1"
    (row,) = front.recorded()
    assert (row["operation"], row["unweighed_reason"], row["path"]) == ("unmetered", "unmetered", "/v1/agents/stream")


def test_a_key_with_limits_is_told_so_on_its_socket(provider: SocketUpstream, tmp_path: Path) -> None:
    deployment = {"provider": "openai", "api_base": f"{provider.url}/v1", "api_key": "sk-theirs"}
    keys = [{"key": "gk-of-ours-123", "name": "shop", "requests_per_minute": 1}]
    asked = '{"type":"response.create","model":"m","input":"x"}'
    done = json.dumps({"type": "response.completed", "response": {"id": "resp_a", "usage": {"input_tokens": 5, "output_tokens": 6}}})
    provider.says(done)
    key = {"authorization": "Bearer gk-of-ours-123"}
    with proxy(tmp_path, None, models={"*": {"deployments": [deployment]}}, keys=keys) as front:
        with opened(front, "/v1/responses", headers=key) as socket:
            socket.send(asked)
            assert socket.recv(timeout=15) == done
            socket.send(asked)
            limited = json.loads(socket.recv(timeout=15))
        refused = refusal(front, headers=key)
    assert (limited["status"], limited["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.status_code == 429
    assert "retry-after" in refused.headers


@pytest.mark.parametrize("target", ["/v1/realtime?model=m", "/v1/responses"])
def test_a_key_that_is_revoked_ends_its_open_sockets(provider: SocketUpstream, tmp_path: Path, target: str) -> None:
    deployment = {"provider": "openai", "api_base": f"{provider.url}/v1", "api_key": "sk-theirs"}
    keys = [{"key": "gk-of-the-boss-123", "name": "boss", "role": "admin"}]
    boss = {"authorization": "Bearer gk-of-the-boss-123"}
    provider.says("1")
    with proxy(tmp_path, None, models={"*": {"deployments": [deployment]}}, keys=keys) as front:
        front.headers = boss
        new = front.post("/admin/keys", {"name": "studio"}).json
        with opened(front, target, headers={"authorization": f"Bearer {new['key']}"}) as socket:
            socket.send("a")
            assert socket.recv(timeout=15) == "1"
            assert front.send("DELETE", "/admin/keys/studio").status == 200
            socket.send('{"type":"response.create","model":"m","input":"x"}')
            refused = json.loads(socket.recv(timeout=15))
            with pytest.raises(ConnectionClosedError):
                socket.recv(timeout=15)
            assert socket.close_code == 1008
    assert (refused["type"], refused["status"], refused["error"]["code"]) == ("error", 401, "invalid_api_key")
    assert new["key"] not in str(refused)
    assert provider.received == ["a"]


def test_the_openai_client_speaks_on_a_realtime_socket_with_no_configuration(tmp_path: Path) -> None:
    async def speak(front: Proxy) -> Any:
        client = openai.AsyncOpenAI(base_url=front.v1, api_key=KEY)
        async with client.realtime.connect(model="sim-small") as connection:
            await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Say hello."}]}
            )
            await connection.response.create()
            async for event in connection:
                if event.type == "response.done":
                    return event.response.usage

    with proxy(tmp_path, None) as front:
        usage = asyncio.run(speak(front))
        row = front.call()
    assert (row["input_tokens"], row["output_tokens"]) == (usage.input_tokens, usage.output_tokens)
    assert (row["provider"], row["operation"]) == ("simulated", "realtime")


@pytest.mark.parametrize("behind", ["in process", "another server"])
def test_the_openai_client_asks_twice_on_a_responses_socket(tmp_path: Path, behind: str) -> None:
    async def ask(front: Proxy) -> list[Any]:
        client = openai.AsyncOpenAI(base_url=front.v1, api_key=KEY)
        told = []
        async with client.responses.connect() as connection:
            for model in ("sim-small", "sim-large"):
                await connection.response.create(model=model, input="Describe a merino jumper.")
                async for event in connection:
                    if event.type == "response.completed":
                        told.append(event.response)
                        break
        return told

    with contextlib.ExitStack() as stack:
        url = stack.enter_context(simulated()) if behind == "another server" else None
        front = stack.enter_context(proxy(tmp_path, url))
        told = asyncio.run(ask(front))
        rows = front.calls()
    assert [row["alias"] for row in rows] == ["sim-small", "sim-large"]
    for row, response in zip(rows, told, strict=True):
        assert (row["input_tokens"], row["output_tokens"]) == (response.usage.input_tokens, response.usage.output_tokens)
        assert (row["operation"], row["outcome"], row["partial"]) == ("responses", "ok", 0)


def test_a_responses_request_takes_its_deployments_name_and_other_members_stay(provider: SocketUpstream, tmp_path: Path) -> None:
    deployment = {"provider": "openai", "model": "gpt-x-2026", "api_base": f"{provider.url}/v1", "api_key": "sk-theirs"}
    other = {"provider": "openai", "model": "o", "api_base": "http://127.0.0.1:9/v1", "api_key": "sk-other"}
    done = json.dumps({"type": "response.completed", "response": {"id": "resp_a", "usage": {"input_tokens": 5, "output_tokens": 6}}})
    provider.says(done)
    asked = '{"type":"response.create", "model": "writer" ,"input":"é","big":12345678901234567890}'
    with proxy(tmp_path, None, models={"writer": {"deployments": [deployment]}, "far": {"deployments": [other]}}) as front:
        with opened(front, "/v1/responses") as socket:
            socket.send(asked)
            assert socket.recv(timeout=15) == done
            socket.send(asked.replace("writer", "far"))
            refused = json.loads(socket.recv(timeout=15))
            socket.send(asked.replace("writer", "nobody"))
            unknown = json.loads(socket.recv(timeout=15))
        row = front.call()
    assert provider.received[0] == asked.replace('"writer"', '"gpt-x-2026"')
    assert (row["alias"], row["model"], row["input_tokens"], row["output_tokens"]) == ("writer", "gpt-x-2026", 5, 6)
    assert (refused["type"], refused["status"], unknown["error"]["code"]) == ("error", 404, "unknown_model")


def test_a_bound_key_may_not_ask_for_another_model_however_it_is_spelt(provider: SocketUpstream, tmp_path: Path) -> None:
    rows = [{"provider": "openai", "api_base": f"{provider.url}/v1", "api_key": "sk-theirs"}]
    keys = [{"key": "gk-of-ours-123", "name": "shop", "models": ["small"]}]
    key = {"authorization": "Bearer gk-of-ours-123"}
    with (
        proxy(tmp_path, None, models={"*": {"deployments": rows}}, keys=keys) as front,
        opened(front, "/v1/responses", headers=key) as socket,
    ):
        for frame in (
            '{"type":"response\\u002ecreate","model":"large","input":"x"}',
            '{"type":"x","type":"response.create","model":"large"}',
            b'{"model":"large","type":"response.create"}',
            '{"type":"response.create","input":"x"}',
        ):
            socket.send(frame)
            assert json.loads(socket.recv(timeout=15))["error"]["code"] == "model_not_allowed"
    assert provider.received == []


def test_a_responses_answer_cut_in_the_middle_is_counted_as_far_as_it_came(tmp_path: Path) -> None:
    with simulated(always="cut=12") as url, proxy(tmp_path, url) as front:
        with opened(front, "/v1/responses") as socket:
            socket.send(json.dumps({"type": "response.create", "model": "sim-small", "input": "Describe a merino jumper."}))
            with pytest.raises(ConnectionClosedError):
                read(socket, 1000)
        (row,) = front.recorded()
    assert (row["outcome"], row["partial"], row["usage_source"]) == ("upstream_cut", 1, "counted")
    assert row["input_tokens"] > 3
    assert row["output_tokens"] > 3


def test_a_request_that_the_provider_refuses_is_a_call_of_which_nothing_was_made(tmp_path: Path) -> None:
    with proxy(tmp_path, None) as front:
        with opened(front, "/v1/responses") as socket:
            socket.send(json.dumps({"type": "response.create", "model": "sim-nothing", "input": "x"}))
            error = json.loads(socket.recv(timeout=15))
        row = front.call()
    assert (error["type"], error["status"]) == ("error", 404)
    assert (row["status"], row["outcome"], row["unweighed_reason"]) == (404, "client_error", "not_generated")
