"""What can be wrong with a call: each thing has one clear error, in the right shape, and nothing is spent on it."""

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.contract.proxy_harness import KEY, Answer, Proxy, ask, exchange, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream, whole
from tests.serving import free_port

MIB = 1024 * 1024
METERED = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
SMALL = {"limits": {"json_body_mb": 0.01, "upload_mb": 0.02, "header_kb": 4}}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        made.answers(*whole(b'{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":1}}'))
        yield made


@pytest.fixture(scope="module")
def made(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("bad"), upstream.url) as running:
        yield running


@pytest.fixture(scope="module")
def small(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("small"), upstream.url, server=SMALL) as running:
        yield running


@pytest.fixture
def unspent(upstream: ScriptedUpstream) -> Iterator[None]:
    """Nothing may reach the provider during the test."""
    before = len(upstream.received)
    yield
    assert len(upstream.received) == before


def refused(answer: Answer, status: int, code: str, *words: str) -> None:
    assert (answer.status, answer.error["code"], answer.error["type"]) == (status, code, "grammage_error")
    for word in words:
        assert word in answer.error["message"]


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("path", METERED)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"model": "m"',
        b'{"model": "m",}',
        b"model=m",
        b'{"model":"m"} {}',
        b"\x00",
    ],
)
def test_malformed_json_is_refused(made: Proxy, path: str, body: bytes) -> None:
    refused(made.post(path, body), 400, "malformed_json", "not valid JSON")


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null"])
def test_json_that_is_no_object_is_refused(made: Proxy, body: bytes) -> None:
    refused(made.chat(body), 400, "invalid_type", "not an object")


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("model", [7, None, "", [], {"a": 1}, True, "a\r\nx-evil: 1", "\x00", "x" * 300, float("nan")])
def test_a_model_that_is_no_name_is_refused(made: Proxy, model: Any) -> None:
    answer = made.chat(ask(model=model))
    refused(answer, 400, "invalid_type", "model must be a")
    assert answer.error["param"] == "model"


@pytest.mark.usefixtures("unspent")
def test_a_missing_model_is_refused(made: Proxy) -> None:
    answer = made.chat({"messages": []})
    refused(answer, 400, "missing_model", '"model"')
    assert answer.error["param"] == "model"


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("stream", ["yes", 1, [], {}, "true"])
def test_a_stream_that_is_no_boolean_is_refused(made: Proxy, stream: Any) -> None:
    answer = made.chat(ask(stream=stream))
    refused(answer, 400, "invalid_type", "stream must be true or false")
    assert answer.error["param"] == "stream"


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":7}',
        b'{"model":"m","messages":{"a":[]}}',
        b'{"model":"m","max_tokens":"many","n":-1}',
        b'{"model":"m","user":7,"metadata":[1],"tools":"x","stream_options":7}',
        b'{"model":"m","input":[[],{}],"prompt":[null]}',
        b'{"model":"m","stream":null,"store":"x"}',
    ],
)
@pytest.mark.parametrize("path", METERED)
def test_wrong_types_elsewhere_are_the_providers_to_judge(made: Proxy, upstream: ScriptedUpstream, path: str, body: bytes) -> None:
    assert made.post(path, body).status == 200
    assert upstream.last.body == body


@pytest.mark.parametrize(
    "body", [b'{"model":"\xff"}', b'{"model":"m","user":"\xff","messages":[]}', b'{"model":"m","stream":true,"stream_options":{"\xff":1}}']
)
def test_text_that_is_not_utf8_never_is_an_internal_error(made: Proxy, body: bytes) -> None:
    answer = made.chat(body)
    if answer.status != 200:
        assert (answer.status, answer.error["type"]) == (400, "grammage_error")


@pytest.mark.parametrize("field", ["messages", "x_unknown", "metadata"])
def test_deep_nesting_never_is_an_internal_error(made: Proxy, field: str) -> None:
    answer = made.chat(b'{"model":"m","%b":%b1%b}' % (field.encode(), b"[" * 100_000, b"]" * 100_000))
    if answer.status != 200:
        assert (answer.status, answer.error["type"]) == (400, "grammage_error")


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("path", METERED)
def test_a_body_over_the_limit_is_refused_by_its_length(small: Proxy, path: str) -> None:
    refused(small.post(path, {"model": "m", "input": "x" * 11_000}), 413, "body_too_large", "the limit is 10485", "server.limits")


