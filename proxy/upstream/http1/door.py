"""Sends a request and waits for the head of its reply. It must never send a request twice that may have been carried out."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import NamedTuple

from proxy.upstream.base import UpstreamRequest
from proxy.upstream.http1.body import AT_ONCE_BYTES, pour, pour_slices
from proxy.upstream.http1.connection import Connection
from proxy.upstream.http1.head import BadHeader, head_of
from proxy.upstream.http1.pool import Pool, Pools
from proxy.upstream.http1.reply import Http1Reply
from proxy.upstream.http1.target import BadTarget, Target, target_of
from proxy.upstream.silence import Patience, Silence, broke, too_slow, unreachable

REPEATABLE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))
"""Methods that may be sent again when a kept connection turns out to be closed (RFC 9110, 9.2.2)."""


class Way(NamedTuple):
    """An address, and the connections that lead there."""

    target: Target
    pool: Pool


class Http1Door:
    """HTTP/1.1 on connections of our own. tls: how certificates are checked."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        self._pools = Pools(tls)

    def way_to(self, url: str) -> Way:
        """How to reach an address. Raises UpstreamUnreachable where it is none."""
        try:
            target = target_of(url)
        except BadTarget as error:
            raise unreachable("this address", str(error)) from error
        return Way(target, self._pools.of(target.origin))

    async def send(self, request: UpstreamRequest, way: Way, patience: Patience) -> Http1Reply:
        """The reply's head. Raises UpstreamUnreachable or UpstreamTimeout."""
        silence = patience.silence()
        try:
            reply = await _answered(request, way, patience, silence)
        except asyncio.CancelledError:
            silence.over()
            if silence.absorb():
                raise too_slow(way.target.shown) from None
            raise
        except BaseException:
            silence.over()
            raise
        silence.heard()
        return reply

    async def close(self) -> None:
        """Ends all connections."""
        await self._pools.close()


async def _answered(request: UpstreamRequest, way: Way, patience: Patience, silence: Silence) -> Http1Reply:
    (target, pool), body = way, request.body
    try:
        head, length = head_of(target, request.method, request.headers, body)
    except (BadHeader, BadTarget) as error:
        raise unreachable(target.shown, str(error)) from error
    connection = pool.free()
    may_repeat = connection is not None and request.method in REPEATABLE and (body is None or isinstance(body, bytes))
    while True:
        if connection is None:
            connection = await _opened(pool, target, patience)
        reply = Http1Reply(request.method, target.shown, silence)
        _begin(connection, reply, head, length, body, silence)
        await _head(reply)
        if reply.status:
            return reply
        if not (may_repeat and reply.unheard):
            raise broke(target.shown, str(reply.trouble)) from reply.trouble
        connection, may_repeat = None, False


def _begin(
    connection: Connection, reply: Http1Reply, head: bytes, length: int | None, body: bytes | AsyncIterator[bytes] | None, silence: Silence
) -> None:
    """Sends what can be sent at once; the rest of a body goes beside waiting for the reply."""
    if body is None or (isinstance(body, bytes) and len(body) <= AT_ONCE_BYTES):
        connection.begin(reply, head, body)
        return
    connection.begin(reply, head, None)
    connection.upload(pour_slices(connection, body, silence) if isinstance(body, bytes) else pour(connection, body, length, silence))


async def _head(reply: Http1Reply) -> None:
    """Waits until the head is there, or will not come."""
    try:
        while not reply.status and reply.trouble is None:
            await reply.news()
    except BaseException:
        reply.close(broken=True)
        raise


async def _opened(pool: Pool, target: Target, patience: Patience) -> Connection:
    try:
        return await pool.open(patience.connect_s)
    except (OSError, UnicodeError) as error:
        raise unreachable(target.shown, type(error).__name__) from error
