"""Sockets through the proxy over real connections: frames, headers, keys, and how each side learns of the other's end."""

import asyncio
import contextlib
import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.contract.proxy_harness import KEY, Proxy, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, whole
from tests.contract.socket_harness import CREATED, DONE, SocketUpstream, opened, read, refusal


def test_frames_pass_both_ways_byte_for_byte_in_order(provider: SocketUpstream, front: Proxy) -> None:
    sent: list[str | bytes] = ['{"type":"x","text":"é\\u00e9 \U0001f33f"}', bytes(range(256)) * 4096, "", b"", "plain", '{"b":1,"a":2}  ']
    back: list[str | bytes] = [
        hashlib.sha256(str(number).encode()).digest() * 5000 if number % 2 else f"{number}:" + "ü" * 70_000 for number in range(20)
    ]

    async def conduct(socket: ServerConnection) -> None:
        for _ in sent:
            provider.received.append(await socket.recv())
        for frame in back:
            await socket.send(frame)

    provider.conduct = conduct
    with opened(front) as socket:
        for frame in sent:
            socket.send(frame)
        assert read(socket, len(back)) == back
    assert provider.received == sent


def test_a_frame_in_fragments_arrives_whole(provider: SocketUpstream, front: Proxy) -> None:
    provider.says("ok")
    with opened(front) as socket:
        socket.send(iter(["frag", "ment", "ed é"]))
        assert socket.recv(timeout=15) == "ok"
    assert provider.received == ["fragmented é"]


def test_a_client_that_leaves_mid_answer_ends_the_providers_side_at_once(provider: SocketUpstream, front: Proxy) -> None:
    provider.says(CREATED)
    with opened(front) as socket:
        socket.send("{}")
        assert socket.recv(timeout=15) == CREATED
        socket.socket.shutdown(2)
        assert provider.left.wait(15)
    (row,) = front.recorded()
    assert (row["outcome"], row["partial"]) == ("client_left", 1)
    assert provider.closes == [(1006, "")]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "bye"), (3003, "é"), (4321, "x" * 120)])
def test_the_clients_close_reaches_the_provider(provider: SocketUpstream, front: Proxy, code: int, reason: str) -> None:
    provider.says("ok")
    with opened(front) as socket:
        socket.send("{}")
        socket.recv(timeout=15)
        socket.close(code, reason)
    assert provider.left.wait(15)
    assert provider.closes == [(code, reason)]


@pytest.mark.parametrize(("code", "reason"), [(1000, "done"), (1008, "policy"), (1011, "é"), (1013, "later"), (4000, "y" * 123)])
def test_the_providers_close_reaches_the_client(provider: SocketUpstream, front: Proxy, code: int, reason: str) -> None:
    async def close(socket: ServerConnection) -> None:
        await socket.close(code, reason)

    provider.says("last", then=close)
    with opened(front) as socket:
        socket.send("{}")
        assert socket.recv(timeout=15) == "last"
        with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as ended:
            socket.recv(timeout=15)
    assert ended.value.rcvd is not None
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (code, reason)


def test_a_close_without_a_code_stays_one_both_ways(provider: SocketUpstream, front: Proxy) -> None:
    async def close(socket: ServerConnection) -> None:
        socket.protocol.send_close()
        socket.transport.write(b"".join(socket.protocol.data_to_send()))

    provider.says("last", then=close)
    with opened(front) as socket:
        socket.send("{}")
        socket.recv(timeout=15)
        with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as ended:
            socket.recv(timeout=15)
    assert ended.value.rcvd is not None
    assert ended.value.rcvd.code == 1005
    provider.left.clear()
    provider.closes.clear()
    provider.says("ok")
    with opened(front) as socket:
        socket.send("{}")
        socket.recv(timeout=15)
        socket.protocol.send_close()
        socket.socket.sendall(b"".join(socket.protocol.data_to_send()))
        assert provider.left.wait(15)
    assert provider.closes == [(1005, "")]


def test_pings_are_answered_by_whoever_is_next(provider: SocketUpstream, front: Proxy) -> None:
    async def ping(socket: ServerConnection) -> None:
        await asyncio.wait_for(await socket.ping(b"there?"), 10)
        await socket.send("ponged")

    provider.says("go", then=ping)
    with opened(front) as socket:
        assert socket.ping(b"mine").wait(10)
        socket.send("{}")
        assert read(socket, 2) == ["go", "ponged"]


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_refused_handshake_is_the_providers_own_answer(provider: SocketUpstream, front: Proxy, status: int) -> None:
    body = b'{"error":{"message":"No.","type":"invalid_request_error","param":null,"code":"nope"}}'
    provider.refusal = (status, {"content-type": "application/json", "x-request-id": "req_9", "retry-after": "7"}, body)
    reply = refusal(front)
    assert (reply.status_code, reply.body) == (status, body)
    assert (reply.headers["x-request-id"], reply.headers["retry-after"]) == ("req_9", "7")
    row = front.call()
    assert (row["status"], row["unweighed_reason"], row["gco2e"]) == (status, "not_generated", None)
    assert row["call_id"] == reply.headers["x-grammage-call-id"]