@pytest.mark.usefixtures("unspent")
def test_a_body_over_the_limit_without_a_length_is_refused(small: Proxy) -> None:
    body = json.dumps(ask(x="y" * 30_000)).encode()
    answer = small.send("POST", "/v1/chat/completions", iter([body[at : at + 1000] for at in range(0, len(body), 1000)]))
    refused(answer, 413, "body_too_large")


def test_a_body_just_within_the_limit_passes(small: Proxy, upstream: ScriptedUpstream) -> None:
    body = json.dumps(ask()).encode()
    body += b" " * (int(0.01 * MIB) - len(body))
    assert small.chat(body).status == 200
    assert upstream.last.body == body


@pytest.mark.usefixtures("unspent")
def test_65_megabytes_of_json_are_refused_in_the_envelope(made: Proxy) -> None:
    refused(made.chat(b'{"model":"m","x":"' + b"x" * 65 * MIB + b'"}'), 413, "body_too_large", "67108864")


def test_a_large_body_within_the_limit_arrives_whole(made: Proxy, upstream: ScriptedUpstream) -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"' + b"x" * 12 * MIB + b'"}]}'
    assert made.chat(body).status == 200
    assert upstream.last.body == body


@pytest.mark.usefixtures("unspent")
def test_headers_over_the_limit_are_refused(small: Proxy) -> None:
    refused(small.chat(x_long="x" * 4100), 431, "headers_too_large", "4096")
    refused(small.get("/v1/files", x_long="x" * 4100), 431, "headers_too_large", "4096")


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate, gzip"])
def test_a_request_compressed_in_a_way_that_is_not_read_here_is_refused(made: Proxy, encoding: str) -> None:
    refused(made.chat(b"\x1f\x8b", content_encoding=encoding), 415, "unsupported_content_encoding", "uncompressed")


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize(
    "body",
    [b"\x1f\x8b", b"{}", gzip.compress(b'{"model":"gpt-4o"}')[:-9], gzip.compress(bytes(80 << 20))],
    ids=["cut short", "plain", "cut", "bomb"],
)
def test_a_compressed_request_that_is_broken_or_grows_too_large_is_refused(made: Proxy, body: bytes) -> None:
    refused(made.chat(body, content_encoding="gzip"), 400, "malformed_encoding", "uncompressed")


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate"])
def test_a_compressed_request_leaves_plain(made: Proxy, upstream: ScriptedUpstream, encoding: str) -> None:
    plain = json.dumps(ask()).encode()
    packed = zlib.compress(plain) if encoding == "deflate" else gzip.compress(plain)
    assert made.chat(packed, content_encoding=encoding).status == 200
    assert (upstream.last.body, upstream.last.value("content-encoding")) == (plain, None)


def test_the_identity_encoding_is_none(made: Proxy) -> None:
    assert made.chat(content_encoding="identity").status == 200


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("path", [*METERED, "/v1/agents"])
@pytest.mark.parametrize("via", ["1.1 grammage", "1.0 varnish, 1.1 grammage, 1.1 x"])
def test_a_call_that_came_through_us_already_is_a_loop(made: Proxy, path: str, via: str) -> None:
    refused(made.post(path, ask(input="x"), via=via), 508, "loop_detected", "api_base")


def test_two_proxies_that_name_each_other_end_the_loop(tmp_path: Path) -> None:
    ports = free_port(), free_port()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with (
        proxy(tmp_path / "a", f"http://127.0.0.1:{ports[1]}", server={"listen": f"127.0.0.1:{ports[0]}"}) as first,
        proxy(tmp_path / "b", f"http://127.0.0.1:{ports[0]}", server={"listen": f"127.0.0.1:{ports[1]}"}),
    ):
        refused(first.chat(), 508, "loop_detected")


