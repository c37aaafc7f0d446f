"""Exchanges over real sockets, on both event loops: connections are kept, dropped, made to wait and given up as they should be."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from config.deployment import Timeouts
from proxy.errors import UpstreamTimeout, UpstreamUnreachable
from tests.serving import free_port
from tests.unit.http1_harness import Talk, ask, door, obliging, on_both_loops, pool_of, provider, turns, whole

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@on_both_loops
async def test_connections_are_kept_and_used_again() -> None:
    async with provider(obliging) as theirs, door() as made:
        for number in range(5):
            reply = await ask(made, f"{theirs.url}/v1/{number}", body=b"x" * number)
            body = await reply.read()
            assert reply.ended
            reply.close()
            assert body.startswith(b"POST /v1/%d HTTP/1.1\r\nhost: 127.0.0.1" % number)
            assert body.endswith(b"\r\n\r\n" + b"x" * number)
        assert len(theirs.talks) == 1


@on_both_loops
async def test_calls_at_once_have_a_connection_each() -> None:
    async with provider(obliging) as theirs, door() as made:
        replies = await asyncio.gather(*(ask(made, theirs.url) for _ in range(50)))
        assert len({await reply.read() for reply in replies}) == 1
        assert len(theirs.talks) == 50
        again = await asyncio.gather(*(ask(made, theirs.url) for _ in range(50)))
        assert len(again) == len(theirs.talks) == 50


@on_both_loops
@pytest.mark.parametrize("headers", [(b"connection: close",), (b"Connection: Close",), ()])
async def test_a_provider_that_closes_is_not_asked_on_the_same_connection(headers: tuple[bytes, ...]) -> None:
    async def once(talk: Talk) -> None:
        await talk.request()
        version = whole(b"ok", *headers) if headers else whole(b"ok").replace(b"HTTP/1.1", b"HTTP/1.0")
        await talk.send(version)
        await talk.until_left()

    async with provider(once) as theirs, door() as made:
        for _ in range(3):
            assert await (await ask(made, theirs.url)).read() == b"ok"
        assert len(theirs.talks) == 3


@on_both_loops
async def test_what_comes_on_a_free_connection_ends_it() -> None:
    async def talkative(talk: Talk) -> None:
        await talk.request()
        await talk.send(whole(b"ok"))
        await talk.send(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await talk.until_left()

    async with provider(talkative) as theirs, door() as made:
        for _ in range(3):
            reply = await ask(made, theirs.url)
            assert (reply.status, await reply.read()) == (200, b"ok")
            while pool_of(made, theirs.url)._idle:
                await turns(1)
        assert len(theirs.talks) == 3


@on_both_loops
async def test_a_connection_that_ended_unseen_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end has reached the machine but not the loop: a look at the socket shows it."""

    async def once(talk: Talk) -> None:
        await talk.send(whole(await talk.request()))
        await asyncio.to_thread(lambda: None)

    monkeypatch.setattr("proxy.upstream.http1.pool.LOOKED_AT_S", 0.0)
    async with provider(once) as theirs, door() as made:
        await (await ask(made, theirs.url)).read()
        pool = pool_of(made, theirs.url)
        (kept,) = pool._idle
        assert kept._transport is not None
        kept._transport.pause_reading()  # the loop does not look at it any more
        while not kept.has_news():
            await turns(1)
        assert kept.is_open
        assert await (await ask(made, theirs.url)).read()
        assert len(theirs.talks) == 2


@on_both_loops
@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)])
async def test_only_what_may_be_done_twice_is_sent_twice(method: str, times: int) -> None:
    """A kept connection ends just as the second request arrives: nobody knows whether it was carried out."""
    seen: list[bytes] = []

    async def ends_at_the_second(talk: Talk) -> None:
        seen.append(await talk.request())
        await talk.send(whole(b"ok"))
        if talk.number == 0:
            seen.append(await talk.request())
            return
        await talk.until_left()

    async with provider(ends_at_the_second) as theirs, door() as made:
        assert await (await ask(made, theirs.url, method=method, body=None)).read() == b"ok"
        second = ask(made, theirs.url, method=method, body=None)
        if times == 2:
            assert await (await second).read() == b"ok"
        else:
            with pytest.raises(UpstreamUnreachable) as raised:
                await second
            assert raised.value.code == "upstream_broke"
        assert len(seen) == 1 + times


@on_both_loops
async def test_what_fails_on_a_new_connection_is_not_sent_again() -> None:
    async def ends(talk: Talk) -> None:
        await talk.request()

    async with provider(ends) as theirs, door() as made:
        with pytest.raises(UpstreamUnreachable) as raised:
            await ask(made, theirs.url, method="GET", body=None)
        assert raised.value.code == "upstream_broke"
        assert "before its head" in raised.value.message
        assert len(theirs.talks) == 1


@on_both_loops
@pytest.mark.parametrize("rude", [False, True])
async def test_what_came_before_a_break_is_the_callers(rude: bool) -> None:
    async def breaks(talk: Talk) -> None:
        await talk.request()
        await talk.send(CHUNKED, b"5\r\nhello\r\n")
        if rude:
            talk.reset()

    async with provider(breaks) as theirs, door() as made:
        reply = await ask(made, theirs.url)
        chunks, got = reply.chunks(), b""
        while got != b"hello":
            got += await anext(chunks)
        with pytest.raises(UpstreamUnreachable) as raised:
            await anext(chunks)
        assert (raised.value.code, reply.ended) == ("upstream_broke", False)
        reply.close(broken=True)


