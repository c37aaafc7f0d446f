"""Bytes in, bytes out: what leaves for the provider and what comes back is the sender's own, less what the contract names."""

import gzip
import json

import pytest

from tests.contract.proxy_harness import KEY, Answer, Proxy, ask, without_footprint
from tests.contract.scripted_upstream import ScriptedUpstream, head, streamed, whole

USAGE = b'"usage": {"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42, "prompt_tokens_details": {"cached_tokens": 4}}'
REPLY = (
    b'{\n  "id": "chatcmpl-1",\r\n "object":"chat.completion" , "created": 12345678901234567890123,\t"model": "gpt-4o-mini-2024-07-18",'
    b' "choices": [{"index": 0, "message": {"role": "assistant", "content": "caf\xc3\xa9 \\ud83d\\udc11 \\u00e9 \xf0\x9f\x90\x91"}}], '
    + USAGE
    + b', "x_unknown": 1.0e5, "x_unknown": 2 }\n'
)
HEADERS = [
    (b"Server", b"cloudflare"),
    (b"Date", b"Mon, 23 Nov 2026 10:00:00 GMT"),
    (b"x-request-id", b"req_abc"),
    (b"openai-processing-ms", b"812"),
    (b"OpenAI-Version", b"2020-10-01"),
    (b"x-ratelimit-limit-requests", b"10000"),
    (b"x-ratelimit-remaining-tokens", b"149999"),
    (b"x-ratelimit-reset-tokens", b"6m0s"),
    (b"set-cookie", b"__cf=1; path=/"),
    (b"set-cookie", b"_cfuvid=2; path=/"),
    (b"x-odd", b"caf\xe9 \xc3\xa9"),
    (b"alt-svc", b'h3=":443"'),
]


def lowered(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in headers]


def the_answers(made: Proxy) -> list[Answer]:
    """One answer of each metered endpoint."""
    return [
        made.chat(),
        made.post("/v1/completions", {"model": "gpt-3.5-turbo-instruct", "prompt": "Once"}),
        made.post("/v1/embeddings", {"model": "text-embedding-3-small", "input": "Once"}),
    ]


def test_with_tagging_off_a_whole_answer_is_the_providers_to_the_byte(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*whole(REPLY, *HEADERS))
    for answer in the_answers(plain):
        assert answer.status == 200
        assert answer.body == REPLY
        assert answer.theirs == [(b"content-type", b"application/json"), *lowered(HEADERS)]
        assert answer.ours == {}
        assert answer.value("content-length") == str(len(REPLY))


def test_with_tagging_on_only_headers_and_the_footprint_are_added(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*whole(REPLY, *HEADERS))
    for answer in the_answers(tagging):
        assert without_footprint(answer.body) == REPLY
        assert answer.theirs == [(b"content-type", b"application/json"), *lowered(HEADERS)]
        assert set(answer.ours) == {
            "call-id",
            "gco2e",
            "gco2e-low",
            "gco2e-high",
            "energy-wh",
            "basis",
            "quality",
            "method",
            "model",
            "region",
            "zone",
            "policy",
        }
        assert answer.ours["basis"] == "final"
        assert answer.value("content-length") == str(len(answer.body))


def test_an_answer_with_a_lone_surrogate_is_metered_like_any_other(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    body = REPLY.replace(b"\\udc11", b"")
    upstream.answers(*whole(body))
    answer = tagging.chat()
    assert without_footprint(answer.body) == body
    row = tagging.calls()[-1]
    assert (row["usage_source"], row["input_tokens"], row["output_tokens"]) == ("provider", 12, 30)


def test_an_answer_without_usage_gets_headers_and_keeps_its_body(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    body = b'{"id":"x","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"hello there"}}],"usage":null}'
    upstream.answers(*whole(body))
    answer = tagging.chat()
    assert answer.body == body
    assert float(answer.ours["gco2e"]) > 0


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"[1, 2]", b'"text"', b'{"usage": 7}', b'{"model": 3, "usage": {}}', b"\xff\xfe", b'{"model":"m","usage":{"a":'],
    ids=["empty", "text", "list", "string", "number", "empty-usage", "not-utf8", "torn"],
)
def test_an_answer_that_cannot_be_read_passes_as_it_is(upstream: ScriptedUpstream, tagging: Proxy, body: bytes) -> None:
    upstream.answers(*whole(body, kind=b"application/x-whatever"))
    answer = tagging.chat()
    assert (answer.status, answer.value("content-type")) == (200, "application/x-whatever")
    assert answer.body == body or without_footprint(answer.body) == body


