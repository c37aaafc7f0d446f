"""The budgets' room by itself: turns of periods, late and unknown figures, and counts that cannot be reached."""

import asyncio
import math
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.budgets import Budget
from proxy.budgets import keeper
from proxy.budgets.account import MemoryAccounts
from proxy.budgets.history import UNKNOWN_MG, Pin, read_account
from proxy.budgets.keeper import Budgets
from proxy.call import PENDING, CallRecord
from proxy.clock import Clock, uuid7
from proxy.ledger.base import Fetched, LedgerUnavailable
from proxy.ledger.budget_store import BudgetStore, Counted
from proxy.ledger.store import Store
from proxy.metrics.budgets import BudgetCollector
from tests.contract.ledgers import open_store, sqlite_url
from tests.sample_records import attempt, call, estimate

HOUR = 3_600_000
NOW = 500_000 * HOUR
PIN = Pin(method="tokens@1.0.0", factor_set="f00d")
TAGS = (("campaign", "noel-26"),)


class Hands(Clock):
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.ms = NOW
        self.s = 0.0

    def now_ms(self) -> int:
        return self.ms

    def perf(self) -> float:
        return self.s


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = open_store(sqlite_url(tmp_path))
    made.open_writer("commit")
    yield made
    made.close()


def rule_of(**changes: object) -> Budget:
    return Budget.model_validate({"name": "b", "match": {"campaign": "noel-26"}, "limit_kgco2e": 0.001, "period": "hour"} | changes)


def house(store: Store, hands: Hands, *budgets: Budget) -> Budgets:
    return Budgets(budgets, MemoryAccounts(), store.budgets(), PIN, hands)


def used_g(budgets: Budgets) -> tuple[float | None, float | None]:
    ((_, _, used, reserved),) = budgets.figures()
    return used, reserved


def made(started_ms: int = NOW, grams: float = 0.1, **changes: object) -> CallRecord:
    call_id = uuid7(started_ms)
    found = estimate()
    weighed = found._replace(gco2e=found.gco2e._replace(p50=grams / found.gco2e.mean * found.gco2e.p50))
    own = {"call_id": call_id, "started_ms": started_ms, "tags": TAGS, "attempts": (attempt(attempt_id=call_id, estimate=weighed),)}
    return call(**(own | changes))


async def test_at_the_turn_of_a_period_an_account_begins_anew_and_late_settlements_belong_to_the_old_one(store: Store) -> None:
    hands = Hands()
    budgets = house(store, hands, rule_of())
    (rule,) = budgets.matching(TAGS, "anyone")
    old = made(NOW + HOUR - 1)
    hands.ms = NOW + HOUR - 1
    holding = await budgets.enter(old.call_id, hands.ms, [rule], 900)
    assert holding.is_reserved
    hands.ms = NOW + HOUR
    fresh = await budgets.enter("new", hands.ms, [rule], 900)
    assert (fresh.is_reserved, fresh.standings[0].used_mg) == (True, 0)
    budgets.settle(old, holding)
    assert used_g(budgets) == (0, 0.9)
    assert read_account(store.budgets(), rule, rule.account_at(NOW)).used_mg == 0, "the ledger gets it from the recorder, not from here"


async def test_what_is_not_known_of_a_call_counts_as_it_was_reserved_and_never_as_nothing(store: Store) -> None:
    hands = Hands()
    budgets = house(store, hands, rule_of())
    await budgets.open()
    unweighed = (attempt(estimate=None, unweighed_reason="weighing_failed"),)
    entry = made(attempts=unweighed)
    budgets.settle(entry, await budgets.enter(entry.call_id, NOW, budgets.matching(TAGS, "x"), 70))
    assert used_g(budgets) == (0.07, 0)
    budgets.settle(made(attempts=unweighed), None)
    assert used_g(budgets) == (0.07 + UNKNOWN_MG / 1000, 0)


async def test_work_that_goes_on_keeps_its_reservation_until_it_is_booked(store: Store) -> None:
    hands = Hands()
    budgets = house(store, hands, rule_of())
    await budgets.open()
    entry = made(attempts=(attempt(estimate=None, usage=None, unweighed_reason=PENDING),))
    budgets.settle(entry, await budgets.enter(entry.call_id, NOW, budgets.matching(TAGS, "x"), 70))
    assert used_g(budgets) == (0, 0.07)
    budgets.settle(made(grams=0.2, origin_call_id=entry.call_id), None)
    used, reserved = used_g(budgets)
    assert used == pytest.approx(0.2, abs=0.001)
    assert reserved == 0


async def test_calls_below_a_milligram_add_up(store: Store) -> None:
    hands = Hands()
    budgets = house(store, hands, rule_of())
    await budgets.open()
    for _ in range(1000):
        budgets.settle(made(grams=0.0001), None)
    assert used_g(budgets)[0] == pytest.approx(0.1, abs=0.0011)