BAD_TAGS = [
    ("x-grammage-tag-brand", "", "brand"),
    ("x-grammage-tag-brand", "x" * 129, "128"),
    ("x-grammage-tag-brand", "a\tb", "control"),
    ("x-grammage-tag-brand", "a\x1b[31mb", "control"),
    ("x-grammage-tag-brand", "a\x7fb", "control"),
    ("x-grammage-tag-brand", "\u202etxt".encode().decode("latin-1"), "control"),
    ("x-grammage-tag-brand", "line\u2028two".encode().decode("latin-1"), "control"),
    ("x-grammage-tag-", "x", "name"),
    ("x-grammage-tag-1st", "x", "name"),
    ("x-grammage-tag-a.b", "x", "name"),
    ("x-grammage-tag-" + "a" * 40, "x", "name"),
]


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize(("name", "value", "word"), BAD_TAGS)
def test_a_tag_that_cannot_be_kept_is_refused(made: Proxy, name: str, value: str, word: str) -> None:
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
    body = json.dumps(ask()).encode()
    raw = exchange(made.address, head.replace("content-length: 2", f"content-length: {len(body)}").encode("latin-1")[:-2] + body)
    top, _, shown = raw.partition(b"\r\n\r\n")
    assert b" 400 " in top.split(b"\r\n")[0]
    if b"json" in top:
        error = json.loads(shown)["error"]
        assert error["code"] == "invalid_tag"
        assert word in error["message"]


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("value", [b"a\r\nx-evil: 1", b"a\nx-evil: 1", b"a\rx-evil: 1", b"a\x00b"])
def test_headers_cannot_be_injected_through_a_tag(made: Proxy, value: bytes) -> None:
    body = json.dumps({"model": 7}).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-grammage-tag-brand: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    )
    raw = exchange(made.address, request % (value, len(body)) + body)
    assert b" 400 " in raw.split(b"\r\n")[0]
    assert b"x-evil" not in raw.partition(b"\r\n\r\n")[0]


def test_too_many_tags_are_refused(made: Proxy) -> None:
    refused(made.chat(None, **{f"x_grammage_tag_t{number}": "x" for number in range(17)}), 400, "invalid_tag", "16")


@pytest.mark.parametrize("body", [b'\xef\xbb\xbf{"model":"m"}', b'{"model":"m","temperature":NaN}', b'{"model":"m","x":Infinity}'])
def test_json_that_only_some_readers_take_is_the_providers_to_judge(made: Proxy, upstream: ScriptedUpstream, body: bytes) -> None:
    assert made.chat(body).status == 200
    assert upstream.last.body == body


