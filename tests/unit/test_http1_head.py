"""The head of a request says what was asked, and nothing that was smuggled in."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.base import Headers
from proxy.upstream.http1.head import BadHeader, head_of
from proxy.upstream.http1.target import BadTarget, Target, target_of


def chat() -> Target:
    return target_of("http://h/v1/chat")


async def parts() -> AsyncIterator[bytes]:
    yield b"x"


@pytest.mark.parametrize(
    ("url", "asked", "host"),
    [
        ("http://h", b"/", b"h"),
        ("http://h:80/v1", b"/v1", b"h"),
        ("https://h:443/v1", b"/v1", b"h"),
        ("https://h:80/v1", b"/v1", b"h:80"),
        ("http://H.example:8080/a//b/../c?x=%2F&y=1+2", b"/a//b/../c?x=%2F&y=1+2", b"h.example:8080"),
        ("http://h/a?x=\xe9#part", b"/a?x=\xe9", b"h"),
        ("http://h/a?x=\u20ac", b"/a?x=\xe2\x82\xac", b"h"),
        ("http://[::1]:9/v1", b"/v1", b"[::1]:9"),
        ("http://b\xfccher.example/v1", b"/v1", b"xn--bcher-kva.example"),
        ("http://user:secret@h/v1", b"/v1", b"h"),
    ],
)
def test_an_address_is_asked_as_it_is_written(url: str, asked: bytes, host: bytes) -> None:
    target = target_of(url)
    assert target.start("POST") == b"POST " + asked + b" HTTP/1.1\r\nhost: " + host + b"\r\n"
    assert "secret" not in target.shown


@pytest.mark.parametrize(
    "url",
    ["", "h/v1", "ftp://h/v1", "http:///v1", "http://h:99999/", "http://h/a b", "http://h/a?x= HTTP/1.1", "http://h/a\x00", "http://h x/"],
)
def test_an_address_that_cannot_be_asked_is_refused(url: str) -> None:
    with pytest.raises(BadTarget):
        target_of(url)


@given(st.text(alphabet=st.sampled_from(list("ab/?#@:[]%. \r\n\t\x00\u20ac")), max_size=12))
def test_no_address_writes_a_second_line(rest: str) -> None:
    try:
        start = target_of("http://h" + rest).start("GET")
    except BadTarget:
        return
    assert start.count(b"\r\n") == start.count(b"\n") == start.count(b"\r") == 2
    assert start.split(b"\r\n")[0].count(b" ") == 2


def test_an_addresses_credentials_become_a_header_unless_there_is_one() -> None:
    target = target_of("http://me:p%40ss@h/v1")
    assert b"\r\nauthorization: Basic bWU6cEBzcw==\r\n" in head_of(target, "GET", [], None)[0]
    given_one = head_of(target, "GET", [(b"authorization", b"Bearer k")], None)[0]
    assert given_one.count(b"authorization") == 1
    assert b"authorization: Bearer k\r\n" in given_one


@pytest.mark.parametrize("value", [b"a\r\nx: y", b"a\nb", b"a\rb", b"a\0b", b"\n", b"a\n\r"])
def test_a_header_with_a_line_break_is_refused_without_its_value(value: bytes) -> None:
    with pytest.raises(BadHeader) as raised:
        head_of(chat(), "POST", [(b"x-plain", b"1"), (b"authorization", b"secret" + value)], b"{}")
    assert "'authorization'" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"\xe9", b"a\0"])
def test_a_header_whose_name_is_none_is_refused(name: bytes) -> None:
    with pytest.raises(BadHeader):
        head_of(chat(), "POST", [(name, b"x")], b"{}")


@pytest.mark.parametrize("method", ["", "GET /x HTTP/1.1\r\nx:", "P OST", "P\xd6ST"])
def test_a_method_that_is_no_word_is_refused(method: str) -> None:
    with pytest.raises(BadTarget):
        head_of(chat(), method, [], None)


def test_headers_go_out_in_their_order_with_their_bytes() -> None:
    headers: Headers = [(b"x-a", b"1"), (b"x-odd", b"caf\xe9 \xc3\xa9"), (b"x-a", b"2"), (b"x-empty", b"")]
    head, length = head_of(chat(), "POST", headers, b"{}")
    expected = b"POST /v1/chat HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nx-odd: caf\xe9 \xc3\xa9\r\nx-a: 2\r\nx-empty: \r\ncontent-length: 2\r\n\r\n"
    assert (head, length) == (expected, 2)


@pytest.mark.parametrize("name", [b"host", b"connection", b"transfer-encoding", b"expect", b"upgrade", b"content-length"])
def test_what_frames_a_request_is_ours_alone(name: bytes) -> None:
    assert head_of(chat(), "POST", [(name, b"7")], b"{}") == head_of(chat(), "POST", [], b"{}")


@pytest.mark.parametrize(
    ("method", "body", "line"),
    [
        ("GET", None, None),
        ("HEAD", b"", None),
        ("DELETE", None, None),
        ("DELETE", b"{}", b"content-length: 2"),
        ("POST", None, b"content-length: 0"),
        ("POST", b"", b"content-length: 0"),
        ("PATCH", None, b"content-length: 0"),
        ("GET", b"{}", b"content-length: 2"),
    ],
)
def test_a_body_has_its_length(method: str, body: bytes | None, line: bytes | None) -> None:
    lines = head_of(chat(), method, [], body)[0].split(b"\r\n")[2:-2]
    assert lines == ([] if line is None else [line])


def test_a_body_that_streams_has_the_length_it_is_given_or_goes_in_chunks() -> None:
    head, length = head_of(chat(), "POST", [(b"content-length", b"7")], parts())
    assert (head.count(b"content-length: 7\r\n"), b"chunked" in head, length) == (1, False, 7)
    head, length = head_of(chat(), "POST", [], parts())
    assert (b"content-length" in head, head.count(b"transfer-encoding: chunked\r\n"), length) == (False, 1, None)
    with pytest.raises(BadHeader):
        head_of(chat(), "POST", [(b"content-length", b"-1")], parts())
