"""Accounts that several processes share in Redis, by one script that nothing comes between. It must never count a settlement twice.

Claims are asked for, one round trip a call. Settlements wait in order and are sent behind the call's back; while Redis is gone they are
kept here and sent when it is back.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Sequence
from importlib.resources import files
from itertools import count, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from proxy.budgets.account import Claim, Entered, Settlement, State
from proxy.redis_door import RedisDoor, plainly

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.commands.core import AsyncScript

_log = logging.getLogger("grammage.budgets")
PREFIX = "{grammage:budgets}"
"""Begins every key; the braces keep all accounts on one node of a cluster, for a script touches several."""

PATIENCE_S = 0.25
"""How long a call waits for Redis."""

AT_ONCE = 32
"""Claims of one process that are on their way at the same time; the others wait for their turn."""

TOGETHER = 64
RETRY_S = 0.5
MOST_SEEN = 1_000
MOST_WAITING = 20_000
"""Settlements kept apart while Redis is gone; beyond, they are added up by account, and leases give the reservations back."""
CLOSE_S = 2.0
HELD_S = 120.0
"""How long a settlement waits for its account to be seeded: the ledger may not have had its call when it was summed up."""


class _Line(NamedTuple):
    """A settlement in line. number: grows with each sending that is not a repetition. until: loop time to which it is held, 0: not yet."""

    number: int
    settlement: Settlement
    until: float = 0.0


class RedisAccounts:
    """The accounts of all processes on one Redis. writer: an id of this process that no other has. Belongs to one event loop."""

    def __init__(self, url: str, *, writer: str, own_time: bool = False, patience_s: float = PATIENCE_S) -> None:
        """own_time: leases run by the time that claims name, not by the server's; for tests."""
        self._door = RedisDoor(url, patience_s=patience_s)
        self._writer = writer
        self._own_time = own_time
        self._script: AsyncScript | None = None
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._seen: dict[str, State] = {}
        self._waiting: deque[_Line] = deque()
        self._held: list[_Line] = []
        self._holding: asyncio.Task[None] | None = None
        self._numbers = count(1)
        self._pump: asyncio.Task[None] | None = None
        self._on_way = 0
        self._failures = 0
        self._closing = False

    async def enter(self, now_ms: int, call_id: str, claims: Sequence[Claim]) -> Entered:
        """Reserves all claims of a call, or none."""
        values: list[int | str] = []
        for claim in claims:
            values += (claim.limit_mg, claim.mg, int(claim.blocks), claim.lease_ms, claim.drop_at_ms)
        code, told = await self._run("enter", now_ms, call_id, [claim.key for claim in claims], values)
        if code < 0:
            return Entered(False, unseeded=tuple(claims[at - 1].key for at in told))
        states = tuple(State(used, reserved, fits == 1) for used, reserved, fits in told)
        for claim, state in zip(claims, states, strict=True):
            self._seen[claim.key] = State(state.used_mg, state.reserved_mg + (claim.mg if code else 0))
        return Entered(code == 1, states)

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Puts them in line."""
        for each in settlements:
            if len(self._waiting) >= MOST_WAITING:
                self._add_up()
            self._waiting.append(_Line(next(self._numbers), each))
        self._start_pump()

    async def seed(self, key: str, mg: int, *, as_of_ms: int, drop_at_ms: int) -> None:
        """What was used before the account was opened; the first word of any process stands."""
        await self._run("seed", 0, "", [key], [mg, drop_at_ms, as_of_ms])

    async def look(self, now_ms: int, key: str) -> State | None:
        """The account as it stands, None before it is seeded."""
        return self._note(key, await self._run("look", now_ms, "", [key], []))

    def last_seen(self, now_ms: int, key: str) -> State | None:
        """The account as this process saw it last."""
        return self._seen.get(key)

    def drop_old(self, now_ms: int) -> None:
        """The server drops them by itself; what was seen of them here is forgotten."""
        if len(self._seen) > MOST_SEEN:
            self._seen.clear()

    async def settled(self) -> None:
        """Returns when nothing waits any more, however long that takes."""
        while self._pump is not None and not self._pump.done():
            await asyncio.wait([self._pump])

    async def close(self) -> None:
        """Sends what waits, as far as that can be done soon."""
        self._closing = True
        if self._holding is not None:
            self._holding.cancel()
            await asyncio.wait([self._holding])
        if self._pump is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await self._pump
        if self._waiting:
            _log.warning("%d settlements of budgets did not reach Redis; the ledger has their calls", len(self._waiting))
        await self._door.close()

    def _start_pump(self) -> None:
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._send_waiting())

    def _hold(self, line: _Line) -> None:
        """Keeps what an account that is not seeded did not count; once it is, the account itself tells what the ledger had already."""
        now = asyncio.get_running_loop().time()
        line = line if line.until else line._replace(until=now + HELD_S)
        if self._closing or now >= line.until or len(self._held) >= MOST_WAITING:
            return
        self._held.append(line)
        if self._holding is None or self._holding.done():
            self._holding = asyncio.get_running_loop().create_task(self._send_held())

    async def _send_held(self) -> None:
        """Puts what is held in line again, under new numbers: it was not counted under the old ones."""
        while self._held:
            await asyncio.sleep(RETRY_S)
            held, self._held = self._held, []
            self._waiting.extend(line._replace(number=next(self._numbers)) for line in held)
            self._start_pump()
            await self.settled()

    async def _send_waiting(self) -> None:
        while self._waiting:
            batch = list(islice(self._waiting, TOGETHER))
            self._on_way = len(batch)
            try:
                told = await self._sent(batch)
            except OSError:
                if self._closing:
                    return
                await asyncio.sleep(RETRY_S)
                continue
            finally:
                self._on_way = 0
            for line, state in zip(batch, told, strict=True):
                self._waiting.popleft()
                if self._note(line.settlement.key, state) is None:
                    self._hold(line)

    async def _sent(self, batch: Sequence[_Line]) -> list[list[int]]:
        """What the server answers to settlements sent together, each a step of its own. Raises ConnectionError; some may have counted."""
        script, client = await self._ready()
        with plainly():
            async with client.pipeline(transaction=False) as pipe:
                for number, each, _ in batch:
                    facts: list[int | str] = [each.mg, each.drop_at_ms, self._writer, number, each.at_ms]
                    await script(keys=_named([each.key]), args=["settle", 0, each.call_id or "", *facts], client=pipe)
                found: list[list[int]] = await pipe.execute()
                return found

    def _note(self, key: str, told: Sequence[int]) -> State | None:
        """An account as the server tells it; nothing where it has none."""
        if not told:
            self._seen.pop(key, None)
            return None
        found = self._seen[key] = State(told[0], told[1])
        return found

    def _add_up(self) -> None:
        """One settlement for each account in place of all that wait; reservations end with their leases. What is on its way stays."""
        on_way = list(islice(self._waiting, self._on_way))
        sums: dict[str, Settlement] = {}
        for _, each, _ in islice(self._waiting, self._on_way, None):
            before = sums.get(each.key)
            sums[each.key] = each._replace(call_id=None, mg=each.mg + (before.mg if before else 0))
        self._waiting = deque([*on_way, *(_Line(next(self._numbers), each) for each in sums.values())])

    async def _run(self, what: str, now_ms: int, call_id: str, keys: Sequence[str], values: Sequence[int | str]) -> Any:
        """The script's answer. Raises ConnectionError while Redis does not serve: whoever waited behind one that failed fails with it."""
        script, _ = await self._ready()
        failures = self._failures
        async with self._turns:
            if self._failures != failures:
                raise ConnectionError("Redis did not serve those before")
            try:
                with plainly():
                    return await script(keys=_named(keys), args=[what, now_ms if self._own_time else 0, call_id, *values])
            except ConnectionError:
                self._failures += 1
                raise

    async def _ready(self) -> "tuple[AsyncScript, Redis]":
        """The script, which the server keeps by its digest, and the client."""
        client = await self._door.client()
        if self._script is None:
            self._script = client.register_script((files("proxy.budgets") / "data" / "accounts.lua").read_text("utf-8"))
        return self._script, client


def _named(keys: Sequence[str]) -> list[str]:
    """Two keys of Redis for each account."""
    return [f"{PREFIX}:{key}:{part}" for key in keys for part in ("totals", "leases")]
