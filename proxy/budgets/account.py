"""Accounts in whole milligrams: what is used, and what is reserved by calls under way, in this process. It must never hold a fraction.

An account counts nothing until it is seeded with what the ledger knows of its period. What a reservation is worth ends with its lease.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

MOST_EARLY = 10_000
"""Settlements kept for accounts that are being seeded meanwhile; the oldest fall out, which the ledger has by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a call asks of one account. blocks: where it does not fit, nothing is reserved in any account."""

    key: str
    limit_mg: int
    mg: int
    blocks: bool
    lease_ms: int
    drop_at_ms: int


class State(NamedTuple):
    """An account as a claim found it. fits: used, reserved and claim together stay within the limit."""

    used_mg: int
    reserved_mg: int
    fits: bool = True


class Entered(NamedTuple):
    """What came of claims. unseeded: accounts that have to be seeded first; then nothing else was done."""

    is_reserved: bool
    states: tuple[State, ...] = ()
    unseeded: tuple[str, ...] = ()


class Settlement(NamedTuple):
    """What a call came to, for one account. call_id: whose reservation ends, None: nobody's.

    at_ms: when the ledger was given the call. An account that was seeded as of a later time has it already.
    """

    key: str
    call_id: str | None
    mg: int
    at_ms: int
    drop_at_ms: int = 0


class Accounts(Protocol):
    """Where budgets are counted: this process's memory, or Redis for several. Raises OSError when that cannot be reached."""

    async def enter(self, now_ms: int, call_id: str, claims: Sequence[Claim]) -> Entered:
        """Reserves all claims of a call, or none."""

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Counts what calls came to, now or as soon as can be; an account that is seeded soon counts what came after its `as_of_ms`."""

    async def seed(self, key: str, mg: int, *, as_of_ms: int, drop_at_ms: int) -> None:
        """What was used before the account was opened; the first word stands."""

    async def look(self, now_ms: int, key: str) -> State | None:
        """The account as it stands, None before it is seeded."""

    def last_seen(self, now_ms: int, key: str) -> State | None:
        """The same as far as this process knows."""

    def drop_old(self, now_ms: int) -> None:
        """Forgets accounts that are of no use any more."""

    async def close(self) -> None:
        """Counts what still waits, and gives back connections."""


@dataclass(slots=True)
class _Book:
    """One account. held: reserved milligrams and the end of the lease, by call."""

    drop_at_ms: int
    as_of_ms: int
    used_mg: int = 0
    reserved_mg: int = 0
    held: dict[str, tuple[int, int]] = field(default_factory=dict)
    ends: list[tuple[int, str]] = field(default_factory=list)

    def expire(self, now_ms: int) -> None:
        """Gives back what was reserved longer than its lease."""
        while self.ends and self.ends[0][0] <= now_ms:
            end_ms, call_id = heappop(self.ends)
            if self.held.get(call_id, (0, -1))[1] == end_ms:
                self.release(call_id)

    def release(self, call_id: str) -> None:
        """Ends a reservation, if there is one."""
        mg, _ = self.held.pop(call_id, (0, 0))
        self.reserved_mg -= mg
        if len(self.ends) > 64 and len(self.ends) > 4 * len(self.held):
            self.ends = sorted((end_ms, held) for held, (_, end_ms) in self.held.items())

    def reserve(self, call_id: str, mg: int, end_ms: int) -> None:
        """Reserves anew; what the call had before is given back."""
        self.release(call_id)
        self.held[call_id] = (mg, end_ms)
        heappush(self.ends, (end_ms, call_id))
        self.reserved_mg += mg


class MemoryAccounts:
    """Accounts of one process, gone with it: what they hold is read from the ledger at its start."""

    def __init__(self) -> None:
        self._books: dict[str, _Book] = {}
        self._early: deque[Settlement] = deque(maxlen=MOST_EARLY)

    async def enter(self, now_ms: int, call_id: str, claims: Sequence[Claim]) -> Entered:
        """Reserves all claims of a call, or none; never waits."""
        books = [self._books.get(claim.key) for claim in claims]
        if None in books:
            return Entered(False, unseeded=tuple(claim.key for claim, book in zip(claims, books, strict=True) if book is None))
        pairs = [(claim, book) for claim, book in zip(claims, books, strict=True) if book is not None]
        states = []
        for claim, book in pairs:
            book.expire(now_ms)
            others_mg = book.reserved_mg - book.held.get(call_id, (0, 0))[0]
            states.append(State(book.used_mg, others_mg, book.used_mg + others_mg + claim.mg <= claim.limit_mg))
        if any(claim.blocks and not state.fits for claim, state in zip(claims, states, strict=True)):
            return Entered(False, tuple(states))
        for claim, book in pairs:
            book.reserve(call_id, claim.mg, now_ms + claim.lease_ms)
        return Entered(True, tuple(states))

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Counts at once."""
        for each in settlements:
            book = self._books.get(each.key)
            if book is None:
                self._early.append(each)
            else:
                if each.call_id is not None:
                    book.release(each.call_id)
                book.used_mg += each.mg if each.at_ms >= book.as_of_ms else 0

    async def seed(self, key: str, mg: int, *, as_of_ms: int, drop_at_ms: int) -> None:
        """Opens the account."""
        if key not in self._books:
            late_mg = sum(each.mg for each in self._early if each.key == key and each.at_ms >= as_of_ms)
            self._books[key] = _Book(drop_at_ms, as_of_ms, used_mg=mg + late_mg)
            self._early = deque((each for each in self._early if each.key != key), MOST_EARLY)

    def drop_old(self, now_ms: int) -> None:
        """Forgets accounts that are of no use any more."""
        self._books = {key: book for key, book in self._books.items() if not 0 < book.drop_at_ms <= now_ms}

    async def look(self, now_ms: int, key: str) -> State | None:
        """The account as it stands."""
        return self.last_seen(now_ms, key)

    def last_seen(self, now_ms: int, key: str) -> State | None:
        """The account as it stands; leases that are over are given back by the next claim."""
        book = self._books.get(key)
        return None if book is None else State(book.used_mg, sum(mg for mg, end_ms in list(book.held.values()) if end_ms > now_ms))

    async def close(self) -> None:
        """Nothing waits."""