@on_both_loops
async def test_a_body_that_ends_with_its_connection_is_whole_but_not_when_it_is_reset() -> None:
    async def closes(talk: Talk) -> None:
        rude = b"rude" in await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\n\r\n", b"some ", b"text")
        if rude:
            await theirs_read.wait()
            talk.reset()

    theirs_read = asyncio.Event()
    async with provider(closes) as theirs, door() as made:
        assert await (await ask(made, theirs.url)).read() == b"some text"
        reply = await ask(made, f"{theirs.url}/rude")
        chunks = reply.chunks()
        got = b""
        while got != b"some text":
            got += await anext(chunks)
        theirs_read.set()
        with pytest.raises(UpstreamUnreachable):
            await anext(chunks)


@on_both_loops
@pytest.mark.parametrize("stage", ["connecting", "head", "upload", "body"])
async def test_a_cancelled_call_drops_its_connection(stage: str) -> None:
    reached = asyncio.Event()

    async def stops(talk: Talk) -> None:
        await talk.head()
        if stage == "body":
            await talk.send(CHUNKED, b"1\r\nx\r\n")
        if stage != "upload":
            reached.set()
        await talk.until_left()
        theirs.left.set()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"x"
        reached.set()
        await asyncio.Event().wait()

    async def call() -> None:
        reply = await ask(made, theirs.url, body=stuck() if stage == "upload" else b"{}")
        try:
            async for _ in reply.chunks():
                pass
        except asyncio.CancelledError:
            reply.close(broken=True)
            raise

    async with provider(stops) as theirs, door() as made:
        calling = asyncio.ensure_future(call())
        if stage == "connecting":
            await turns(1)
        else:
            await reached.wait()
            await turns(20)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        if stage != "connecting":
            await theirs.left.wait()
        await turns(5)
        assert not made._pools.opened


@on_both_loops
async def test_a_cancellation_that_comes_with_the_answer_does_not_touch_the_next_call() -> None:
    gate = asyncio.Event()

    async def waits(talk: Talk) -> None:
        while True:
            request = await talk.request()
            if b"/second" in request:
                gate.set()
            await talk.send(whole(request))

    async with provider(waits) as theirs, door() as made:
        first = asyncio.ensure_future(ask(made, f"{theirs.url}/first"))
        pool = pool_of(made, f"{theirs.url}/first")
        while not pool._idle:
            await turns(1)
        second = asyncio.ensure_future(ask(made, f"{theirs.url}/second"))
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        assert b"/second" in await (await second).read()


@on_both_loops
async def test_a_connection_that_lives_too_long_unused_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.upstream.http1.pool.KEEP_ALIVE_S", 0.02)
    monkeypatch.setattr("proxy.upstream.http1.pool.SWEEP_S", 0.02)
    async with provider(obliging) as theirs, door() as made:
        await (await ask(made, theirs.url)).read()
        await theirs.left.wait()
        assert not made._pools.opened
        assert made._pools._timer is None or not pool_of(made, theirs.url)._idle
        await (await ask(made, theirs.url)).read()
        assert len(theirs.talks) == 2


@on_both_loops
async def test_a_connection_that_lived_too_long_unused_is_not_used_though_nobody_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.upstream.http1.pool.KEEP_ALIVE_S", 0.0)
    async with provider(obliging) as theirs, door() as made:
        for _ in range(3):
            await (await ask(made, theirs.url)).read()
        assert len(theirs.talks) == 3


@on_both_loops
async def test_nobody_there_and_no_such_name_are_unreachable() -> None:
    async with door() as made:
        for url in (f"http://127.0.0.1:{free_port()}", "http://nobody.invalid", "http://" + "a" * 70 + ".invalid"):
            with pytest.raises(UpstreamUnreachable) as raised:
                await ask(made, url)
            assert raised.value.code == "upstream_unreachable"


@on_both_loops
async def test_an_address_or_a_header_that_cannot_be_sent_never_leaves() -> None:
    async with provider(obliging) as theirs, door() as made:
        for url, headers in (("ftp://x/", []), ("http://x/a b", []), (theirs.url, [(b"authorization", b"Bearer secret\r\n")])):
            with pytest.raises(UpstreamUnreachable) as raised:
                await ask(made, url, headers=headers)
            assert raised.value.code == "upstream_unreachable"
            assert "secret" not in raised.value.message
        assert not theirs.talks


@on_both_loops
async def test_a_provider_that_is_silent_is_given_up_with_its_connection() -> None:
    async def mute(talk: Talk) -> None:
        await talk.request()
        await talk.until_left()
        theirs.left.set()

    async with provider(mute) as theirs, door() as made:
        with pytest.raises(UpstreamTimeout):
            await ask(made, theirs.url, timeouts=Timeouts(silence_s=0.05))
        await theirs.left.wait()
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


@on_both_loops
async def test_names_are_asked_for_once_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    loop = asyncio.get_running_loop()
    async with provider(obliging) as theirs, door() as made:
        port = int(theirs.url.rpartition(":")[2])
        found = await loop.getaddrinfo("127.0.0.1", port, type=1)

        async def getaddrinfo(host: str, at: int) -> list[object]:
            asked.append(host)
            await turns(3)
            return list(found)

        monkeypatch.setattr("proxy.upstream.http1.names._looked_up", getaddrinfo)
        url = f"http://provider.example:{port}"
        await asyncio.gather(*(ask(made, url) for _ in range(20)))
        assert asked == ["provider.example"]
        assert len(theirs.talks) == 20
