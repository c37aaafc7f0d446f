"""Writes a request's body, part by part. It must never send more, or call less the whole, than was announced."""

from collections.abc import AsyncIterator

from proxy.upstream.http1.connection import Connection
from proxy.upstream.http1.reply import Trouble
from proxy.upstream.silence import Silence

AT_ONCE_BYTES = 1024 * 1024
SLICE_BYTES = 256 * 1024


async def pour_slices(connection: Connection, body: bytes, silence: Silence) -> None:
    """A large body in pieces, so that other calls go on between them."""
    view = memoryview(body)
    for at in range(0, len(body), SLICE_BYTES):
        silence.heard()
        await connection.write((view[at : at + SLICE_BYTES],))


async def pour(connection: Connection, body: AsyncIterator[bytes], length: int | None, silence: Silence) -> None:
    """A body that streams through; while it does, nobody expects the provider to speak. length: None sends it in chunks. Raises Trouble."""
    sent = 0
    try:
        async for part in body:
            silence.heard()
            sent += len(part)
            if length is None:
                if part:
                    await connection.write((b"%x\r\n" % len(part), part, b"\r\n"))
            elif sent > length:
                raise Trouble("the request's body is longer than announced")
            else:
                await connection.write((part,))
        if length is None:
            await connection.write((b"0\r\n\r\n",))
        elif sent < length:
            raise Trouble("the request's body is shorter than announced")
    finally:
        close = getattr(body, "aclose", None)
        if close is not None:
            await close()
