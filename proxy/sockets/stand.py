"""A socket that stands: frames both ways, each end told to the other side, calls booked. It must never change a provider's frame."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import MappingProxyType

from starlette.types import Message, Receive, Send

from proxy.admit import MIB
from proxy.afford import knock
from proxy.call import Outcome
from proxy.endpoints.base import Ask
from proxy.errors import GrammageError, Unauthorized, UpstreamUnreachable
from proxy.meter.fallback import guess_input_tokens
from proxy.policy.decide import Decision
from proxy.rooms import Rooms
from proxy.sockets import answer
from proxy.sockets.book import Bookkeeper
from proxy.sockets.exchange import Deaf, Listener
from proxy.sockets.live import Live
from proxy.sockets.reach import Reached
from proxy.sockets.realtime import Realtime
from proxy.sockets.requests import frame_of, leaving, read_request
from proxy.sockets.responses import Responses
from proxy.sockets.visit import Visit, ask_for
from proxy.upstream.base import Headers
from proxy.upstream.socket import NO_STATUS, Closed, Frame, UpstreamSocket

_log = logging.getLogger("grammage.sockets")
ENDING = Closed(answer.GOING_AWAY, "the proxy is shutting down")
KEY_ENDED = Closed(answer.POLICY, "the key has ended")
SWITCHED = 101
LAST_WORD_S = 1.0
GONE = 1006
"""Stands for a client that left without a close; it never travels."""

_LISTENERS: Mapping[str, Callable[[Ask], Listener]] = MappingProxyType({"realtime": Realtime, "responses": Responses, "live": Live})


def _listener(visit: Visit) -> Listener:
    return Deaf() if visit.kind.says == "nothing" else _LISTENERS[visit.kind.says](ask_for(visit))


class Socket:
    """One socket that stands on both sides."""

    def __init__(self, rooms: Rooms, visit: Visit, decision: Decision, reached: Reached, receive: Receive, send: Send) -> None:
        self._rooms = rooms
        self._visit = visit
        self._candidate = reached.candidate
        self._provider: UpstreamSocket = reached.socket
        self._receive = receive
        self._send = send
        self._listener = _listener(visit)
        self._books = Bookkeeper(rooms, visit, decision, reached.candidate)
        self._sent_bytes = self._received_bytes = 0
        self._most_bytes = int(rooms.settings.server.limits.json_body_mb * MIB)

    async def serve(self, subprotocol: str | None, headers: Headers) -> None:
        """Accepts the client and carries until one side ends."""
        try:
            await answer.accept(self._send, subprotocol, headers)
        except BaseException:
            self._provider.abort()
            raise
        await self._run()

    async def serve_from(self, message: Message) -> None:
        """Carries until one side ends, from a message that has come already."""
        await self._run(message)

    async def _run(self, message: Message | None = None) -> None:
        """Both directions at once; the end of the one is the end of the other."""
        upward = asyncio.ensure_future(self._upward(message))
        downward = asyncio.ensure_future(self._downward())
        ending = False
        try:
            await asyncio.wait((upward, downward), return_when=asyncio.FIRST_COMPLETED)
            await _let_tell(upward, downward)
        except asyncio.CancelledError:  # the proxy ends, and gives up what is open: both sides are told below
            ending = True
        for task in (upward, downward):
            task.cancel()
        await asyncio.wait((upward, downward))
        await self._end(ending, _result(upward), _result(downward))

    async def _end(self, ending: bool, left: Closed | None, closed: Closed | None) -> None:
        """Both sides are told, the provider first; what was under way is booked. left: the client's close, closed: the provider's."""
        outcome: Outcome = "given_up" if ending else "upstream_cut"
        if ending:
            closed = ENDING
        elif left is not None:
            outcome = "client_left"
        self._book_rest(outcome, clean=left is not None or closed is not None)
        try:
            if left is not None and left.code == GONE:
                self._provider.abort()
            elif (last := left or closed) is not None:
                await self._provider.close(answer.shortened(last))
            else:
                self._provider.abort()
            if left is None and closed is not None:
                with suppress(OSError):  # the client may be gone as well
                    await answer.send_close(self._send, answer.shortened(closed))
        finally:
            await self._books.close()

    def _book_rest(self, outcome: Outcome, *, clean: bool) -> None:
        if self._visit.kind.endpoint is None:
            self._rooms.observer.observe_passthrough(self._visit.path, SWITCHED)
            self._books.unmetered("ok" if clean and outcome != "given_up" else outcome, self._sent_bytes, self._received_bytes)
            return
        for exchange in self._listener.unfinished(self._rooms.clock.perf()):
            self._books.left(exchange, outcome)

    async def _upward(self, message: Message | None) -> Closed:
        """Client to provider; the client's close."""
        while True:
            message = message or await self._receive()
            if message["type"] != "websocket.receive":
                return Closed(message.get("code") or NO_STATUS, message.get("reason") or "") if "reason" in message else Closed(GONE)
            if (ended := self._key_ended()) is not None:
                await answer.send_error_event(self._send, ended)
                await answer.send_close(self._send, KEY_ENDED)
                return KEY_ENDED
            frame: Frame | None = frame_of(message)
            message = None
            if isinstance(self._listener, Responses) and frame is not None:
                frame = await self._request(self._listener, frame)
            if frame is not None:
                self._sent_bytes += len(frame)
                self._listener.from_client(frame)
                await self._provider.send(frame)

    def _key_ended(self) -> Unauthorized | None:
        """Why the caller's key opens nothing any more: it expired or was revoked while its socket stood."""
        try:
            self._rooms.doorkeeper.identify_known(self._visit.known)
        except Unauthorized as error:
            return error
        return None

    async def _request(self, listener: Responses, frame: Frame) -> Frame | None:
        """The frame as it leaves, noted when it asks for an answer; None when it is refused, which the client is told."""
        try:
            exchange = read_request(self._rooms, self._visit, frame)
            if exchange is not None and exchange.decision is not None:
                frame = leaving(exchange, exchange.decision, self._candidate, frame)
                listener.refuse_more(exchange.request_bytes, self._most_bytes)
                if (budgets := self._rooms.budgets) is not None:
                    tags = exchange.tags or self._visit.tags
                    await knock(self._rooms, budgets, self._visit.caller, tags, (exchange.ask, exchange.decision))
                exchange.ticket = await self._rooms.limiter.enter(self._visit.caller, guess_input_tokens(exchange.ask))
                listener.asked(exchange)
        except GrammageError as error:
            await answer.send_error_event(self._send, error)
            return None
        return frame

    async def _downward(self) -> Closed:
        """Provider to client; the provider's close. A frame that ends a call waits until the call is recorded."""
        while True:
            frame = await self._provider.receive()
            if isinstance(frame, Closed):
                return frame
            self._received_bytes += len(frame)
            exchange = self._listener.from_provider(frame, self._rooms.clock.perf())
            if exchange is not None:
                await self._books.ended(exchange)
            await answer.send_frame(self._send, frame)


async def _let_tell(upward: "asyncio.Task[Closed]", downward: "asyncio.Task[Closed]") -> None:
    """Where sending to one side failed, that side's own last word may still be on its way; it is waited for a moment."""
    if upward.done() and not upward.cancelled() and upward.exception() is not None:
        await asyncio.wait((downward,), timeout=LAST_WORD_S)
    elif downward.done() and not downward.cancelled() and isinstance(downward.exception(), OSError):
        await asyncio.wait((upward,), timeout=LAST_WORD_S)


def _result(task: "asyncio.Task[Closed]") -> Closed | None:
    """How a direction ended: by a close, or by a break or our own cancelling, which say nothing."""
    if task.cancelled():
        return None
    trouble = task.exception()
    if trouble is None:
        return task.result()
    if not isinstance(trouble, UpstreamUnreachable):
        _log.debug("a socket ended by %s", type(trouble).__name__)
    return None