def test_a_deeply_nested_answer_passes_as_it_is(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    body = b'{"model":"m","choices":' + b"[" * 60_000 + b"]" * 60_000 + b"}"
    upstream.answers(*whole(body))
    answer = tagging.chat()
    assert (answer.status, answer.body) == (200, body)


def test_a_connection_close_answer_without_length_arrives_whole(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(head(b"200 OK", [(b"content-type", b"application/json"), (b"connection", b"close")]) + REPLY)
    assert plain.chat().body == REPLY


def test_an_answer_compressed_although_asked_not_to_arrives_readable(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*whole(gzip.compress(REPLY), (b"content-encoding", b"gzip")))
    answer = tagging.chat()
    assert answer.value("content-encoding") is None
    assert without_footprint(answer.body) == REPLY


def test_an_answer_that_only_claims_to_be_compressed_is_no_error_of_ours(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*whole(REPLY, (b"content-encoding", b"gzip")))
    answer = tagging.chat()
    assert (answer.status, answer.value("content-encoding"), answer.body) == (200, "gzip", REPLY)
    assert float(answer.ours["gco2e"]) > 0


def test_an_answer_in_an_encoding_that_is_not_read_passes_and_is_not_weighed_as_nothing(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    body = bytes(range(256)) * 40
    upstream.answers(*whole(body, (b"content-encoding", b"br")))
    answer = tagging.chat()
    assert (answer.body, answer.value("content-encoding")) == (body, "br")
    row = tagging.calls()[-1]
    assert (row["usage_source"], row["output_tokens"] > 0) == ("estimated", True)


@pytest.mark.parametrize(
    "status",
    [
        b"400 Bad Request",
        b"401 Unauthorized",
        b"403 Forbidden",
        b"404 Not Found",
        b"409 Conflict",
        b"422 Unprocessable Entity",
        b"429 Too Many Requests",
        b"500 Internal Server Error",
        b"503 Service Unavailable",
        b"529 Overloaded",
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_error_of_the_providers_keeps_status_body_and_headers(
    upstream: ScriptedUpstream, tagging: Proxy, status: bytes, stream: bool
) -> None:
    body = b'{ "error" : {"message":"caf\xc3\xa9","type":"x","param":null,"code":"rate_limit_exceeded","usage":{"a":1}} }'
    headers = [
        (b"retry-after", b"7"),
        (b"retry-after-ms", b"7250"),
        (b"x-should-retry", b"false"),
        (b"x-request-id", b"req_9"),
        (b"x-ratelimit-remaining-requests", b"0"),
        (b"www-authenticate", b"Bearer"),
    ]
    upstream.answers(*whole(body, *headers, status=status))
    answer = tagging.chat(ask(stream=stream))
    assert answer.status == int(status[:3])
    assert answer.body == body
    assert answer.theirs == [(b"content-type", b"application/json"), *headers]
    assert set(answer.ours) == {"call-id"}
    row = tagging.calls()[-1]
    assert (row["call_id"], row["status"], row["unweighed_reason"]) == (answer.ours["call-id"], answer.status, "not_generated")
    assert (row["gco2e"], row["output_tokens"], row["upstream_request_id"]) == (None, None, "req_9")


def test_an_html_error_page_stays_one(upstream: ScriptedUpstream, tagging: Proxy) -> None:
    upstream.answers(*whole(b"<html>Bad gateway</html>", status=b"502 Bad Gateway", kind=b"text/html; charset=UTF-8"))
    answer = tagging.chat()
    assert (answer.status, answer.body, answer.value("content-type")) == (502, b"<html>Bad gateway</html>", "text/html; charset=UTF-8")


ODD_REQUEST = (
    b'{ "temperature":1.00,  "model" :"gpt-4o-mini", "x_big": 123456789012345678901234567890, "x_e": 1E5,\n'
    b'\t"messages":[ {"role":"user","content":"lone \\ud83d tail \\udc11, \\u00e9 \xc3\xa9 \\/ \xf0\x9f\x90\x91"} ],'
    b'"x_nested":{"model":"other","stream_options":{"include_usage":false}}, "dup":1,"dup":2 }  \n'
)


def test_a_request_leaves_as_it_came(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*whole(REPLY))
    assert plain.chat(ODD_REQUEST).status == 200
    assert upstream.last.body == ODD_REQUEST
    assert upstream.last.value("content-length") == str(len(ODD_REQUEST)).encode()
    assert (upstream.last.method, upstream.last.target) == ("POST", "/v1/chat/completions")


@pytest.mark.parametrize("text", ["\\ud83d", "\\udc11 x", "x \\ud83d\\n", "\\ud83d\\u0041", "\\ud83d\\ud83d\\udc11"])
def test_lone_surrogates_are_the_providers_to_judge(upstream: ScriptedUpstream, plain: Proxy, text: str) -> None:
    upstream.answers(*whole(REPLY))
    body = b'{"messages":[{"role":"user","content":"%b"}],"model":"gpt-4o-mini"}' % text.encode()
    assert plain.chat(body).status == 200
    assert upstream.last.body == body


@pytest.mark.timeout(30)
def test_a_lone_surrogate_in_a_large_request_does_not_hold_up_the_proxy(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*whole(REPLY))
    turns = [b'{"role":"user","content":"hello there \\n how are you"}'] * 200_000
    body = b'{"model":"gpt-4o-mini","messages":[' + b",".join(turns) + b',{"content":"\\ud83d"}]}'
    assert plain.chat(body).status == 200
    assert upstream.last.body == body


def test_a_streamed_request_gets_only_the_usage_option(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*streamed(b"data: [DONE]\n\n"))
    body = b'{ "model":"gpt-4o-mini","stream" : true ,"messages":[] }'
    plain.chat(body)
    sent = upstream.last.body
    added = b'"stream_options":{"include_usage":true},'
    assert sent.replace(added, b"", 1) == body
    assert json.loads(sent)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ('{"include_obfuscation":false}', {"include_obfuscation": False, "include_usage": True}),
        ('{"include_usage":false}', {"include_usage": True}),
        ('{"include_usage":true,"x":12345678901234567890}', {"include_usage": True, "x": 12345678901234567890}),
        ("null", {"include_usage": True}),
        ("{}", {"include_usage": True}),
    ],
)
def test_stream_options_are_merged_and_nothing_else_moves(
    upstream: ScriptedUpstream, plain: Proxy, given: str, sent: dict[str, object]
) -> None:
    upstream.answers(*streamed(b"data: [DONE]\n\n"))
    before, after = b'{"model":"gpt-4o-mini", "stream":true,"stream_options":', b' ,"messages":[ ]}'
    plain.chat(before + given.encode() + after)
    out = upstream.last.body
    assert out.startswith(before)
    assert out.endswith(after)
    assert json.loads(out)["stream_options"] == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b'{ "x":"\\ud800","y":1.0e5 }', b'{ "x":"\\ud800","y":1.0e5,"include_usage":true }'),
        (
            b'{"include_usage": false, "big":123456789012345678901234567890}',
            b'{"include_usage": true, "big":123456789012345678901234567890}',
        ),
    ],
)
def test_of_stream_options_only_the_usage_is_written(upstream: ScriptedUpstream, plain: Proxy, given: bytes, sent: bytes) -> None:
    upstream.answers(*streamed(b"data: [DONE]\n\n"))
    before = b'{"model":"gpt-4o-mini", "stream":true,"stream_options":'
    assert plain.chat(before + given + b"}").status == 200
    assert upstream.last.body == before + sent + b"}"


