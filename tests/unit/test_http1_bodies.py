"""Bodies over real sockets, on both event loops: any size, both ways, at the pace of who is slower, never half of one for a whole."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from proxy.errors import UpstreamUnreachable
from tests.unit.http1_harness import Talk, ask, door, obliging, on_both_loops, pool_of, provider, turns, whole

MIB = 1024 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
STILL_TURNS = 300


async def at_rest(count: Callable[[], int]) -> None:
    """Waits until something has been counted, and no more is."""
    still, before = 0, 0
    while still < STILL_TURNS:
        await turns(1)
        still = still + 1 if before == count() > 0 else 0
        before = count()


@on_both_loops
@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 200_000, MIB, MIB + 1, 5 * MIB])
async def test_bodies_of_any_size_arrive(size: int) -> None:
    async with provider(obliging) as theirs, door() as made:
        for _ in range(2):
            reply = await ask(made, theirs.url, body=b"x" * size)
            body = await reply.read()
            assert body.count(b"content-length: %d\r\n" % size) == 1
            assert body.partition(b"\r\n\r\n")[2] == b"x" * size
        assert len(theirs.talks) == 1


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        await turns(2)
        yield part


@on_both_loops
async def test_a_body_that_streams_goes_in_chunks_or_by_its_length() -> None:
    async with provider(obliging) as theirs, door() as made:
        chunked = await (await ask(made, theirs.url, body=pieces(b"ab", b"", b"c" * 20))).read()
        assert chunked.partition(b"\r\n\r\n")[2] == b"2\r\nab\r\n14\r\n" + b"c" * 20 + b"\r\n0\r\n\r\n"
        plain = await (await ask(made, theirs.url, body=pieces(b"ab", b"c"), headers=[(b"content-length", b"3")])).read()
        assert plain.endswith(b"content-length: 3\r\n\r\nabc")
        assert len(theirs.talks) == 1


@on_both_loops
@pytest.mark.parametrize("length", [b"2", b"4"])
async def test_a_body_of_another_length_than_announced_is_no_request(length: bytes) -> None:
    async def patient(talk: Talk) -> None:
        await talk.until_left()

    async with provider(patient) as theirs, door() as made:
        with pytest.raises(UpstreamUnreachable) as raised:
            await ask(made, theirs.url, body=pieces(b"ab", b"c"), headers=[(b"content-length", length)])
        assert raised.value.code == "upstream_broke"
        assert "than announced" in raised.value.message
        assert not pool_of(made, theirs.url)._idle


@on_both_loops
async def test_a_body_that_breaks_off_breaks_the_exchange_and_is_closed() -> None:
    closed = []

    async def broken() -> AsyncIterator[bytes]:
        try:
            yield b"ab"
            raise KeyError("secret")
        finally:
            closed.append(True)

    async with provider(obliging) as theirs, door() as made:
        with pytest.raises(UpstreamUnreachable) as raised:
            await ask(made, theirs.url, body=broken())
        assert raised.value.code == "upstream_broke"
        assert "secret" not in raised.value.message
        await theirs.left.wait()
    assert closed == [True]


@on_both_loops
async def test_an_answer_before_the_body_has_left_is_the_answer_and_ends_the_connection() -> None:
    ended = asyncio.Event()

    async def refusing(talk: Talk) -> None:
        await talk.head()
        await talk.send(whole(b"too large", status=b"413 Content Too Large"))
        await talk.until_left()
        theirs.left.set()

    async def endless() -> AsyncIterator[bytes]:
        try:
            yield b"x" * 1000
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with provider(refusing) as theirs, door() as made:
        reply = await ask(made, theirs.url, body=endless())
        assert (reply.status, await reply.read()) == (413, b"too large")
        assert not pool_of(made, theirs.url)._idle
        reply.close()
        await ended.wait()
        await theirs.left.wait()


@on_both_loops
async def test_a_connection_with_a_body_still_on_its_way_is_not_kept() -> None:
    async def refusing(talk: Talk) -> None:
        await talk.head()
        talk.stop_reading()
        await talk.send(whole(b"no", status=b"400 Bad Request"))
        await over.wait()

    over = asyncio.Event()
    async with provider(refusing) as theirs, door() as made:
        pool = pool_of(made, theirs.url)
        reply = await ask(made, theirs.url, body=b"x" * (30 * MIB))
        assert (reply.status, await reply.read()) == (400, b"no")
        assert not pool._idle
        assert not reply.trouble
        over.set()


@on_both_loops
async def test_a_body_that_waits_for_a_provider_is_closed_when_the_call_ends() -> None:
    async def slow(talk: Talk) -> None:
        await talk.head()
        talk.stop_reading()
        await over.wait()

    asked, closed, over = 0, asyncio.Event(), asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal asked
        try:
            while True:
                asked += 1
                yield b"x" * 65_000
        finally:
            closed.set()

    async with provider(slow) as theirs, door() as made:
        asking = asyncio.ensure_future(ask(made, theirs.url, body=endless()))
        await at_rest(lambda: asked)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await turns(3)
        assert closed.is_set()
        over.set()


@on_both_loops
async def test_both_ways_may_stream_at_once() -> None:
    async def echo(talk: Talk) -> None:
        await talk.head()
        await talk.send(CHUNKED)
        for _ in range(3):
            await talk.send(await talk.reader.readuntil(b"part\r\n"))
        assert await talk.reader.readuntil(b"0\r\n\r\n") == b"0\r\n\r\n"
        await talk.send(b"0\r\n\r\n")
        await talk.until_left()

    heard = asyncio.Queue[None]()

    async def turn_by_turn() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"part"
            await heard.get()

    async with provider(echo) as theirs, door() as made:
        reply = await ask(made, theirs.url, body=turn_by_turn())
        got = []
        async for chunk in reply.chunks():
            got.append(chunk)
            heard.put_nowait(None)
        assert got == [b"part"] * 3
        assert reply.ended


@on_both_loops
async def test_a_provider_that_does_not_read_makes_the_body_wait() -> None:
    asked = 0
    reads = asyncio.Event()

    async def slow(talk: Talk) -> None:
        await talk.head()
        talk.stop_reading()
        await reads.wait()
        talk.go_on_reading()
        await talk.reader.readuntil(b"0\r\n\r\n")
        await talk.send(whole(b"ok"))

    async def many() -> AsyncIterator[bytes]:
        nonlocal asked
        for _ in range(400):
            asked += 1
            yield b"x" * 65_000

    async with provider(slow) as theirs, door() as made:
        asking = asyncio.ensure_future(ask(made, theirs.url, body=many()))
        await at_rest(lambda: asked)
        assert asked < 400
        reads.set()
        assert await (await asking).read() == b"ok"
        assert asked == 400


@on_both_loops
async def test_a_reader_that_is_slow_makes_the_provider_wait() -> None:
    sent = 0
    chunk = b"x" * 65_536

    async def generous(talk: Talk) -> None:
        nonlocal sent
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(chunk) * 500))
        for _ in range(500):
            await talk.send(chunk)
            sent += 1

    async with provider(generous) as theirs, door() as made:
        reply = await ask(made, theirs.url)
        await at_rest(lambda: sent)
        assert sent < 500
        assert reply.held_bytes <= 1024 * 1024
        assert len(await reply.read()) == len(chunk) * 500
