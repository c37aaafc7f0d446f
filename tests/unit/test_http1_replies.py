"""A reply is the same however its bytes are cut; what is none is a break, never a guess, never a hang."""

import asyncio
from collections.abc import Awaitable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import UpstreamUnreachable
from proxy.upstream.base import Headers
from tests.unit.http1_harness import Bench, whole

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = CHUNKED + b'6;name="v;1"\r\nhello \r\n5\r\nworld\r\n0;last\r\nX-Trailer: 1\r\nx-more: 2\r\n\r\n'
CLOSE = b"HTTP/1.1 200 OK\r\nX-A: 1\r\nx-a:  2 \r\n\r\nuntil the end"

REPLIES: dict[str, tuple[bytes, tuple[int, Headers, bytes, bool, bool, bool]]] = {
    "length": (
        whole(b"body", b"X-A: 1", b"x-a: 2"),
        (200, [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"4")], b"body", True, False, True),
    ),
    "empty": (whole(b""), (200, [(b"content-length", b"0")], b"", True, False, True)),
    "chunks": (EVENTS, (200, [(b"transfer-encoding", b"chunked")], b"hello world", True, False, True)),
    "informed": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 P\r\n\r\n"
        + whole(b"b", status=b"429 Too Many"),
        (429, [(b"content-length", b"1")], b"b", True, False, True),
    ),
    "no content": (b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n", (204, [(b"content-length", b"5")], b"", True, False, True)),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\n\r\n", (304, [], b"", True, False, True)),
    "closing": (whole(b"b", b"Connection: close"), (200, [(b"connection", b"close"), (b"content-length", b"1")], b"b", True, False, False)),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nb", (200, [(b"content-length", b"1")], b"b", True, False, False)),
    "old, kept": (
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nb",
        (200, [(b"connection", b"keep-alive"), (b"content-length", b"1")], b"b", True, False, True),
    ),
    "no such status": (whole(b"b", status=b"999 Denied"), (599, [(b"content-length", b"1")], b"b", True, False, True)),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\nb", (200, [(b"content-length", b"1")], b"b", True, False, True)),
    "bare line feeds": (
        b"HTTP/1.1 200 OK\nx-a: 1\ncontent-length: 1\n\nb",
        (200, [(b"x-a", b"1"), (b"content-length", b"1")], b"b", True, False, True),
    ),
}


def played(raw: bytes, *cuts: int, method: str = "POST") -> Bench:
    bench = Bench(method)
    edges = [0, *sorted(cuts), len(raw)]
    bench.feed(*(raw[start:end] for start, end in pairwise(edges) if start < end))
    return bench


def in_loop(check: Awaitable[None]) -> None:
    async def run() -> None:
        await check

    asyncio.run(run())


@pytest.mark.parametrize("kind", REPLIES)
async def test_a_reply_is_the_same_wherever_it_is_cut(kind: str) -> None:
    raw, expected = REPLIES[kind]
    assert played(raw).outcome == expected
    for cut in range(1, len(raw)):
        assert played(raw, cut).outcome == expected, f"cut at {cut}"
    assert played(raw, *range(1, len(raw))).outcome == expected, "byte by byte"


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    for cut in range(1, len(CLOSE)):
        bench = played(CLOSE, cut)
        assert not bench.reply.is_whole
        bench.end()
        assert bench.outcome == (200, [(b"x-a", b"1"), (b"x-a", b"2 ")], b"until the end", True, False, False)


@pytest.mark.parametrize("kind", ["length", "chunks", "informed"])
async def test_an_end_before_the_end_is_a_break_at_every_byte(kind: str) -> None:
    raw, (_, _, body, *_) = REPLIES[kind]
    for cut in range(len(raw)):
        bench = played(raw[:cut])
        bench.end()
        assert bench.reply.trouble is not None, f"cut at {cut}"
        assert not bench.reply.is_whole
        assert bench.transport.is_aborted
        assert body.startswith(b"".join(bench.reply.parts))
        assert bench.reply.unheard is (cut == 0)