def test_a_provider_that_cannot_be_reached_is_said_in_the_envelope(tmp_path: Path) -> None:
    with proxy(tmp_path, "http://127.0.0.1:9") as front:
        reply = refusal(front)
    assert reply.status_code == 502
    assert json.loads(reply.body)["error"]["code"] == "upstream_unreachable"


def test_query_and_headers_pass_and_ours_stay(provider: SocketUpstream, front: Proxy) -> None:
    headers = {"openai-beta": "realtime=v1", "openai-project": "p1", "x-grammage-tag-brand": "acme", "baggage": "grammage.tool=t,other=1"}
    provider.says("ok")
    with opened(front, "/v1/realtime?model=gpt%2Drealtime&intent=x%20y&call_id=rtc_1", headers=headers) as socket:
        socket.send("{}")
        socket.recv(timeout=15)
    seen = provider.last
    assert seen.path == "/v1/realtime?model=gpt%2Drealtime&intent=x%20y&call_id=rtc_1"
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert (seen.headers["openai-beta"], seen.headers["openai-project"]) == ("realtime=v1", "p1")
    assert seen.headers["baggage"] == "other=1"
    assert "grammage" in seen.headers["via"]
    assert not [name for name, _ in seen.headers.raw_items() if name.lower().startswith("x-grammage")]