async def test_many_first_calls_of_a_period_read_the_ledger_once(store: Store) -> None:
    hands = Hands()
    read = []

    class Counting(BudgetStore):
        def sums(self, *arguments: object, **more: object) -> list[dict[str, object]]:
            read.append(1)
            return super().sums(*arguments, **more)  # type: ignore[arg-type]  # passed on as they came

    budgets = Budgets([rule_of()], MemoryAccounts(), Counting(store._door), PIN, hands)
    rules = budgets.matching(TAGS, "x")
    held = await asyncio.gather(*(budgets.enter(f"c{number}", NOW, rules, 30) for number in range(50)))
    assert (len(read), sum(each.is_reserved for each in held)) == (1, 50), "one that warns lets all of them in"


async def test_a_ledger_that_cannot_be_read_leaves_the_word_to_on_lost_and_is_asked_again(store: Store) -> None:
    hands, broken = Hands(), [True]

    class Broken(BudgetStore):
        def pin(self, key: str, value: str) -> str:
            if broken[0]:
                raise LedgerUnavailable("gone")
            return super().pin(key, value)

    budgets = Budgets([rule_of()], MemoryAccounts(), Broken(store._door), PIN, hands)
    rules = budgets.matching(TAGS, "x")
    assert (await budgets.enter("c", NOW, rules, 30)).lost
    broken[0] = False
    assert (await budgets.enter("c", NOW, rules, 30)).lost, "it is let be for a second"
    hands.s = 1.5
    assert (await budgets.enter("c", NOW, rules, 30)).is_reserved


@pytest.mark.parametrize(
    ("pin", "holds"),
    [
        (Pin(method="tokens@1.0.0 images@1.0.0", factor_set="2026.11.0+abc"), True),
        (Pin(method="tokens", factor_set="2026.11.0"), True),
        (Pin(method="tokens@1.1.0", factor_set="2026.11.0"), False),
        (Pin(method="images", factor_set="2026.11.0"), False),
        (Pin(method="tokens", factor_set="2026.11.0+def"), False),
    ],
)
def test_a_pin_holds_for_estimates_by_its_method_and_factors(pin: Pin, holds: bool) -> None:
    assert pin.holds("tokens@1.0.0", "2026.11.0+abc") is holds


async def test_each_budget_tells_when_its_period_ends(store: Store) -> None:
    budgets = house(store, Hands(), rule_of(), rule_of(name="ever", period="all"))
    assert dict(budgets.period_ends()) == {"b": (NOW + HOUR) / 1000, "ever": math.inf}
    (told,) = [family for family in BudgetCollector(lambda: budgets).collect() if "period_end" in family.name]
    assert {sample.labels["budget"]: sample.value for sample in told.samples} == dict(budgets.period_ends())
    assert {sample.name for sample in told.samples} == {"grammage_budget_period_end_timestamp_seconds"}


class SlowStore(BudgetStore):
    """A ledger that sums up for as long as a test wants; `began` once it has begun, with what there is then."""

    def __init__(self, store: Store) -> None:
        super().__init__(store._door)
        self.began, self.goes_on = threading.Event(), threading.Event()

    def sums(self, counted: Counted, factor_set: str) -> list[Fetched]:
        found = super().sums(counted, factor_set)
        self.began.set()
        assert self.goes_on.wait(15)
        return found


async def test_a_call_waits_for_a_long_sum_no_longer_than_a_moment_and_what_ends_meanwhile_is_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "SEED_S", 0.02)
    hands, slow = Hands(), SlowStore(store)
    store.write([made(grams=0.5)])
    budgets = Budgets([rule_of()], MemoryAccounts(), slow, PIN, hands)
    rules, entry = budgets.matching(TAGS, "x"), made(grams=0.2)
    holding = await budgets.enter(entry.call_id, NOW, rules, 70)
    assert (holding.lost, holding.is_reserved, slow.began.wait(15)) == (True, False, True)
    budgets.settle(entry, holding)
    store.write([entry])
    hands.s += keeper.BLIND_S
    assert (await budgets.enter("another", NOW, rules, 70)).lost, "it waits for the same sum"
    slow.goes_on.set()
    monkeypatch.setattr(keeper, "SEED_S", 15)
    hands.s += keeper.BLIND_S
    after = await budgets.enter("third", NOW, rules, 70)
    assert after.is_reserved
    assert after.standings[0].used_mg == pytest.approx(700, abs=1)


async def test_a_sum_that_fails_when_nobody_waits_any_more_is_tried_again_by_the_next_call(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands, budgets_store = Hands(), store.budgets()
    failing = True

    def sums(counted: Counted, factor_set: str) -> list[Fetched]:
        if failing:
            raise LedgerUnavailable("down")
        return BudgetStore.sums(budgets_store, counted, factor_set)

    monkeypatch.setattr(budgets_store, "sums", sums)
    budgets = Budgets([rule_of()], MemoryAccounts(), budgets_store, PIN, hands)
    rules = budgets.matching(TAGS, "x")
    assert (await budgets.enter("a", NOW, rules, 70)).lost
    failing = False
    hands.s += keeper.BLIND_S
    assert (await budgets.enter("b", NOW, rules, 70)).is_reserved