async def test_what_came_before_a_break_is_handed_out_first() -> None:
    bench = played(CHUNKED + b"5\r\nhello\r\n5\r\nwo")
    bench.end()
    chunks = bench.reply.chunks()
    assert await anext(chunks) == b"hellowo"
    with pytest.raises(UpstreamUnreachable) as raised:
        await anext(chunks)
    assert raised.value.code == "upstream_broke"


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"hello", "not HTTP"),
        (b"HTTP/1.1 20 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 000 OK\r\ncontent-length: 0\r\n\r\n", "status 0"),
        (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: x\r\n\r\nabc", "status 101"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "status 101"),
        (b"SSH-2.0-OpenSSH\r\n", "not HTTP"),
        (CHUNKED + b"zz\r\nab\r\n0\r\n\r\n", "not HTTP"),
        (CHUNKED + b"-1\r\n", "not HTTP"),
        (CHUNKED + b"fffffffffffffffffff\r\n", "not HTTP"),
        (CHUNKED + b"2\r\nabXX0\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nab", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nx-a: b\rc\r\n\r\n", "not HTTP"),
    ],
)
async def test_what_is_no_reply_is_a_break(raw: bytes, said: str) -> None:
    for bench in (played(raw), played(raw, *range(1, len(raw)))):
        assert said in str(bench.reply.trouble)
        assert bench.transport.is_aborted
        assert not bench.shelf.free


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nx-a: " + b"a" * 66_000 + b"\r\ncontent-length: 1\r\n\r\nb",
        b"HTTP/1.1 200 OK\r\n" + b"x-a: aaaa\r\n" * 7_000 + b"content-length: 1\r\n\r\nb",
        b"HTTP/1.1 200 " + b"a" * 66_000,
        b"HTTP/1.1 100 Continue\r\nx-a: aaaa\r\n\r\n" * 3_000,
    ],
    ids=["line", "lines", "reason", "informs"],
)
async def test_a_head_that_is_too_large_is_a_break(raw: bytes) -> None:
    at_once, in_parts = played(raw), played(raw, *range(1000, len(raw), 1000))
    assert "its head is larger than 64 KB" in str(in_parts.reply.trouble)
    assert "its head is larger than 64 KB" in str(at_once.reply.trouble)
    assert in_parts.transport.is_aborted
    assert at_once.transport.is_aborted


async def test_a_large_head_within_the_limit_is_read_even_with_a_large_body_behind_it() -> None:
    body = b"b" * 300_000
    raw = whole(body, b"x-a: " + b"a" * 60_000)
    assert played(raw).outcome[2] == body
    assert played(raw, 30_000, 61_000).outcome[2] == body


@pytest.mark.parametrize("junk", [b"5;" + b"e" * 70_000, b"0\r\n" + b"x-t: a\r\n" * 9_000, b"0\r\nx-t: " + b"a" * 70_000])
async def test_trailers_and_extensions_without_end_are_a_break(junk: bytes) -> None:
    raw = CHUNKED + b"5\r\nhello\r\n" + junk
    bench = played(raw, *range(200, len(raw), 1000))
    assert "larger than 64 KB" in str(bench.reply.trouble)
    assert bench.reply.parts == [b"hello"]


async def test_a_long_stream_of_small_chunks_is_no_waste() -> None:
    bench = played(CHUNKED)
    for _ in range(30_000):
        bench.feed(b"1;ext=1234\r\nx\r\n")
        bench.reply.parts.clear()
    bench.feed(b"0\r\n\r\n")
    assert bench.reply.is_whole


