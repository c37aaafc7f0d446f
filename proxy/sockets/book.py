"""Turns what was seen on a socket into calls: counted, weighed, recorded once. It must never fail the socket for a call's sake."""

import asyncio
import logging
from dataclasses import replace

from estimators.usage import Usage
from proxy import throttle
from proxy.call import Outcome
from proxy.endpoints.base import Ask
from proxy.endpoints.realtime import REALTIME, ask_of
from proxy.endpoints.responses import RESPONSES
from proxy.meter.count import count_tokens
from proxy.meter.fallback import BYTES_PER_TOKEN, count_prompt
from proxy.passage import Passage
from proxy.policy.candidates import Candidate
from proxy.policy.decide import Decision
from proxy.rooms import Rooms
from proxy.settle import add_facts, record, weigh, weigh_in_shadow
from proxy.sockets.exchange import LONGEST_TEXT, Exchange
from proxy.sockets.realtime import partial_usage
from proxy.sockets.visit import Visit

_log = logging.getLogger("grammage.sockets")
UNMETERED = "unmetered"
_UNMETERED = replace(REALTIME, operation=UNMETERED, writes=False)


class Bookkeeper:
    """Books one socket's calls, numbered in the order in which they end."""

    def __init__(self, rooms: Rooms, visit: Visit, decision: Decision, candidate: Candidate) -> None:
        self._rooms = rooms
        self._visit = visit
        self._decision = decision
        self._candidate = candidate
        self._booking: set[asyncio.Task[None]] = set()

    async def ended(self, exchange: Exchange) -> None:
        """Books a call whose last frame is held back; returns when the ledger has it. Goes on when the caller is cancelled."""
        await asyncio.shield(self._begin(exchange))

    def left(self, exchange: Exchange, outcome: Outcome) -> None:
        """Books a call that will not come to its end, as `outcome`; `close` waits for it."""
        if not exchange.ended:
            exchange.outcome = outcome
        self._begin(exchange)

    def refused(self, ask: Ask, status: int) -> None:
        """Books a handshake that the provider refused: a call of which nothing was generated."""
        outcome: Outcome = "client_error" if status < 500 else "upstream_error"
        self._begin(Exchange(ask=ask, began=self._visit.entered, generated=False, status=status, outcome=outcome))

    def unmetered(self, outcome: Outcome, sent_bytes: int, received_bytes: int) -> None:
        """Books a socket of which nothing is read."""
        passage = self._passage(
            Exchange(
                ask=ask_of(replace(_UNMETERED, path=self._visit.path[:256]), UNMETERED),
                began=self._visit.entered,
                request_bytes=sent_bytes,
                response_bytes=received_bytes,
                outcome=outcome,
                ended=outcome == "ok",
            )
        )
        passage.unweighed_reason = UNMETERED
        record(self._rooms, passage)

    async def close(self) -> None:
        """Returns when every booking under way is done."""
        if self._booking:
            await asyncio.wait(self._booking)

    def _begin(self, exchange: Exchange) -> "asyncio.Task[None]":
        passage = self._passage(exchange)
        task = asyncio.get_running_loop().create_task(self._book(passage, exchange))
        self._booking.add(task)
        task.add_done_callback(self._booking.discard)
        return task

    async def _book(self, passage: Passage, exchange: Exchange) -> None:
        rooms = self._rooms
        try:
            if exchange.generated:
                passage.usage = await _usage_of(rooms, exchange)
                add_facts(passage, exchange.answer)
                await weigh(rooms, passage)
        except Exception:  # noqa: BLE001  # the edge: what we add may fail, the caller's socket may not
            _log.exception("call %s goes out unweighed", passage.call_id)
            passage.unweighed_reason = "internal_error"
        finally:
            durable = record(rooms, passage)
        if durable is not None:
            await durable
        await throttle.settle(rooms, passage)
        weigh_in_shadow(rooms, passage)

    def _passage(self, exchange: Exchange) -> Passage:
        """The call's facts so far, under its own id."""
        rooms, visit = self._rooms, self._visit
        now = rooms.clock.perf()
        decision = exchange.decision or self._decision
        call_id, tracer = visit.next_id(), rooms.tracer
        return Passage(
            call_id=call_id,
            started_ms=rooms.clock.now_ms() - round((now - exchange.began) * 1000),
            entered=exchange.began,
            ask=exchange.ask,
            caller=visit.caller,
            headers=visit.headers,
            known=visit.known,
            tags=visit.tags if exchange.tags is None else exchange.tags,
            decision=decision,
            candidate=_served_by(self._candidate, decision),
            request_bytes=exchange.request_bytes,
            response_bytes=exchange.response_bytes,
            sent=exchange.began,
            received=now,
            first_byte=exchange.first,
            status=exchange.status,
            outcome=exchange.outcome,
            streamed=True,
            stream_complete=exchange.ended and exchange.outcome == "ok",
            served_model=exchange.served_model,
            upstream_request_id=visit.request_id,
            object_id=exchange.response_id,
            ticket=exchange.ticket or visit.ticket,
            trace=None if tracer is None else tracer.begin(call_id, visit.headers, visit.known, exchange.began),
        )


def _served_by(candidate: Candidate, decision: Decision) -> Candidate:
    """Of a call's own plan, the deployment at the other end of the socket: its name for the model may differ from another call's."""
    at = (candidate.base_url, candidate.api_key, candidate.is_simulated)
    return next((each for each in decision.attempts if (each.base_url, each.api_key, each.is_simulated) == at), candidate)


async def _usage_of(rooms: Rooms, exchange: Exchange) -> Usage | None:
    """The provider's figure; what was seen, counted, where it gave none."""
    if exchange.usage is not None:
        return exchange.usage
    partial = not exchange.ended
    asked, output_tokens = await asyncio.to_thread(_counted, exchange)
    if exchange.ask.endpoint is RESPONSES:
        return replace(asked, output_tokens=output_tokens, partial=partial)
    factors = rooms.tables.factors
    rates = (factors["audio.input_tokens_per_s"].value, factors["audio.output_tokens_per_s"].value)
    return partial_usage(exchange, output_tokens, rates, partial=partial)


def _counted(exchange: Exchange) -> tuple[Usage, int]:
    """What the request takes, and tokens of the answer's text; runs the tokenizer."""
    written = count_tokens(exchange.text, exchange.ask.alias)
    return count_prompt(exchange.ask), written + max(0, exchange.text_length - LONGEST_TEXT) // BYTES_PER_TOKEN
