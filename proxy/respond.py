"""Writes an answer's head the short way when the server lets us. It must never change a byte of what the long way would write.

The server checks each header's name and value by regular expressions: 30 us for the two dozen headers of an answer, a tenth of a
call. What leaves here was checked already, by the parser it came through or by us, so on the server that we know the bytes are
written to the connection at once. Behind any other server, or any wrapper, the ordinary ASGI messages are sent.
"""

from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from proxy.asgi import NO_BODY, send_whole
from proxy.upstream.base import Headers

AT_ONCE_BYTES = 64 * 1024
"""Bodies up to this length leave in one write with their head."""


async def respond_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """A whole answer with its length."""
    cycle = ready_cycle(send)
    if cycle is None or status in NO_BODY:
        await send_whole(send, status, headers, body)
        return
    cycle.chunked_encoding = False
    cycle.expected_content_length = 0
    head = _head(cycle, status, headers, b"content-length: %d\r\n" % len(body))
    if len(body) <= AT_ONCE_BYTES:
        cycle.transport.write(head + body)
    else:
        cycle.transport.write(head)
        cycle.transport.write(body)
    cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()


async def respond_head(send: Send, status: int, headers: Headers) -> None:
    """The head of an answer whose body follows as ASGI messages, in chunks."""
    cycle = ready_cycle(send)
    if cycle is None or status in NO_BODY:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        return
    cycle.chunked_encoding = True
    cycle.expected_content_length = 0
    cycle.transport.write(_head(cycle, status, headers, b"transfer-encoding: chunked\r\n"))


def ready_cycle(send: Send) -> RequestResponseCycle | None:
    """The server's own record of this answer, when nothing stands between it and us and it is ready to be written to."""
    cycle = getattr(send, "__self__", None)
    if type(cycle) is not RequestResponseCycle or cycle.default_headers:
        return None
    busy = cycle.response_started or cycle.disconnected or cycle.flow.write_paused
    return None if busy or cycle.scope["method"] == "HEAD" else cycle


def _head(cycle: RequestResponseCycle, status: int, headers: Headers, framing: bytes) -> bytes:
    """Status line and headers as bytes, in the order the server would write them; the answer counts as begun."""
    cycle.response_started = True
    cycle.waiting_for_100_continue = False
    parts = [STATUS_LINE[status]]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    if framing.startswith(b"content-length"):
        parts.append(framing)
    if not cycle.keep_alive:
        parts.append(b"connection: close\r\n")
    if not framing.startswith(b"content-length"):
        parts.append(framing)
    parts.append(b"\r\n")
    return b"".join(parts)
