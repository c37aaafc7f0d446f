"""Every other path under /v1: any method, any body, both ways, byte by byte; recorded when it may have generated something."""

import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.contract.proxy_harness import KEY, Proxy, exchange, proxy, until
from tests.contract.scripted_upstream import CLOSE, RESET, UNTIL_LEFT, ScriptedUpstream, head, scripted_upstream, streamed, whole

ODD = b"\x00\x01\xff{caf\xc3\xa9}\r\n\r\n" * 500
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def made(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("pass"), upstream.url, server={"limits": {"upload_mb": 8}}) as running:
        yield running


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
@pytest.mark.parametrize("path", ["/v1/agents", "/v1/files/file-1/content", "/v1/new/thing%20x?beta=true&a=%2F", "/v1/rerank"])
def test_any_method_and_body_pass_both_ways_unchanged(made: Proxy, upstream: ScriptedUpstream, method: str, path: str) -> None:
    headers = [(b"x-request-id", b"req_1"), (b"X-Odd", b"a, b"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"etag", b'"x"')]
    upstream.answers(*whole(ODD, *headers, status=b"201 Created", kind=b"audio/mpeg"))
    sent = ODD[::-1] if method not in ("GET", "OPTIONS") else None
    answer = made.send(method, path, sent, {"content-type": "application/x-odd"})
    assert (answer.status, answer.body) == (201, ODD)
    assert answer.theirs == [(b"content-type", b"audio/mpeg"), *((name.lower(), value) for name, value in headers)]
    assert answer.ours == {}
    got = upstream.last
    assert (got.method, got.target, got.body) == (method, path, sent or b"")
    assert got.value("content-type") == b"application/x-odd"
    assert got.value("authorization") == f"Bearer {KEY}".encode()
    assert got.value("transfer-encoding") is None
    assert got.value("content-length") == (str(len(sent)).encode() if sent else None)


def test_head_keeps_the_length_and_has_no_body(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(head(b"200 OK", [(b"content-type", b"text/plain"), (b"content-length", b"12345"), CLOSE]))
    answer = made.send("HEAD", "/v1/files/file-1/content")
    assert (answer.status, answer.body, answer.value("content-length")) == (200, b"", "12345")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answers_without_a_body_stay_so(made: Proxy, upstream: ScriptedUpstream, status: bytes) -> None:
    upstream.answers(head(status, [(b"x-request-id", b"req_1"), CLOSE]))
    answer = made.get("/v1/files/file-1")
    assert (answer.status, answer.body, answer.value("x-request-id")) == (int(status[:3]), b"", "req_1")


def test_a_redirect_is_the_callers_to_follow(made: Proxy, upstream: ScriptedUpstream) -> None:
    before = len(upstream.received)
    upstream.answers(*whole(b"", (b"location", b"http://127.0.0.1:9/elsewhere"), status=b"307 Temporary Redirect"))
    answer = made.get("/v1/files/file-1/content")
    assert (answer.status, answer.value("location")) == (307, "http://127.0.0.1:9/elsewhere")
    assert len(upstream.received) == before + 1


def test_a_compressed_answer_stays_compressed_for_who_asked(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b"\x1f\x8bnot really", (b"content-encoding", b"gzip")))
    answer = made.get("/v1/files", accept_encoding="gzip, deflate")
    assert upstream.last.value("accept-encoding") == b"gzip, deflate"
    assert (answer.body, answer.value("content-encoding")) == (b"\x1f\x8bnot really", "gzip")
    made.get("/v1/files")
    assert upstream.last.value("accept-encoding") is None


def test_an_upload_with_a_length_streams_through(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b"{}"))
    content = bytes(range(256)) * 4096 * 6
    answer = made.send("POST", "/v1/files", content, {"content-type": "multipart/form-data; boundary=x"})
    assert answer.status == 200
    assert hashlib.sha256(upstream.last.body).digest() == hashlib.sha256(content).digest()
    assert upstream.last.value("content-length") == str(len(content)).encode()


def test_an_upload_in_chunks_streams_through(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b"{}"))
    parts = [bytes([number]) * 70_000 for number in range(40)]
    assert made.send("POST", "/v1/uploads", iter(parts)).status == 200
    assert upstream.last.body == b"".join(parts)
    assert upstream.last.value("transfer-encoding") == b"chunked"
    assert upstream.last.value("content-length") is None


def test_an_upload_is_not_held_until_it_is_whole(tmp_path: Path) -> None:
    """The second half of the upload is sent only when the provider has had the first."""
    arrived = threading.Event()

    def halves() -> Iterator[bytes]:
        yield b"x" * 100_000
        until(lambda: arrived.is_set() or None)
        yield b"y"

    with socket.create_server(("127.0.0.1", 0)) as listening:
        provider = threading.Thread(target=_provider_that_tells, args=(listening, arrived), daemon=True)
        provider.start()
        with proxy(tmp_path, f"http://127.0.0.1:{listening.getsockname()[1]}") as made:
            assert made.send("POST", "/v1/uploads", halves()).status == 200
        provider.join()


