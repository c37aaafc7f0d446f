"""One connection to a provider, one exchange at a time. It must never carry a second one when the first left anything behind."""

import asyncio
import select
from collections.abc import Coroutine, Sequence
from enum import Enum
from typing import Any, Protocol, cast

import httptools

from proxy.upstream.base import Headers, status_of
from proxy.upstream.http1.reply import READ_BUFFER_BYTES, Http1Reply, Trouble

MOST_HEAD_BYTES = 64 * 1024
"""Of a reply's head with all that comes before it, and of whatever brings no body after it (trailers, extensions of chunks)."""

JOINED_BYTES = 16 * 1024
"""A body up to this size is copied behind its head: one write."""

INFORMATIONAL = range(100, 200)
SWITCHING = 101


class Stage(Enum):
    """How far the reply has come."""

    HEAD = 0
    BODY = 1
    OVER = 2


HEAD, BODY, OVER = Stage.HEAD, Stage.BODY, Stage.OVER


class Home(Protocol):
    """Where a connection belongs between two exchanges."""

    def take_back(self, connection: "Connection") -> None:
        """It is free, and can be used again."""

    def gone(self, connection: "Connection") -> None:
        """It is closed."""


class Connection(asyncio.Protocol):
    """Reads replies with llhttp, as lenient as widespread clients are. idle_since: in the loop's time, while it is free."""

    __slots__ = (
        "_barren_bytes",
        "_drained",
        "_headers",
        "_home",
        "_informs",
        "_keeps",
        "_parser",
        "_paused",
        "_refusal",
        "_reply",
        "_stage",
        "_transport",
        "_upload",
        "idle_since",
    )

    def __init__(self, home: Home) -> None:
        self._home = home
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )
        self._transport: asyncio.Transport | None = None
        self._reply: Http1Reply | None = None
        self._stage = OVER
        self._headers: Headers = []
        self._barren_bytes = 0
        self._informs = self._keeps = self._paused = False
        self._refusal: str | None = None
        self._upload: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self.idle_since = 0.0

    # What the door does.

    @property
    def is_open(self) -> bool:
        """False once it is closed, or about to be."""
        return self._transport is not None and not self._transport.is_closing()

    def has_news(self) -> bool:
        """True when the other side has sent, or ended, what the loop has not looked at yet. For a free connection that is a bad sign."""
        if self._transport is None:
            return True
        watch = select.poll()
        watch.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(watch.poll(0))

    def begin(self, reply: Http1Reply, head: bytes, body: bytes | None) -> None:
        """Sends a request; the reply is told what comes. More of the body may follow by `upload`."""
        transport = self._transport
        if transport is None or transport.is_closing():
            reply.fail(Trouble("the connection was closed before anything was sent"), unheard=True)
            return
        self._reply, self._stage = reply, HEAD
        self._barren_bytes = 0
        self._headers = []
        reply.comes_by(self)
        if not body:
            transport.write(head)
        elif len(body) <= JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))

    def upload(self, pouring: Coroutine[Any, Any, None]) -> None:
        """Sends the body beside waiting for the reply, which may come first."""
        upload = self._upload = asyncio.get_running_loop().create_task(pouring)
        upload.add_done_callback(self._uploaded)

    async def write(self, parts: Sequence[bytes | memoryview]) -> None:
        """Sends parts of a body; waits while the other side does not take them. Raises Trouble."""
        if self._transport is None or self._transport.is_closing():
            raise Trouble("the connection was closed before the request was whole")
        self._transport.writelines(parts)
        while (drained := self._drained) is not None:
            await drained

    def resume(self) -> None:
        """The reader has caught up."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def drop(self) -> None:
        """Ends it at once; an exchange under way is given up."""
        self._reply, self._stage = None, OVER
        if self._upload is not None:
            self._upload.cancel()
        if self._transport is not None:
            self._transport.abort()

    # What the transport says.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transport is one in all but name

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by whomever."""
        self._end(exc)
        self._transport = None
        self.resume_writing()
        self._home.gone(self)

    def eof_received(self) -> None:
        """The other side has said all; the transport closes itself."""
        self._end(None)

    def pause_writing(self) -> None:
        """The other side does not take what we send."""
        if self._drained is None:
            self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """It takes it again."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Parses what came; what nobody asked for ends the connection."""
        reply = self._reply
        if reply is None:
            self.drop()
            return
        self._barren_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keeps = False
            if self._stage is not OVER:
                self._break(Trouble(self._refusal or f"not HTTP: {error}"))
                return
        if self._refusal is not None:
            self._break(Trouble(self._refusal))
        elif self._stage is OVER:
            self._finish(reply)
        elif self._barren_bytes > MOST_HEAD_BYTES:
            self._break(Trouble(_too_large(self._stage)))
        elif self._stage is BODY:
            if reply.held_bytes > READ_BUFFER_BYTES and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
            reply.wake()

    # What the parser finds.

    def on_message_begin(self) -> None:
        """A message begins; behind a whole reply it is one too many."""
        if self._stage is OVER:
            self._keeps = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; trailers are left out."""
        if self._stage is HEAD:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head is whole; those that only inform are passed over."""
        reply = self._reply
        if self._stage is not HEAD or reply is None:
            return
        status, headers = self._parser.get_status_code(), self._headers
        if status in INFORMATIONAL and status != SWITCHING:
            self._informs = True
            headers.clear()
            return
        if status <= SWITCHING:
            self._refusal = f"status {status} is no answer to what was asked"
        elif self._barren_bytes > MOST_HEAD_BYTES and sum(len(name) + len(value) + 4 for name, value in headers) > MOST_HEAD_BYTES:
            self._refusal = _too_large(HEAD)
        else:
            reply.status, reply.headers = status_of(status), headers
            self._barren_bytes = 0
            self._keeps, self._stage = False, OVER if reply.method == "HEAD" else BODY

    def on_body(self, data: bytes) -> None:
        """A part of the body."""
        reply = self._reply
        if self._stage is BODY and reply is not None:
            self._barren_bytes = 0
            reply.parts.append(data)
            reply.held_bytes += len(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        if self._informs:
            self._informs = False
        elif self._stage is BODY:
            self._stage = OVER
            self._keeps = self._parser.should_keep_alive()

    # What follows from it.

    def _finish(self, reply: Http1Reply) -> None:
        """The reply is whole: back home, unless something is left on either way."""
        self._reply = None
        reply.complete()
        reply.wake()
        transport = self._transport
        if transport is None:
            return
        if self._keeps and self._upload is None and not transport.get_write_buffer_size() and not transport.is_closing():
            self.resume()
            self._home.take_back(self)
        else:
            self.drop()

    def _end(self, error: Exception | None) -> None:
        """No more will come. That is the end of a body without a length, and a break of any other."""
        reply = self._reply
        if reply is None:
            return
        if self._stage is BODY and error is None and not _is_framed(reply.headers):
            self._stage, self._keeps = OVER, False
            self._finish(reply)
            return
        where = "before its head" if self._stage is HEAD else "before its end"
        self._break(Trouble(f"{type(error).__name__ if error else 'the connection was closed'} {where}"), error)

    def _break(self, trouble: Trouble, cause: BaseException | None = None) -> None:
        reply = self._reply
        unheard = self._stage is HEAD and not self._barren_bytes
        self.drop()
        if reply is not None:
            if cause is not trouble:
                trouble.__cause__ = cause
            reply.fail(trouble, unheard=unheard)

    def _uploaded(self, upload: asyncio.Task[None]) -> None:
        """The body has left, or could not: then no reply to it counts."""
        self._upload = None
        if upload.cancelled():
            return
        error = upload.exception()
        if error is not None and self._reply is not None:
            self._break(error if isinstance(error, Trouble) else Trouble(f"the request's body ended by {type(error).__name__}"), error)


def _is_framed(headers: Headers) -> bool:
    """True when the head says where the body ends."""
    named = dict(headers)
    return b"content-length" in named or named.get(b"transfer-encoding", b"").lower().rstrip().endswith(b"chunked")


def _too_large(stage: Stage) -> str:
    what = "its head" if stage is HEAD else "what comes between the parts of its body"
    return f"{what} is larger than {MOST_HEAD_BYTES // 1024} KB"