@pytest.mark.parametrize("method", ["HEAD"])
@pytest.mark.parametrize("raw", [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", CHUNKED, b"HTTP/1.1 200 OK\r\n\r\n"])
async def test_the_reply_to_head_ends_with_its_head(method: str, raw: bytes) -> None:
    bench = played(raw, method=method)
    assert bench.reply.status == 200
    assert bench.reply.ended
    assert bench.transport.is_aborted


@pytest.mark.parametrize("extra", [b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad", b"HTTP/1.1 2", b"\0"])
@pytest.mark.parametrize("together", [True, False])
async def test_what_comes_behind_a_reply_ends_the_connection_and_not_the_reply(extra: bytes, together: bool) -> None:
    raw = whole(b"good")
    bench = played(raw + extra) if together else played(raw + extra, len(raw))
    assert bench.outcome[:5] == (200, [(b"content-length", b"4")], b"good", True, False)
    assert bench.transport.is_aborted


async def test_a_kept_connection_carries_the_next_exchange() -> None:
    bench = Bench()
    for kind in ("length", "chunks", "informed", "no content", "empty", "chunks", "not modified", "length"):
        raw, expected = REPLIES[kind]
        bench.feed(raw)
        assert bench.outcome == expected
        assert bench.shelf.free.pop() is bench.connection
        bench.begin()


async def test_a_reply_that_overtakes_its_request_ends_the_connection() -> None:
    bench = Bench()
    bench.transport.unsent_bytes = 1
    bench.feed(whole(b"no", status=b"413 Content Too Large"))
    assert bench.outcome == (413, [(b"content-length", b"2")], b"no", True, False, False)
    assert bench.transport.is_aborted


async def test_a_slow_reader_makes_the_provider_wait() -> None:
    bench = played(CHUNKED)
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    while not bench.transport.pauses:
        bench.feed(chunk)
    assert 256 * 1024 < bench.reply.held_bytes <= 256 * 1024 + 65_536
    assert len(await anext(bench.reply.chunks())) > 256 * 1024
    assert bench.transport.pauses == [True, False]
    bench.feed(chunk, b"0\r\n\r\n")
    assert bench.reply.is_whole
    assert bench.transport.pauses == [True, False]


async def test_a_reply_that_is_closed_before_its_end_drops_the_connection() -> None:
    bench = played(CHUNKED + b"5\r\nhello\r\n")
    bench.reply.close()
    assert bench.transport.is_aborted
    bench.connection.data_received(b"5\r\nworld\r\n")
    bench.connection.connection_lost(None)
    assert bench.reply.parts == [b"hello"]


async def test_closing_a_whole_reply_leaves_the_next_exchange_alone() -> None:
    bench = played(whole(b"first"))
    first = bench.reply
    bench.begin()
    first.close(broken=True)
    bench.feed(whole(b"second"))
    assert not bench.transport.is_aborted
    assert await bench.reply.read() == b"second"
    assert await first.read() == b"first"


async def _random_cuts(kind: str, cuts: list[int]) -> None:
    raw, expected = REPLIES[kind]
    assert played(raw, *(cut % len(raw) for cut in cuts)).outcome == expected


@settings(deadline=None)
@given(st.sampled_from(sorted(REPLIES)), st.lists(st.integers(0, 2**16), max_size=12))
def test_any_cuts_give_the_same_reply(kind: str, cuts: list[int]) -> None:
    in_loop(_random_cuts(kind, cuts))


_PIECES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 C\r\n\r\n", b"HTTP/1.1 204 N\r\n\r\n", b"HTTP/1.0 500 x\r\n"),
        *(b"content-length: 3\r\n", b"transfer-encoding: chunked\r\n", b"connection: close\r\n", b"x-a: \xff\x00\r\n", b"upgrade: x\r\n"),
        *(b"\r\n", b"\n", b"\r", b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n"),
    ]
)


async def _any_bytes(pieces: list[bytes], method: str) -> None:
    bench = Bench(method)
    bench.feed(*pieces)
    bench.end()
    bench.connection.connection_lost(None)
    reply = bench.reply
    assert reply.is_whole or reply.trouble is not None, "the call would wait for ever"
    if reply.is_whole:
        assert reply.status >= 200
        assert await reply.read() is not None
    else:
        with pytest.raises(UpstreamUnreachable):
            await reply.read()


@settings(deadline=None, max_examples=300)
@given(st.lists(_PIECES | st.binary(max_size=20), max_size=14), st.sampled_from(["POST", "HEAD"]))
def test_any_bytes_come_to_an_end(pieces: list[bytes], method: str) -> None:
    in_loop(_any_bytes(pieces, method))
