"""How many calls and tokens a key may use in a minute. It must never hold back a key without limits, or a call because counters are gone.

A call's prompt is reserved when it enters, by its forecast, and settled by the usage that came of it: what was used beyond the window's
room is owed, and wears off at the limit's own pace; what was reserved for nothing is given back within the minute.
"""

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from proxy.call import Caller, RateLimits
from proxy.errors import RateLimited
from proxy.keys.windows import Window
from proxy.upstream.base import Headers

_log = logging.getLogger("grammage.limits")
MINUTE_S = 60
MOST_ACCOUNTS = 10_000
BLIND_S = 1.0
"""How long counters that could not be reached are let be: no call waits for them in the meantime."""
REQUESTS, TOKENS = "requests", "tokens"
LIMIT_HEADERS = tuple(f"x-ratelimit-{what}-{kind}" for kind in (REQUESTS, TOKENS) for what in ("limit", "remaining", "reset"))


class Counters(Protocol):
    """Where use is counted: this process's memory, or Redis for several. Both raise OSError when that cannot be reached."""

    async def hit(self, kind: str, account: str, limit: int, cost: int) -> bool:
        """Counts `cost` if there is room for it."""

    async def look(self, kind: str, account: str, limit: int) -> Window:
        """The window as it stands."""

    async def close(self) -> None:
        """Gives back its connections."""


@dataclass(slots=True)
class _Balance:
    """Tokens used beyond the window, as of `at`; below 0: counted and not used."""

    tokens: float = 0.0
    at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """An entered call: what it reserved, and what its caller is told of its limits."""

    account: str
    limits: RateLimits
    reserved: int
    headers: Headers


