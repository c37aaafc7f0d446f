"""The short way of writing an answer against the ordinary one: on the wire nobody can tell them apart."""

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from proxy.respond import ready_cycle, respond_head, respond_whole
from tests.serving import serve

HEADERS = [(b"content-type", b"application/json"), (b"x-request-id", b"r-1"), (b"x-grammage-gco2e", b"0.01"), (b"x-request-id", b"r-2")]
BODIES = {"/small": b'{"a": 1}', "/empty": b"", "/large": b"x" * 300_000}
STATUS = {"/refused": 429}


async def answer(scope: Scope, send: Send) -> None:
    path = scope["path"]
    if path == "/stream":
        await respond_head(send, 200, HEADERS)
        for part in (b"data: a\n\n", b"data: b\n\n"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    else:
        await respond_whole(send, STATUS.get(path, 200), HEADERS, BODIES.get(path, b"{}"))


async def short(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    assert ready_cycle(send) is not None, "the server does not let us write"
    await answer(scope, send)


async def ordinary(scope: Scope, receive: Receive, send: Send) -> None:
    async def wrapped(message: Any) -> None:
        await send(message)

    await receive()
    assert ready_cycle(wrapped) is None
    await answer(scope, wrapped)


def raw(base_url: str, request: bytes) -> bytes:
    """All bytes that come back until the server closes."""
    parts = urlsplit(base_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=10) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.fixture(scope="module", name="servers")
def _servers() -> Iterator[tuple[str, str]]:
    with serve(short, lifespan="off", bare=True) as one, serve(ordinary, lifespan="off", bare=True) as other:
        yield one, other


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("path", [*BODIES, "/refused", "/stream"])
def test_both_ways_write_the_same_bytes(servers: tuple[str, str], path: str, version: bytes) -> None:
    request = b"POST %s HTTP/%s\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}" % (path.encode(), version)
    one, other = (raw(server, request) for server in servers)
    assert one == other
    assert b"x-grammage-gco2e: 0.01" in one


@pytest.mark.parametrize("path", [*BODIES, "/refused", "/stream"])
def test_a_kept_connection_serves_the_next_call_after_the_short_way(servers: tuple[str, str], path: str) -> None:
    first = b"POST %s HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}" % path.encode()
    last = b"POST /small HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    one, other = (raw(server, first + first + last) for server in servers)
    assert one == other
    assert one.count(b"HTTP/1.1 ") == 3