def test_a_request_that_asks_for_usage_itself_is_not_touched(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*streamed(b"data: [DONE]\n\n"))
    body = b'{"model":"gpt-4o-mini","stream":true,"stream_options":{ "include_usage" : true },"messages":[]}'
    plain.chat(body)
    assert upstream.last.body == body


def test_request_headers_cross_but_not_ours_nor_hop_by_hop_ones(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*whole(REPLY))
    theirs = {
        "openai-organization": "org-1",
        "openai-project": "proj-1",
        "openai-beta": "x=v1",
        "idempotency-key": "stainless-1",
        "x-client-request-id": "abc",
        "x-stainless-lang": "python",
        "x-stainless-retry-count": "1",
        "user-agent": "OpenAI/Python 2.54.0",
        "accept": "application/json",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    kept_here = {
        "cookie": "session=1",
        "accept-encoding": "gzip, br",
        "te": "trailers",
        "keep-alive": "timeout=5",
        "proxy-authorization": "Basic eA==",
        "x-forwarded-for": "10.0.0.9",
        "forwarded": "for=10.0.0.9",
        "x-grammage-tag-brand": "acme",
        "x-grammage-policy": "off",
        "x-grammage-anything": "1",
    }
    body = json.dumps(ask()).encode()
    plain.send("POST", "/v1/chat/completions", body, {"content-type": "application/json", "via": "1.1 varnish", **theirs, **kept_here})
    got = {name.decode(): value.decode("latin-1") for name, value in lowered(upstream.last.headers)}
    assert len(got) == len(upstream.last.headers)
    assert got == {
        **theirs,
        "content-type": "application/json",
        "content-length": str(len(body)),
        "authorization": f"Bearer {KEY}",
        "host": upstream.url.removeprefix("http://"),
        "via": "1.1 varnish, 1.1 grammage",
        "accept-encoding": "identity",
    }


def test_headers_that_connection_names_stay_on_their_hop(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(head(b"200 OK", [(b"connection", b"close, X-Their-Hop"), (b"x-their-hop", b"1"), (b"content-length", b"2")]) + b"{}")
    answer = plain.chat(connection="keep-alive, x-our-hop", x_our_hop="1", x_kept="1")
    assert upstream.last.values("x-our-hop") == []
    assert upstream.last.value("x-kept") == b"1"
    assert (answer.value("x-their-hop"), answer.body) == (None, b"{}")


def test_a_header_value_in_utf8_leaves_as_the_same_bytes(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*whole(REPLY))
    utf8 = "caf\u00e9".encode()
    plain.chat(x_custom=utf8.decode("latin-1"))
    assert upstream.last.value("x-custom") == utf8


def test_nothing_is_added_to_a_bare_request_but_the_mark_and_the_encoding(upstream: ScriptedUpstream, plain: Proxy) -> None:
    upstream.answers(*whole(REPLY))
    plain.send("POST", "/v1/chat/completions", json.dumps(ask()).encode())
    names = {name for name, _ in lowered(upstream.last.headers)}
    assert names == {b"host", b"content-length", b"authorization", b"via", b"accept-encoding"}


@pytest.mark.parametrize(
    ("baggage", "left"),
    [
        ("grammage.brand=acme", None),
        ("a=1,grammage.brand=acme;prop=1, b=2;p", b"a=1,b=2;p"),
        ("grammage.brand=acme,grammage.stage=draft", None),
        ("notgrammage.brand=1", b"notgrammage.brand=1"),
    ],
)
def test_baggage_of_ours_stays_here_and_the_rest_goes_on(
    upstream: ScriptedUpstream, plain: Proxy, baggage: str, left: bytes | None
) -> None:
    upstream.answers(*whole(REPLY))
    plain.chat(baggage=baggage)
    assert upstream.last.value("baggage") == left


@pytest.mark.parametrize("query", ["api-version=2024-10-21", "beta=true&x=%2Fa%20b&empty=&x=2", "q=caf%C3%A9+1"])
def test_query_strings_go_along_as_they_are(upstream: ScriptedUpstream, plain: Proxy, query: str) -> None:
    upstream.answers(*whole(REPLY))
    plain.post(f"/v1/chat/completions?{query}", ask())
    assert upstream.last.target == f"/v1/chat/completions?{query}"
