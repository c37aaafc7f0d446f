"""Follows a Responses socket: requests in, answers out, each with its usage. It must never judge a request."""

from collections import deque

from proxy.endpoints.base import Ask
from proxy.endpoints.responses import DELTAS, RESPONSES
from proxy.errors import RateLimited
from proxy.meter.usage import read_usage
from proxy.sockets.exchange import Exchange
from proxy.sockets.peek import event_of, kind_of, marks_of, named
from proxy.splice import without_payloads
from proxy.upstream.socket import Frame

CREATE = "response.create"
CREATED = "response.created"
FAILED = "error"
MARKS = marks_of((CREATED, *RESPONSES.terminal_events, FAILED))
LONGEST_WHOLE = 64 * 1024
MOST_WAITING = 64
CLIENT_ERRORS, ERRORS = range(400, 500), range(400, 600)
SERVER_ERROR = 500


class Responses:
    """One socket's listener: answers come in the order in which they were asked for."""

    def __init__(self, fallback: Ask) -> None:
        """fallback: stands for a request that was not seen."""
        self._fallback = fallback
        self._waiting: deque[Exchange] = deque()
        self._under_way: Exchange | None = None

    def asked(self, exchange: Exchange) -> None:
        """A request that leaves."""
        self._waiting.append(exchange)

    def refuse_more(self, size: int, most_bytes: int) -> None:
        """Raises RateLimited for a request of `size` bytes when too much waits already: each is held until it is answered."""
        held = sum(each.request_bytes for each in self._waiting)
        if len(self._waiting) >= MOST_WAITING or (held and held + size > most_bytes):
            message = f"{len(self._waiting)} requests wait on this socket for their answers; wait for one of them, or open another socket."
            raise RateLimited(message, headers=[])

    def from_client(self, frame: Frame) -> None:
        """Requests are told to `asked`; what else the client sends asks for nothing."""

    def from_provider(self, frame: Frame, now: float) -> Exchange | None:
        """The call that this frame ends."""
        if isinstance(frame, bytes):
            return None
        kind = kind_of(frame, MARKS)
        if self._under_way is not None:
            self._under_way.response_bytes += len(frame)
        if kind in DELTAS:
            self._write(frame, now)
        elif kind == CREATED:
            return self._create(frame, now)
        elif kind in RESPONSES.terminal_events:
            return self._end(frame, now)
        elif kind == FAILED:
            return self._fail(frame)
        return None

    def unfinished(self, now: float) -> list[Exchange]:
        """The answer that was under way, and requests that none was begun for."""
        left = [*([self._under_way] if self._under_way is not None else []), *self._waiting]
        self._under_way = None
        self._waiting.clear()
        return left

    def _next(self, now: float) -> Exchange:
        return self._waiting.popleft() if self._waiting else Exchange(ask=self._fallback, began=now)

    def _create(self, frame: str, now: float) -> Exchange | None:
        """The call before it, where the provider goes on without having ended that."""
        answer, left = event_of(frame).answer, self._under_way
        if left is not None:
            left.outcome = "upstream_cut"
        exchange = self._under_way = self._next(now)
        exchange.response_id, exchange.served_model = named(answer.id), named(answer.model)
        exchange.response_bytes = len(frame)
        return left

    def _write(self, frame: str, now: float) -> None:
        delta = event_of(frame).delta
        if self._under_way is not None and isinstance(delta, str):
            self._under_way.write(delta, now)

    def _end(self, frame: str, now: float) -> Exchange:
        event = event_of(frame)
        exchange = self._under_way or self._next(now)
        self._under_way = None
        answer, raw = event.answer, bytes(event.response)
        exchange.ended = True
        exchange.response_id = named(answer.id) or exchange.response_id
        exchange.served_model = named(answer.model) or exchange.served_model
        exchange.usage = read_usage(bytes(answer.usage)) if bytes(answer.usage) else None
        exchange.answer = without_payloads(raw) if len(raw) > LONGEST_WHOLE else raw
        exchange.generated = exchange.usage is not None or event.type != "response.failed" or exchange.has_content
        return exchange

    def _fail(self, frame: str) -> Exchange | None:
        """The provider refuses a request, which leaves an answer that is under way alone, or breaks that answer off."""
        told = event_of(frame).status
        status = told if isinstance(told, int) and told in ERRORS else SERVER_ERROR
        if self._waiting and (self._under_way is None or status in CLIENT_ERRORS):
            exchange = self._waiting.popleft()
        elif self._under_way is not None:
            exchange, self._under_way = self._under_way, None
        else:
            return None
        exchange.status = status
        exchange.outcome = "client_error" if exchange.status in CLIENT_ERRORS else "upstream_error"
        exchange.generated = exchange.has_content
        exchange.ended = not exchange.has_content
        return exchange