def _provider_that_tells(listening: socket.socket, arrived: threading.Event) -> None:
    connection, _ = listening.accept()
    with connection:
        got = b""
        while b"x" * 90_000 not in got:
            got += connection.recv(65536)
        arrived.set()
        while not got.endswith(b"0\r\n\r\n"):
            got += connection.recv(65536)
        connection.sendall(b"".join(whole(b"{}")))


def test_the_sdk_uploads_and_downloads(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(
        *whole(b'{"id":"file-1","object":"file","bytes":3,"created_at":1,"filename":"a.jsonl","purpose":"batch","status":"processed"}')
    )
    with openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0) as client:
        assert client.files.create(file=("caf\u00e9.jsonl", b"{}\n"), purpose="batch").id == "file-1"
        assert b"caf" in upstream.last.body
        upstream.answers(*whole(ODD, kind=b"application/octet-stream"))
        assert client.files.content("file-1").read() == ODD


def test_a_streamed_answer_passes_as_it_comes_and_unchanged(made: Proxy, upstream: ScriptedUpstream) -> None:
    go_on = threading.Event()
    events = [b'event: response.created\r\ndata: {"a":1}\r\n\r\n', b": ping\n\n", b'data: {"usage":null}\n\n', b"data: [DONE]\n\ntail"]
    start, first, *rest = streamed(*events)
    upstream.answers(start, first, go_on, *rest)
    with httpx.Client(base_url=made.url) as client, client.stream("POST", "/v1/agents", json={"stream": True}) as reply:
        arriving = reply.iter_raw()
        assert next(arriving) == events[0]
        go_on.set()
        assert b"".join(arriving) == b"".join(events[1:])


@pytest.mark.parametrize("end", [(), (RESET,)], ids=["closed", "reset"])
def test_a_cut_answer_never_looks_ended(made: Proxy, upstream: ScriptedUpstream, end: tuple[Any, ...]) -> None:
    before = len(made.calls())
    for parts in (streamed(b"data: 1\n\n", end=False), [whole(b"x" * 1000)[0][:-100]]):
        upstream.answers(*parts, *end)
        try:
            answer = made.post("/v1/agents", {"model": "m"})
        except (http.client.HTTPException, OSError):
            continue
        assert answer.cut or answer.status == 502
    assert {row["outcome"] for row in made.recorded(before + 2)[before:]} == {"upstream_cut"}


def test_what_may_generate_is_recorded_as_unmetered(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b'{"usage":{"input_tokens":5}}'))
    before = len(made.calls())
    for path in ("/v1/agents", "/v1/agents/sessions", "/v1/rerank", "/v1/brand/new"):
        made.post(path, {"model": "m"}, x_grammage_tag_brand="acme")
    rows = made.recorded(before + 4)[before:]
    assert [row["path"] for row in rows] == ["/v1/agents", "/v1/agents/sessions", "/v1/rerank", "/v1/brand/new"]
    for row in rows:
        assert (row["operation"], row["unweighed_reason"], row["status"], row["outcome"]) == ("unmetered", "unmetered", 200, "ok")
        assert (row["gco2e"], row["input_tokens"], row["usage_source"]) == (None, None, None)


@pytest.mark.parametrize("reply", [(b"204 No Content", []), (b"200 OK", [(b"content-length", b"0")]), (b"304 Not Modified", [])])
def test_an_answer_that_is_a_head_only_leaves_once_it_is_recorded(
    made: Proxy, upstream: ScriptedUpstream, reply: tuple[bytes, list[tuple[bytes, bytes]]]
) -> None:
    status, headers = reply
    upstream.answers(head(status, [*headers, CLOSE]))
    before = len(made.calls())
    answer = made.post("/v1/brand/new", {})
    assert (answer.status, len(made.calls()) - before) == (int(status[:3]), 1)


def test_odd_metadata_of_a_batch_is_the_providers_to_judge(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b"{}"))
    body = b'{"input_file_id":"file-1","metadata":{"a":"\\ud800"}}'
    assert made.post("/v1/batches", body).status == 200
    assert upstream.last.body == body


def test_what_only_stores_or_lists_is_counted_and_not_recorded(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b"{}"))
    before = len(made.calls())
    for method, path in (("GET", "/v1/files"), ("POST", "/v1/vector_stores"), ("GET", "/v1/responses/r1"), ("DELETE", "/v1/responses/r1")):
        made.send(method, path)
    made.post("/v1/agents", {"model": "m"})
    assert len(made.recorded(before + 1)) == before + 1
    shown = made.get("/metrics").body.decode()
    counted = [line for line in shown.splitlines() if line.startswith("grammage_passthrough_requests_total{")]
    for kind in ("files", "responses", "vector_stores"):
        assert any(f'kind="{kind}"' in line and 'status="2' in line for line in counted)