@pytest.mark.parametrize("name", ["m\r\nx-evil: 2", "\x00\x1b[31m", "caf\u00e9 \U0001f411", "x" * 5000])
def test_a_served_models_name_cannot_inject_headers(made: Proxy, upstream: ScriptedUpstream, name: str) -> None:
    old = upstream.script
    upstream.answers(*whole(json.dumps({"model": name, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode()))
    answer = made.chat()
    upstream.script = old
    assert answer.status == 200
    assert answer.value("x-evil") is None
    assert answer.ours["model"].isprintable()
    assert len(made.calls()[-1]["served_model"]) <= 256


def test_a_connection_stays_usable_after_a_refusal(made: Proxy) -> None:
    bad, good = b"{", json.dumps(ask()).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n%b\r\n"
    raw = exchange(made.address, head % (len(bad), b"") + bad + head % (len(good), b"connection: close\r\n") + good)
    assert [part[:3] for part in raw.split(b"HTTP/1.1 ")[1:]] == [b"400", b"200"]


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(made: Proxy, upstream: ScriptedUpstream) -> None:
    body = json.dumps(ask()).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    with socket.create_connection(made.address, timeout=10) as connection:
        connection.sendall(head % len(body))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
    assert upstream.last.value("expect") is None


def test_a_request_that_never_becomes_whole_is_not_a_call(made: Proxy, upstream: ScriptedUpstream) -> None:
    before, sent = len(made.calls()), len(upstream.received)
    with socket.create_connection(made.address, timeout=10) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
    assert made.chat().status == 200
    assert (len(made.calls()), len(upstream.received)) == (before + 1, sent + 1)


def test_bytes_that_are_no_http_are_refused(made: Proxy) -> None:
    assert exchange(made.address, b"\x16\x03\x01\x00\xa5\x01\x00\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_an_upstream_that_cannot_be_reached_is_said_and_recorded(tmp_path: Path) -> None:
    port = free_port()
    with proxy(tmp_path, f"http://127.0.0.1:{port}") as made:
        answer = made.chat()
        other = made.post("/v1/agents", {"model": "m", "input": "x"})
        rows = made.calls()
        client = openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0)
        with client, pytest.raises(openai.InternalServerError, match="could not be reached"):
            client.embeddings.create(model="m", input="x")
    for got in (answer, other):
        refused(got, 502, "upstream_unreachable", f"127.0.0.1:{port}", "api_base")
        assert KEY not in got.body.decode()
    row = rows[0]
    assert (row["call_id"], row["status"], row["outcome"]) == (answer.ours["call-id"], 502, "upstream_error")
    assert (row["gco2e"], row["unweighed_reason"]) == (None, "not_generated")


def test_an_unknown_alias_names_the_known_ones(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    before = len(upstream.received)
    deployment = {"provider": "openai", "api_base": f"{upstream.url}/v1"}
    models = {name: {"deployments": [deployment]} for name in ("small", "large", "draft-*")}
    with proxy(tmp_path, models=models) as made:
        answer = made.chat(ask(model="smal"))
        refused(answer, 404, "unknown_model", "'smal'", "small, large, draft-*")
        assert answer.error["param"] == "model"
        assert made.chat(ask(model="draft-7")).status == 200
        client = openai.OpenAI(base_url=made.v1, api_key=KEY, max_retries=0)
        with client, pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="smal", messages=[])
    assert [json.loads(request.body)["model"] for request in upstream.received[before:]] == ["draft-7"]


@pytest.mark.parametrize("models", [{}, {"*": {"deployments": [{"provider": "openai"}]}}])
def test_without_a_closed_list_an_unknown_model_is_the_providers_to_judge(
    upstream: ScriptedUpstream, tmp_path: Path, models: dict[str, Any]
) -> None:
    for alias in models.values():
        alias["deployments"][0]["api_base"] = f"{upstream.url}/v1"
    theirs = b'{"error":{"message":"no such model","type":"invalid_request_error","param":null,"code":"model_not_found"}}'
    old = upstream.script
    upstream.answers(*whole(theirs, status=b"404 Not Found"))
    with proxy(tmp_path, upstream.url, models=models) as made:
        answer = made.chat(ask(model="nope"))
    upstream.script = old
    assert (answer.status, answer.body) == (404, theirs)


@pytest.mark.parametrize("path", ["/", "/nope", "/v1", "/V1/chat/completions", "/v2/chat/completions", "/nope/chat", "/admin"])
@pytest.mark.usefixtures("unspent")
def test_paths_outside_v1_are_ours_to_refuse(made: Proxy, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = made.send(method, path, b"{}" if method == "POST" else None)
        assert answer.status == 404
        assert answer.error["type"] == "grammage_error"


@pytest.mark.usefixtures("unspent")
@pytest.mark.parametrize("path", ["/metrics", "/v1/footprint/estimate"])
def test_a_wrong_method_on_our_own_paths_is_said(made: Proxy, path: str) -> None:
    answer = made.send("PUT", path, b"{}")
    assert (answer.status, answer.error["type"], answer.error["code"]) == (405, "grammage_error", "method_not_allowed")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_method_on_a_metered_path_is_the_providers(made: Proxy, upstream: ScriptedUpstream, method: str) -> None:
    answer = made.send(method, "/v1/chat/completions?limit=2")
    assert answer.status == 200
    assert (upstream.last.method, upstream.last.target) == (method, "/v1/chat/completions?limit=2")
