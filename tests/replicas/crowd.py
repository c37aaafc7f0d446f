"""Clients behind a balancer that goes round, leaves out who is not ready and asks again. It must never give a call up early."""

import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import aiohttp

from tests.replicas.provider import Try

LOOK_S = 0.25
"""Between two looks at `/readyz` of a replica that was not reached or turned a call away: it is left out until it is ready."""

SOON_S = 0.5
"""A client hears of its replica's end so much later at most."""

PATIENCE_S = 60.0
TIMEOUT_S = 30.0
PAUSE_S = 0.02
CHECK_S = 2.0
CAPPED_EACH, STREAMED_EACH = 10, 4
"""Every so manieth call carries the campaign whose budget ends, or is streamed."""

CAMPAIGN = "capped"
KEY = "gk-clients-of-the-proof"
Outcome = Literal["completed", "refused", "cut", "unreached", "turned_away"]


@dataclass(frozen=True, slots=True)
class Tried:
    """One try of a call at one replica. cut: it was sent, and no whole answer came; turned_away: 503, somebody else is to take it."""

    outcome: Outcome
    replica: int
    ended: float
    call_id: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """A call that ended for its client, with the time since its first try. Times are monotonic seconds."""

    began: float
    took_s: float
    capped: bool


@dataclass(slots=True)
class Crowd:
    """So many clients, each with one call after the other, until `calls` are over and `may_end` says so."""

    urls: tuple[str, ...]
    calls: int
    concurrency: int
    may_end: Callable[[], bool] = lambda: True
    tries: dict[Try, Tried] = field(default_factory=dict)
    done: list[Done] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    under_way: int = 0
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _turns: "itertools.count[int]" = field(default_factory=itertools.count)
    _down: set[int] = field(default_factory=set)

    async def run(self) -> None:
        """All calls; raises when one cannot be brought to its end."""
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            looking = asyncio.create_task(self._look(session))
            async with asyncio.TaskGroup() as clients:
                for _ in range(self.concurrency):
                    clients.create_task(self._client(session))
            looking.cancel()
            await asyncio.wait([looking])

    def ended_at(self, replica: int, since: float, until: float) -> int:
        """Answers of a replica that ended in a span, whole or cut."""
        ended = (tried for tried in self.tries.values() if tried.outcome in ("completed", "cut") and tried.replica == replica)
        return sum(since < tried.ended <= until + SOON_S for tried in ended)

    async def _client(self, session: aiohttp.ClientSession) -> None:
        while len(self.done) + self.under_way < self.calls or not self.may_end():
            self.under_way += 1
            await self._call(session, next(self._numbers))
            self.under_way -= 1

    async def _call(self, session: aiohttp.ClientSession, number: int) -> None:
        began, capped = time.perf_counter(), number % CAPPED_EACH == 0
        for nth in itertools.count():
            tried = await self._try(session, (number, nth), self._next(), capped)
            self.tries[number, nth] = tried
            if tried.outcome in ("completed", "refused"):
                self.done.append(Done(began, tried.ended - began, capped))
                return
            assert tried.ended - began < PATIENCE_S, f"call {number} was tried {nth + 1} times, at last {tried}"
            if tried.outcome in ("unreached", "turned_away"):
                self._down.add(tried.replica)
                await asyncio.sleep(PAUSE_S)

    def _next(self) -> int:
        """Who takes the next try: in turn, those that are up first."""
        turn = next(self._turns)
        order = [(turn + step) % len(self.urls) for step in range(len(self.urls))]
        return next((each for each in order if each not in self._down), order[0])

    async def _look(self, session: aiohttp.ClientSession) -> None:
        """Takes those that are ready again back in."""
        while True:
            await asyncio.sleep(LOOK_S)
            for each in tuple(self._down):
                with contextlib.suppress(aiohttp.ClientError, OSError):
                    async with session.get(f"{self.urls[each]}/readyz", timeout=aiohttp.ClientTimeout(total=CHECK_S)) as reply:
                        if reply.status == 200:
                            self._down.discard(each)

    async def _try(self, session: aiohttp.ClientSession, who: Try, replica: int, capped: bool) -> Tried:
        text = f"Describe a merino jumper. ask-{who[0]}-{who[1]}."
        streamed = who[0] % STREAMED_EACH == 1
        body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], "max_tokens": 400, "stream": streamed}
        headers = {"authorization": f"Bearer {KEY}", **({"x-grammage-tag-campaign": CAMPAIGN} if capped else {})}
        call_id = request_id = ""
        outcome: Outcome = "cut"
        try:
            async with session.post(f"{self.urls[replica]}/v1/chat/completions", json=body, headers=headers) as reply:
                call_id, request_id = reply.headers.get("x-grammage-call-id", ""), reply.headers.get("x-request-id", "")
                self.statuses[reply.status] += 1
                outcome = _outcome(reply.status, await reply.read(), streamed)
        except aiohttp.ClientConnectorError:
            outcome = "unreached"
        except (aiohttp.ClientError, OSError):
            pass  # cut
        return Tried(outcome, replica, time.perf_counter(), call_id, request_id)


def _outcome(status: int, body: bytes, streamed: bool) -> Outcome:
    if status == 200:
        assert body.rstrip().endswith(b"data: [DONE]" if streamed else b"}"), body[-200:]
        return "completed"
    if status == 503 and b"budget" not in body:
        return "turned_away"
    assert status in (402, 503), body
    return "refused"