@pytest.mark.parametrize("status", [b"400 Bad Request", b"429 Too Many Requests", b"500 Internal Server Error"])
def test_errors_pass_with_their_body_and_headers(made: Proxy, upstream: ScriptedUpstream, status: bytes) -> None:
    headers = [(b"retry-after", b"3"), (b"retry-after-ms", b"3100"), (b"x-should-retry", b"true"), (b"x-request-id", b"r")]
    upstream.answers(*whole(b'{"error": {"message": "m"}} ', *headers, status=status))
    answer = made.post("/v1/agents", {"model": "m"})
    assert (answer.status, answer.body) == (int(status[:3]), b'{"error": {"message": "m"}} ')
    assert answer.theirs[1:] == headers


@pytest.mark.parametrize("path", ["/v1/brand/new", "/v1/chat/completions"])
def test_a_status_that_there_is_not_is_a_servers_error(made: Proxy, upstream: ScriptedUpstream, path: str) -> None:
    upstream.answers(*whole(b'{"odd":1}', status=b"999 Request denied"))
    answer = made.post(path, {"model": "m"})
    assert (answer.status, answer.body) == (599, b'{"odd":1}')


def test_request_headers_follow_the_same_rules(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b"{}"))
    made.post("/v1/agents", {}, cookie="a=1", x_grammage_tag_brand="acme", baggage="grammage.brand=x,b=1", openai_beta="assistants=v2")
    names = {name.lower() for name, _ in upstream.last.headers}
    assert not names & {b"cookie", b"x-grammage-tag-brand"}
    assert upstream.last.value("baggage") == b"b=1"
    assert upstream.last.value("openai-beta") == b"assistants=v2"
    assert upstream.last.value("via") == b"1.1 grammage"


def test_an_upload_over_the_limit_is_refused_by_its_length(made: Proxy, upstream: ScriptedUpstream) -> None:
    before = len(upstream.received)
    answer = made.send("POST", "/v1/files", b"x" * 9 * MIB)
    assert (answer.status, answer.error["code"]) == (413, "body_too_large")
    assert len(upstream.received) == before


def test_an_upload_over_the_limit_without_a_length_is_refused(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b"{}"))
    answer = made.send("POST", "/v1/files", (b"x" * MIB for _ in range(9)))
    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


def test_our_own_refusals_are_not_the_providers_errors(made: Proxy) -> None:
    before = len(made.calls())
    made.post("/v1/agents", {}, via="1.1 grammage")
    made.send("POST", "/v1/agents", b"x" * 9 * MIB)
    made.chat(b"{")
    assert len(made.calls()) == before


@pytest.mark.parametrize("body", [None, b'{"model":"m","input":"x"}'], ids=["polling", "generating"])
def test_a_client_that_leaves_ends_the_providers_work(made: Proxy, upstream: ScriptedUpstream, body: bytes | None) -> None:
    upstream.left.clear()
    upstream.answers(UNTIL_LEFT)
    with httpx.Client(base_url=made.url, timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        client.request("GET" if body is None else "POST", "/v1/agents", content=body)
    assert upstream.left.wait(10)


def test_a_client_that_leaves_a_stream_ends_the_providers_work(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.left.clear()
    upstream.answers(*streamed(b"data: 1\n\n", end=False), UNTIL_LEFT)
    before = len(made.calls())
    with httpx.Client(base_url=made.url) as client, client.stream("POST", "/v1/agents", json={}) as reply:
        assert next(reply.iter_raw()) == b"data: 1\n\n"
    assert upstream.left.wait(10)
    assert made.recorded(before + 1)[-1]["outcome"] == "client_left"


@pytest.mark.parametrize("target", ["/v1/../admin", "/v1/%2e%2e/admin", "/v1/files/../../admin"])
def test_a_path_cannot_climb_out_of_v1(made: Proxy, upstream: ScriptedUpstream, target: str) -> None:
    upstream.answers(*whole(b"{}"))
    before = len(upstream.received)
    raw = exchange(made.address, f"GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    assert raw.split(b" ")[1] in (b"400", b"404")
    assert len(upstream.received) == before


def test_json_bodies_on_unknown_paths_are_not_read(made: Proxy, upstream: ScriptedUpstream) -> None:
    upstream.answers(*whole(b"{}"))
    assert made.post("/v1/agents", b"{not json").status == 200
    assert upstream.last.body == b"{not json"
    assert json.loads(b"{}") == made.post("/v1/agents", b"").json