class Limiter:
    """The windows of every key with limits. `enter` before a call, `settle` after it. Belongs to one event loop."""

    def __init__(self, redis: str | None = None, *, perf: Callable[[], float] | None = None, counters: Counters | None = None) -> None:
        """counters: instead of the library's own, in memory or in `redis`."""
        self._redis = redis
        self._perf = perf or (lambda: asyncio.get_running_loop().time())
        self._counters = counters
        self._balances: dict[str, _Balance] = {}
        self._opening = asyncio.Lock()
        self._is_blind = False
        self._blind_until = 0.0

    async def enter(self, caller: Caller, input_tokens: int) -> Ticket | None:
        """A ticket for a call of about so many tokens; None for a key without limits. Raises RateLimited."""
        limits = caller.limits
        if limits is None or self._perf() < self._blind_until:
            return None
        try:
            ticket = await self._enter(caller.id, limits, max(1, input_tokens))
        except OSError as error:
            self._blind(error)
            return None
        except RateLimited:
            self._see()
            raise
        self._see()
        return ticket

    async def settle(self, ticket: Ticket, used_tokens: int | None) -> None:
        """Counts what a call used instead of what it reserved; None: nothing is known of it, and the reservation stays."""
        limit = ticket.limits.tokens_per_minute
        if limit is None or used_tokens is None:
            return
        balance = self._balance(ticket.account, limit)
        balance.tokens += used_tokens - ticket.reserved
        balance.at = self._perf()
        if balance.tokens < 1 or balance.at < self._blind_until:
            return
        try:
            await self._count(ticket.account, limit, balance)
        except OSError as error:
            self._blind(error)

    async def _enter(self, account: str, limits: RateLimits, input_tokens: int) -> Ticket:
        counters = await self._open()
        headers: Headers = []
        tokens = 0
        if limits.tokens_per_minute is not None:
            tokens = min(input_tokens, limits.tokens_per_minute)  # a forecast may be far off: what is beyond is settled by the usage
            headers += await self._reserve(counters, account, limits.tokens_per_minute, tokens)
        if limits.requests_per_minute is not None:
            limit = limits.requests_per_minute
            taken = await counters.hit(REQUESTS, account, limit, 1)
            window = await counters.look(REQUESTS, account, limit)
            if not taken:
                self._give_back(account, limits.tokens_per_minute or 0, tokens)
                raise _refusal(account, REQUESTS, window, 1)
            headers += told(REQUESTS, window)
        return Ticket(account=account, limits=limits, reserved=tokens, headers=headers)

    async def _reserve(self, counters: Counters, account: str, limit: int, tokens: int) -> Headers:
        """Takes the tokens out of what the key was given back, the rest out of the window. Raises RateLimited, also while it owes some."""
        balance = self._balance(account, limit)
        owed = math.ceil(max(0.0, balance.tokens))
        credit = min(tokens, math.floor(max(0.0, -balance.tokens)))
        balance.tokens += credit  # taken before the first wait: of two calls at once one has it
        taken = not owed and (credit == tokens or await counters.hit(TOKENS, account, limit, tokens - credit))
        window = await counters.look(TOKENS, account, limit)
        if not taken:
            balance.tokens -= credit
            raise _refusal(account, TOKENS, window, tokens - credit, owed=owed)
        return told(TOKENS, window)

    async def _count(self, account: str, limit: int, balance: _Balance) -> None:
        """Counts what is owed, as far as the window has room."""
        counters = await self._open()
        part = min(math.floor(balance.tokens), (await counters.look(TOKENS, account, limit)).room)
        if part > 0 and await counters.hit(TOKENS, account, limit, part):
            balance.tokens -= part

    def _give_back(self, account: str, limit: int, tokens: int) -> None:
        if tokens:
            balance = self._balance(account, limit)
            balance.tokens -= tokens
            balance.at = self._perf()

    def _balance(self, account: str, limit: int) -> _Balance:
        """The key's balance now: what is owed wears off, what was given back lasts a minute, as the window it came from."""
        found = self._balances.get(account)
        if found is None:
            if len(self._balances) >= MOST_ACCOUNTS:
                self._balances.clear()
            found = self._balances[account] = _Balance()
        now = self._perf()
        if found.tokens > 0:
            found.tokens = max(0.0, found.tokens - limit * (now - found.at) / MINUTE_S)
            found.at = now
        elif now - found.at > MINUTE_S:
            found.tokens = 0.0
        return found

    async def _open(self) -> Counters:
        if self._counters is None:
            async with self._opening:
                if self._counters is None:
                    self._counters = await asyncio.to_thread(_library, self._redis)
        return self._counters

    def _blind(self, error: OSError) -> None:
        """The shared counters cannot be reached: calls go on, uncounted, and that is said once."""
        if not self._is_blind:
            _log.warning("rate limits are not kept: the shared counters cannot be reached (%s)", type(error.__cause__ or error).__name__)
        self._is_blind = True
        self._blind_until = self._perf() + BLIND_S

    def _see(self) -> None:
        """The counters answered."""
        if self._is_blind:
            _log.warning("rate limits are kept again: the shared counters are back")
        self._is_blind = False

    async def close(self) -> None:
        """Gives back the connections to the counters."""
        if self._counters is not None:
            await self._counters.close()


def told(kind: str, window: Window) -> Headers:
    """The window as the OpenAI headers have it."""
    name = kind.encode()
    return [
        (b"x-ratelimit-limit-" + name, b"%d" % window.limit),
        (b"x-ratelimit-remaining-" + name, b"%d" % window.room),
        (b"x-ratelimit-reset-" + name, b"%dms" % math.ceil(window.reset_s * 1000)),
    ]


def _refusal(account: str, kind: str, window: Window, cost: int, *, owed: int = 0) -> RateLimited:
    wait_s = max(window.wait_s(cost), owed * MINUTE_S / window.limit)
    wait_ms = max(1, math.ceil(wait_s * 1000))
    left = f"{owed} beyond the limit have yet to wear off" if owed else f"{window.room} are left now"
    message = (
        f"key {account!r} may use {window.limit} {kind} in a minute, this call needs {cost} and {left}; "
        f"try again in {math.ceil(wait_ms / 1000)} s, or ask for a higher limit."
    )
    waits = [(b"retry-after", b"%d" % math.ceil(wait_ms / 1000)), (b"retry-after-ms", b"%d" % wait_ms)]
    return RateLimited(message, headers=[*waits, *told(kind, window)])


def _library(redis: str | None) -> Counters:
    """The library's windows. Blocks while it is imported."""
    from proxy.keys.counters import LibraryCounters, NoRedisPackage  # slow to import, and needed only once a key has limits

    try:
        return LibraryCounters(redis)
    except NoRedisPackage:
        _log.warning("rate limits are kept by this process alone: `redis:` is set, and its package is not there (pip install redis)")
        return LibraryCounters(None)
