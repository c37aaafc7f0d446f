"""A provider that says nothing for too long is given up with 504; one that speaks now and then never is."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from config.deployment import Timeouts
from proxy.errors import UpstreamTimeout, UpstreamUnreachable
from proxy.http_client import open_session
from proxy.upstream.base import UpstreamRequest
from proxy.upstream.wire import WireUpstream
from tests.serving import free_port, serve

PATIENCE_S = 0.3
HEAD = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def mute(receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def mute_after_the_head(receive: Receive, send: Send) -> None:
    await send(HEAD)
    await send(part(b"a"))
    await mute(receive, send)


async def slow_and_steady(receive: Receive, send: Send) -> None:
    await send(HEAD)
    for _ in range(8):
        await asyncio.wait([asyncio.ensure_future(receive())], timeout=PATIENCE_S / 2)
        await send(part(b"x"))
    await send(part(b"", more=False))


KINDS: dict[str, Callable[[Receive, Send], Awaitable[None]]] = {
    "/v1/mute": mute, "/v1/mute_after_the_head": mute_after_the_head, "/v1/slow_and_steady": slow_and_steady,
}  # fmt: skip


async def provider(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await KINDS[scope["path"]](receive, send)


Made = Callable[..., WireUpstream]


@pytest.fixture(name="door")
async def _door() -> AsyncIterator[Made]:
    """Makes the door to providers, ended with the test."""
    session, made = open_session(), []

    def make(silence_s: float = 60) -> WireUpstream:
        made.append(WireUpstream(session, silence_s=silence_s))
        return made[-1]

    yield make
    for door in made:
        await door.close()
    await session.close()


def ask(url: str, kind: str) -> UpstreamRequest:
    return UpstreamRequest(method="POST", url=f"{url}/v1/{kind}", path=f"/v1/{kind}", headers=[], body=b"{}")


async def test_silence_before_the_head_is_a_timeout(door: Made) -> None:
    with serve(provider, lifespan="off") as url, pytest.raises(UpstreamTimeout) as raised:
        await door(PATIENCE_S).send(ask(url, "mute"))
    assert (raised.value.status, raised.value.code) == (504, "upstream_timeout")
    assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]  # a test runs in a task


@pytest.mark.parametrize("whole", [True, False])
async def test_silence_within_the_body_is_a_timeout(door: Made, whole: bool) -> None:
    with serve(provider, lifespan="off") as url:
        reply = await door(PATIENCE_S).send(ask(url, "mute_after_the_head"))
        with pytest.raises(UpstreamTimeout):
            await (reply.read() if whole else anext(chunk async for chunk in reply.chunks() if chunk != b"a"))
        reply.close(broken=True)
    assert not asyncio.current_task().cancelling()  # type: ignore[union-attr]  # a test runs in a task


@pytest.mark.parametrize("whole", [True, False])
async def test_who_speaks_now_and_then_is_heard_to_the_end(door: Made, whole: bool) -> None:
    with serve(provider, lifespan="off") as url:
        reply = await door(PATIENCE_S).send(ask(url, "slow_and_steady"))
        heard = await reply.read() if whole else b"".join([chunk async for chunk in reply.chunks()])
        reply.close()
    assert heard == b"x" * 8


async def test_a_cancellation_from_outside_is_not_taken_for_silence(door: Made) -> None:
    with serve(provider, lifespan="off") as url:
        sending = asyncio.ensure_future(door().send(ask(url, "mute")))
        await asyncio.wait([sending], timeout=0.1)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_a_request_may_bring_its_own_patience(door: Made) -> None:
    request = replace(ask("", "mute"), timeouts=Timeouts(silence_s=PATIENCE_S))
    with serve(provider, lifespan="off") as url, pytest.raises(UpstreamTimeout):
        await door().send(replace(request, url=f"{url}/v1/mute"))


async def test_who_takes_the_connection_and_never_shakes_hands_is_unreachable(door: Made) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(UpstreamUnreachable) as raised:
            await door().send(replace(ask(url, "mute"), timeouts=Timeouts(connect_s=0.2)))
    assert raised.value.code == "upstream_unreachable"
    assert time.monotonic() - started < 5


async def test_nobody_there_is_unreachable(door: Made) -> None:
    with pytest.raises(UpstreamUnreachable) as raised:
        await door().send(ask(f"http://127.0.0.1:{free_port()}", "mute"))
    assert raised.value.code == "upstream_unreachable"
