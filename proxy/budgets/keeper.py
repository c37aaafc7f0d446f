"""Holds calls against the budgets that match them: reserves before, settles after. It must never lose a call's grams while it lives."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from config.budgets import Budget
from proxy.budgets.account import Accounts, Claim, Entered, Settlement, State
from proxy.budgets.history import UNKNOWN_MG, Pin, open_account
from proxy.budgets.rule import MG_PER_G, Account, Rule
from proxy.call import PENDING, CallRecord
from proxy.clock import Clock
from proxy.ledger.base import LedgerUnavailable
from proxy.ledger.budget_store import NOTHING_MADE, BudgetStore

_log = logging.getLogger("grammage.budgets")
REMEMBERED = 4096
COMMIT_MS = 50
"""What the ledger was given longer ago than this can be read in it. Whatever came later counts, even if it could be read already."""

BLIND_S = 1.0
"""How long counts that could not be reached are let be: no call waits for them in the meantime."""

SEED_S = 1.0
"""How long a call waits for an account to be summed up from the ledger; then its `on_lost` decides, and the summing goes on."""

Tags = tuple[tuple[str, str], ...]
Counts = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A budget as a call found it, the call included. spoken_mg: used and reserved."""

    rule: Rule
    account: Account
    used_mg: int
    spoken_mg: int
    fits: bool

    @property
    def share(self) -> float:
        """Of the limit, what is used or reserved."""
        return self.spoken_mg / self.rule.limit_mg

    @property
    def state(self) -> str:
        """ok, soft or exceeded."""
        if not self.fits:
            return "exceeded"
        return "soft" if self.spoken_mg >= self.rule.soft_mg else "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """What a call reserved. is_reserved: False where it may not go on, or where nothing was asked for. lost: budgets not reached."""

    call_id: str
    mg: int
    accounts: tuple[tuple[Rule, Account], ...]
    standings: tuple[Standing, ...] = ()
    is_reserved: bool = False
    lost: bool = False


class Budgets:
    """The budgets in force. `enter` before a call, `settle` or `release` after it. Belongs to one event loop."""

    def __init__(
        self,
        budgets: Iterable[Budget],
        accounts: Accounts,
        store: BudgetStore,
        in_force: Pin,
        clock: Clock,
        before: "Budgets | None" = None,
    ) -> None:
        """before: the budgets of the configuration before this one; what they counted goes on."""
        self._rules = tuple(Rule(each) for each in budgets)
        self._counts: Counts = Counter() if before is None else before._counts
        self._crumbs_mg: dict[str, float] = {} if before is None else before._crumbs_mg
        for rule in self._rules:
            for action in (rule.budget.on_exceed, rule.budget.on_lost):
                self._counts[rule.name, action] += 0
        self._accounts = accounts
        self._store = store
        self._in_force = in_force
        self._clock = clock
        self._matching: dict[tuple[Tags, str], tuple[Rule, ...]] = {}
        self._seeding = asyncio.Lock()
        self._seedings: dict[str, asyncio.Task[None]] = {}
        self._is_blind = False
        self._blind_until = -math.inf

    def matching(self, tags: Tags, caller_id: str) -> tuple[Rule, ...]:
        """The budgets that count such a call."""
        key = (tags, caller_id)
        found = self._matching.get(key)
        if found is None:
            if len(self._matching) >= REMEMBERED:
                self._matching.clear()
            named = dict(tags)
            found = self._matching[key] = tuple(rule for rule in self._rules if rule.matches(named, caller_id))
        return found

    async def open(self) -> None:
        """Seeds the accounts of now; one that cannot be is seeded by the first call for it."""
        now_ms = self._clock.now_ms()
        try:
            for rule in self._rules:
                account = rule.account_at(now_ms)
                if await self._accounts.look(now_ms, account.key) is None:
                    await self._seed_now(rule, account)
                    await self._accounts.look(now_ms, account.key)
        except (OSError, LedgerUnavailable) as error:
            self._lose(error)

    async def enter(self, call_id: str, at_ms: int, rules: Sequence[Rule], mg: int) -> Holding:
        """Reserves `mg` of every budget, or of none where one that refuses is at its end."""
        pairs = tuple((rule, rule.account_at(at_ms)) for rule in rules)
        claims = [_claim(rule, account, mg) for rule, account in pairs]
        holding = Holding(call_id=call_id, mg=mg, accounts=pairs, lost=True)
        if self._clock.perf() < self._blind_until:
            return holding
        try:
            entered = await self._entered(call_id, pairs, claims)
        except (OSError, LedgerUnavailable) as error:
            self._lose(error)
            return holding
        self._see()
        standings = tuple(_standing(pair, state, mg) for pair, state in zip(pairs, entered.states, strict=True))
        return Holding(call_id=call_id, mg=mg, accounts=pairs, standings=standings, is_reserved=entered.is_reserved)

    async def look(self, call_id: str, at_ms: int, rules: Sequence[Rule], mg: int) -> Holding:
        """What `enter` would find; nothing is reserved."""
        pairs = tuple((rule, rule.account_at(at_ms)) for rule in rules)
        now_ms, standings = self._clock.now_ms(), []
        try:
            for rule, account in pairs:
                state = await self._accounts.look(now_ms, account.key)
                if state is None:
                    await self._seed([(rule, account)])
                    state = await self._accounts.look(now_ms, account.key) or State(0, 0)
                fits = state.used_mg + state.reserved_mg + mg <= rule.limit_mg
                standings.append(_standing((rule, account), State(state.used_mg, state.reserved_mg, fits), mg))
        except (OSError, LedgerUnavailable) as error:
            self._lose(error)
            return Holding(call_id=call_id, mg=mg, accounts=pairs, lost=True)
        return Holding(call_id=call_id, mg=mg, accounts=pairs, standings=tuple(standings))

    def settle(self, entry: CallRecord, holding: Holding | None) -> None:
        """Counts what a recorded call came to, in place of what it reserved; without a reservation, in the accounts of its start."""
        accounts = holding.accounts if holding is not None else self._of(entry)
        if not accounts:
            return
        known_mg, is_known, pending = _weight(entry)
        if not is_known:
            known_mg = max(known_mg, UNKNOWN_MG if holding is None else holding.mg)
        whose = None if pending else entry.origin_call_id or entry.call_id
        self._accounts.settle([self._settlement(account, whose, known_mg) for _, account in accounts])

    def release(self, holding: Holding) -> None:
        """Gives back what was reserved by a call that was never made."""
        if holding.is_reserved or (holding.lost and holding.call_id):
            now_ms = self._clock.now_ms()
            held = [account for _, account in holding.accounts]
            self._accounts.settle([Settlement(each.key, holding.call_id, 0, now_ms, each.drop_at_ms) for each in held])

    def period_ends(self) -> Iterator[tuple[str, float]]:
        """Name of each budget, and when its period of now ends, in seconds since 1970 UTC; without an end: infinity."""
        now_ms = self._clock.now_ms()
        for rule in self._rules:
            end_ms = rule.account_at(now_ms).span.end_ms
            yield rule.name, math.inf if end_ms is None else end_ms / 1000

    def figures(self) -> Iterator[tuple[str, float, float | None, float | None]]:
        """Name, limit, used and reserved gCO2e of each budget, as far as this process knows its account of now; on any thread."""
        now_ms = self._clock.now_ms()
        for rule in self._rules:
            state = self._accounts.last_seen(now_ms, rule.account_at(now_ms).key)
            limit_g = rule.limit_mg / MG_PER_G
            yield (
                (rule.name, limit_g, None, None)
                if state is None
                else (
                    rule.name,
                    limit_g,
                    state.used_mg / MG_PER_G,
                    state.reserved_mg / MG_PER_G,
                )
            )

    def counts(self) -> Counts:
        """Calls by budget and by what it made of them."""
        return self._counts.copy()

    def note(self, rule: Rule, action: str) -> None:
        """Counts what a budget made of a call."""
        self._counts[rule.name, action] += 1

    async def _entered(self, call_id: str, pairs: Sequence[tuple[Rule, Account]], claims: Sequence[Claim]) -> Entered:
        """Reserves; accounts that nobody opened yet are seeded first. A server that forgets them at once is no server."""
        for _ in range(3):
            entered = await self._accounts.enter(self._clock.now_ms(), call_id, claims)
            if not entered.unseeded:
                return entered
            await self._seed([pair for pair in pairs if pair[1].key in entered.unseeded])
        raise ConnectionError("accounts do not stay open")

    async def _seed(self, pairs: Sequence[tuple[Rule, Account]]) -> None:
        """Opens accounts, in the background where that takes longer than a call may wait. Raises LedgerUnavailable, OSError."""
        tasks = [self._begun(rule, account) for rule, account in pairs]
        _, late = await asyncio.wait(tasks, timeout=SEED_S)
        if late:
            raise ConnectionError("accounts are being summed up from the ledger")
        for task in tasks:
            task.result()

    def _begun(self, rule: Rule, account: Account) -> asyncio.Task[None]:
        """The task that opens an account, one for all who wait for it."""
        task = self._seedings.get(account.key)
        if task is None:
            task = self._seedings[account.key] = asyncio.get_running_loop().create_task(self._seed_now(rule, account))
            task.add_done_callback(partial(self._seeded, account.key))
        return task

    def _seeded(self, key: str, task: asyncio.Task[None]) -> None:
        """Forgets the task, and its error, for which nobody may wait any more."""
        del self._seedings[key]
        if not task.cancelled():
            task.exception()

    async def _seed_now(self, rule: Rule, account: Account) -> None:
        """Opens an account with what the ledger knows of it; once, however many calls wait for it. Raises LedgerUnavailable, OSError."""
        async with self._seeding:
            if await self._accounts.look(self._clock.now_ms(), account.key) is not None:
                return
            as_of_ms = self._clock.now_ms() - COMMIT_MS
            history = await asyncio.to_thread(open_account, self._store, rule, account, self._in_force)
            self._accounts.drop_old(self._clock.now_ms())
            await self._accounts.seed(account.key, history.used_mg, as_of_ms=as_of_ms, drop_at_ms=account.drop_at_ms)

    def _of(self, entry: CallRecord) -> tuple[tuple[Rule, Account], ...]:
        return tuple((rule, rule.account_at(entry.started_ms)) for rule in self.matching(entry.tags, entry.caller_id))

    def _settlement(self, account: Account, whose: str | None, mg: float) -> Settlement:
        """Whole milligrams; what is below one is carried to the account's next call."""
        if len(self._crumbs_mg) >= REMEMBERED:
            self._crumbs_mg.clear()
        carried = self._crumbs_mg.get(account.key, 0.0) + mg
        whole = math.floor(carried)
        self._crumbs_mg[account.key] = carried - whole
        return Settlement(account.key, whose, whole, self._clock.now_ms(), account.drop_at_ms)

    def _lose(self, error: Exception) -> None:
        if not self._is_blind:
            what = type(error.__cause__ or error).__name__
            _log.warning("budgets cannot be counted now (%s): their `on_lost` decides; what calls come to is kept and counted later", what)
        self._is_blind = True
        self._blind_until = self._clock.perf() + BLIND_S

    def _see(self) -> None:
        if self._is_blind:
            _log.warning("budgets are counted again")
        self._is_blind = False


def _claim(rule: Rule, account: Account, mg: int) -> Claim:
    return Claim(
        key=account.key,
        limit_mg=rule.limit_mg,
        mg=mg,
        blocks=rule.budget.on_exceed == "refuse",
        lease_ms=rule.lease_ms,
        drop_at_ms=account.drop_at_ms,
    )


def _standing(pair: tuple[Rule, Account], state: State, mg: int) -> Standing:
    rule, account = pair
    return Standing(rule=rule, account=account, used_mg=state.used_mg, spoken_mg=state.used_mg + state.reserved_mg + mg, fits=state.fits)


def _weight(entry: CallRecord) -> tuple[float, bool, bool]:
    """Milligrams of all attempts; whether all of them are known; whether its work goes on at the provider."""
    known_mg, is_known, pending = 0.0, True, False
    for attempt in entry.attempts:
        if attempt.estimate is not None:
            known_mg += attempt.estimate.gco2e.mean * MG_PER_G
        elif attempt.unweighed_reason not in NOTHING_MADE:
            is_known = False
        elif attempt.unweighed_reason == PENDING:
            pending = True
    return known_mg, is_known, pending
