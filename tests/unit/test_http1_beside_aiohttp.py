"""What a provider sends is read as aiohttp reads it, and where the environment names an HTTP proxy, aiohttp takes the call."""

import aiohttp
import pytest

from proxy.errors import UpstreamUnreachable
from proxy.http_client import open_session
from proxy.upstream.base import Headers, UpstreamRequest
from proxy.upstream.wire import WireUpstream
from tests.unit.http1_harness import Talk, ask, door, on_both_loops, provider, whole

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
SAME: dict[str, bytes] = {
    "length": whole(b"body", b"Server: x", b"set-cookie: a=1", b"Set-Cookie: b=2", b"x-odd: caf\xe9 \xc3\xa9"),
    "padded": whole(b"body", b"x-a:   1", b"x-b:"),
    "chunks": CHUNKED + b"4;x=y\r\nbody\r\n0\r\nx-trailer: 1\r\n\r\n",
    "spaces after a chunk's size": CHUNKED + b"4  \r\nbody\r\n0\r\n\r\n",
    "to the end": b"HTTP/1.1 200 OK\r\n\r\nbody",
    "to the end, old": b"HTTP/1.0 200 OK\r\n\r\nbody",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "informed": b"HTTP/1.1 100 Continue\r\n\r\n" + whole(b"body"),
    "an error": whole(b"body", status=b"503 Busy"),
    "compressed": whole(b"\x1f\x8b not really", b"content-encoding: gzip"),
    "a redirect": whole(b"", b"location: http://nowhere.invalid/", status=b"302 Found"),
    "folded": b"HTTP/1.1 200 OK\r\nx-a: 1\r\n  2\r\ncontent-length: 4\r\n\r\nbody",
    "bare line feeds": b"HTTP/1.1 200 OK\nx-a: 1\ncontent-length: 4\n\nbody",
    "no reason": b"HTTP/1.1 200\r\ncontent-length: 4\r\n\r\nbody",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\nbody",
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n",
    "cut": whole(b"body")[:-1],
    "cut chunks": CHUNKED + b"4\r\nbo",
    "cut before the last chunk": CHUNKED + b"4\r\nbody\r\n",
    "cut head": b"HTTP/1.1 200 OK\r\nx-a",
    "nothing": b"",
    "no http": b"hello there\r\n\r\n",
    "bad size": CHUNKED + b"four\r\nbody\r\n0\r\n\r\n",
}


async def _as_aiohttp_reads(url: str) -> tuple[int, Headers, bytes] | None:
    session = open_session()
    try:
        async with session.post(url, data=b"{}", allow_redirects=False) as reply:
            return reply.status, [(name.lower(), value) for name, value in reply.raw_headers], await reply.read()
    except aiohttp.ClientError:
        return None
    finally:
        await session.close()


@on_both_loops
@pytest.mark.parametrize("kind", SAME)
async def test_replies_are_read_as_aiohttp_reads_them(kind: str) -> None:
    async def says(talk: Talk) -> None:
        await talk.request()
        await talk.send(SAME[kind])

    async with provider(says) as theirs, door() as made:
        expected = await _as_aiohttp_reads(theirs.url)
        if expected is None:
            with pytest.raises(UpstreamUnreachable, match="cut the answer"):
                await (await ask(made, theirs.url)).read()
        else:
            reply = await ask(made, theirs.url)
            assert (reply.status, reply.headers, await reply.read()) == expected


def _request(url: str) -> UpstreamRequest:
    return UpstreamRequest(method="POST", url=url, path="/v1/x", headers=[(b"x-a", b"1")], body=b"{}")


@on_both_loops
async def test_where_the_environment_names_a_proxy_the_call_goes_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def forwarding(talk: Talk) -> None:
        theirs.requests.append(await talk.request())
        await talk.send(whole(b"by proxy"))
        await talk.until_left()

    async def direct(talk: Talk) -> None:
        await talk.request()
        await talk.send(whole(b"direct"))
        await talk.until_left()

    async with provider(forwarding) as theirs, provider(direct) as near:
        monkeypatch.setenv("http_proxy", theirs.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        session = open_session()
        made = WireUpstream(session)
        for url, answer in (("http://provider.example/v1/x?y=1", b"by proxy"), (near.url, b"direct")):
            reply = await made.send(_request(url))
            assert await reply.read() == answer
            assert reply.ended
            reply.close()
        await made.close()
        await session.close()
        (request,) = theirs.requests
        assert request.startswith(b"POST http://provider.example/v1/x?y=1 HTTP/1.1\r\n")
        assert b"x-a: 1\r\n" in request
        assert len(near.talks) == 1


@on_both_loops
@pytest.mark.parametrize("by_proxy", [False, True])
async def test_both_ways_say_alike_what_went_wrong(monkeypatch: pytest.MonkeyPatch, by_proxy: bool) -> None:
    async def cuts(talk: Talk) -> None:
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")

    session = open_session()
    made = WireUpstream(session)
    async with provider(cuts) as theirs:
        if by_proxy:
            monkeypatch.setenv("http_proxy", theirs.url)
            monkeypatch.setenv("no_proxy", "")
        reply = await made.send(_request("http://provider.invalid/" if by_proxy else theirs.url))
        assert type(reply).__name__ == ("ProxiedReply" if by_proxy else "Http1Reply")
        chunks = reply.chunks()
        assert await anext(chunks) == b"half"
        with pytest.raises(UpstreamUnreachable) as raised:
            await anext(chunks)
        assert raised.value.code == "upstream_broke"
        reply.close(broken=True)
    await made.close()
    await session.close()