def test_a_browsers_key_goes_where_it_was_meant_for(provider: SocketUpstream, front: Proxy) -> None:
    provider.says("ok")
    offered = ["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]
    url = front.url.replace("http", "ws", 1) + "/v1/realtime?model=gpt-realtime"
    with connect(url, subprotocols=offered) as socket:  # type: ignore[arg-type]  # plain strings are what they are on the wire
        assert socket.subprotocol == "realtime"
        socket.send("{}")
        socket.recv(timeout=15)
    assert provider.last.headers["sec-websocket-protocol"].replace(" ", "").split(",") == offered
    assert "authorization" not in provider.last.headers


def test_a_browsers_key_of_ours_is_replaced_and_never_leaves(
    provider: SocketUpstream, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    deployment = {"provider": "openai", "model": "gpt-realtime-1", "api_base": f"{provider.url}/v1", "api_key": "sk-theirs"}
    sections: dict[str, Any] = {
        "models": {"voice": {"deployments": [deployment]}},
        "keys": [{"key": "gk-of-ours-123", "name": "shop", "tags": {"brand": "acme"}, "models": ["voice"]}],
    }
    provider.says(DONE)
    with proxy(tmp_path, None, **sections) as front, caplog.at_level("DEBUG"):
        url = front.url.replace("http", "ws", 1) + "/v1/realtime"
        offered = ["realtime", "openai-insecure-api-key.gk-of-ours-123"]
        with connect(f"{url}?model=voice&x=1", subprotocols=offered) as socket:  # type: ignore[arg-type]  # as above
            socket.send("{}")
            socket.recv(timeout=15)
        row = front.call()
        refused = refusal(front, "/v1/realtime?model=other", headers={"authorization": "Bearer gk-of-ours-123"})
        unknown = refusal(front, "/v1/realtime?model=voice", headers={"authorization": "Bearer nobody"})
    assert provider.last.path == "/v1/realtime?model=gpt-realtime-1&x=1"
    assert provider.last.headers["authorization"] == "Bearer sk-theirs"
    assert provider.last.headers["sec-websocket-protocol"] == "realtime"
    assert (row["alias"], row["caller_id"], row["model"]) == ("voice", "shop", "gpt-realtime-1")
    assert (refused.status_code, unknown.status_code) == (403, 401)
    assert json.loads(refused.body)["error"]["code"] == "model_not_allowed"
    ours = [entry.getMessage() for entry in caplog.records if entry.name.startswith(("uvicorn", "grammage"))]
    ours += capfd.readouterr().err.splitlines()
    assert any('"operation":"realtime"' in line for line in ours)
    assert not [line for line in ours if "gk-of-ours" in line or "sk-theirs" in line]


def test_azures_dated_address_is_kept_as_azure_has_it(provider: SocketUpstream, tmp_path: Path) -> None:
    azure = {"provider": "azure", "model": "rt-dep", "api_base": provider.url, "api_key": "az", "api_version": "2025-04-01-preview"}
    provider.says(DONE)
    with proxy(tmp_path, None, models={"voice": {"deployments": [azure]}}) as front:
        for target in ("/v1/realtime?model=voice", "/openai/realtime?api-version=2024-10-01-preview&deployment=voice"):
            with opened(front, target) as socket:
                socket.send("{}")
                socket.recv(timeout=15)
            assert provider.last.path.startswith("/openai/realtime?")
            query = sorted(provider.last.path.partition("?")[2].split("&"))
            assert query == ["api-version=2025-04-01-preview", "deployment=rt-dep"]
            assert provider.last.headers["api-key"] == "az"
        assert [row["alias"] for row in front.calls()] == ["voice", "voice"]


@pytest.mark.parametrize("target", ["/nowhere", "/v1", "/metrics"])
def test_no_socket_stands_elsewhere(front: Proxy, target: str) -> None:
    assert refusal(front, target).status_code == 404


def test_another_sites_page_without_a_key_may_not_open_a_socket(provider: SocketUpstream, tmp_path: Path) -> None:
    deployment = {"provider": "openai", "api_base": f"{provider.url}/v1", "api_key": "sk-theirs"}
    server = {"cors": {"origins": ["https://shop.example"]}}
    provider.says("ok")
    with proxy(tmp_path, None, models={"*": {"deployments": [deployment]}}, auth="open", server=server) as front:
        url = front.url.replace("http", "ws", 1) + "/v1/realtime?model=m"
        with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers={"origin": "https://evil.example"}):
            raise AssertionError("the socket stands")
        for allowed in ("https://shop.example", front.url):
            with connect(url, additional_headers={"origin": allowed}) as socket:
                socket.send("{}")
                assert socket.recv(timeout=15) == "ok"
    assert refused.value.response.status_code == 403


def test_a_socket_that_comes_back_to_us_is_a_loop(front: Proxy) -> None:
    assert refusal(front, headers={"via": "1.1 grammage"}).status_code == 508


def test_a_base_path_stands_before_sockets_too(provider: SocketUpstream, tmp_path: Path) -> None:
    provider.says("ok")
    with proxy(tmp_path, provider.url, server={"base_path": "/llm"}) as front:
        with opened(front, "/llm/v1/realtime?model=m") as socket:
            socket.send("{}")
            assert socket.recv(timeout=15) == "ok"
        assert provider.last.path == "/v1/realtime?model=m"
        assert refusal(front, "/v1/realtime?model=m").status_code == 404


def test_a_proxy_that_ends_says_so_once_its_time_to_drain_is_over(provider: SocketUpstream, tmp_path: Path) -> None:
    provider.says(CREATED)
    ended: list[Any] = []

    def wait(socket: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosedError, ConnectionClosedOK):
            socket.recv(timeout=15)
        ended.append((socket.close_code, socket.close_reason))

    with contextlib.ExitStack() as later:
        with proxy(tmp_path, provider.url) as front:
            socket = later.enter_context(opened(front))
            socket.send("{}")
            assert socket.recv(timeout=15) == CREATED
            thread = threading.Thread(target=wait, args=(socket,))
            thread.start()
        thread.join(15)
    assert ended == [(1001, "the proxy is shutting down")]
    assert provider.left.wait(15)
    assert provider.closes[0][0] == 1001
    (row,) = front.calls()
    assert (row["outcome"], row["partial"]) == ("given_up", 1)


def test_a_slow_client_slows_the_provider(provider: SocketUpstream, front: Proxy) -> None:
    sent = 0
    frame = b"x" * 1_000_000

    async def flood(socket: ServerConnection) -> None:
        nonlocal sent
        for _ in range(100):
            await socket.send(frame)
            sent += 1

    provider.says(then=flood)
    with opened(front, max_queue=1) as socket:
        socket.send("{}")
        assert socket.recv(timeout=15) == frame
        for read_mb in range(1, 100):
            assert sent - read_mb < 40, f"{sent} MB were taken from the provider, {read_mb} read"
            assert len(socket.recv(timeout=15)) == 1_000_000


@pytest.mark.parametrize(
    ("path", "kind", "body"),
    [
        ("/v1/realtime/client_secrets", "application/json", b'{"session": {"type":"realtime" ,"model":"gpt-realtime"}}'),
        ("/v1/realtime/calls?model=gpt-realtime", "application/sdp", b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\n"),
        ("/v1/realtime/sessions", "application/json", b"{}"),
    ],
)
def test_the_ways_into_webrtc_pass_unread(upstream: ScriptedUpstream, plain: Proxy, path: str, kind: str, body: bytes) -> None:
    answer = b"v=0\r\na=answer\r\n"
    upstream.answers(*whole(answer, (b"location", b"/v1/realtime/calls/rtc_1"), status=b"201 Created", kind=b"application/sdp"))
    reply = plain.send("POST", path, body, {"content-type": kind})
    assert (reply.status, reply.body, reply.value("location")) == (201, answer, "/v1/realtime/calls/rtc_1")
    assert (upstream.last.target, upstream.last.body, upstream.last.value("content-type")) == (path, body, kind.encode())
    assert plain.calls()[-1]["unweighed_reason"] == "unmetered"
