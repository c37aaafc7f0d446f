"""Counting iterations: calls under way count, what failed is given back, and what other processes made is seen after a while."""

import asyncio
from collections.abc import Mapping

from config.policies import Iterations
from proxy.alternative.iterations import SHARED_S, Counts, Turn
from proxy.ledger.base import LedgerUnavailable

TWICE = Iterations(at_most=2)
HERO = {"asset": "hero"}


class Ledger:
    """A ledger that says what a test has it say. asked: how often it was read."""

    def __init__(self, made: Mapping[tuple[str, str], int] | None) -> None:
        self.made = made
        self.asked = 0

    def read(self, policy: str, mode: str, tag: str, beside: str) -> Mapping[tuple[str, str], int]:
        assert (policy, mode, tag, beside) == ("p", "enforce", "asset", "brand")
        self.asked += 1
        if self.made is None:
            raise LedgerUnavailable
        return self.made


class Clock:
    now = 0.0

    def perf(self) -> float:
        return self.now


async def turn(counts: Counts) -> Turn:
    found = await counts.enter("p", "enforce", TWICE, HERO)
    assert found is not None
    return found


async def test_calls_under_way_count_until_they_fail() -> None:
    counts = Counts(Ledger({}).read, Clock().perf, shared=False)
    first, second = await turn(counts), await turn(counts)
    assert (first.number, second.number, second.is_beyond) == (1, 2, False)
    assert (await turn(counts)).is_beyond
    first.end(answered=False)
    first.end(answered=True)
    second.end(answered=True)
    assert (await turn(counts)).number == 3, "one answered, one still under way, and this one"


async def test_one_process_reads_the_ledger_once_whoever_comes_first() -> None:
    ledger = Ledger({("hero", ""): 5})
    counts = Counts(ledger.read, Clock().perf, shared=False)
    found = await asyncio.gather(*(turn(counts) for _ in range(8)))
    assert sorted(each.number for each in found) == list(range(6, 14))
    assert ledger.asked == 1
    assert await counts.enter("p", "enforce", TWICE, {"brand": "acme"}) is None


async def test_several_processes_see_each_other_after_a_while() -> None:
    ledger, clock = Ledger({}), Clock()
    counts = Counts(ledger.read, clock.perf, shared=True)
    (await turn(counts)).end(answered=True)
    ledger.made = {("hero", ""): 4}
    clock.now = SHARED_S / 2
    assert (await turn(counts)).number == 2
    clock.now = SHARED_S * 2
    assert (await turn(counts)).number == 6, "four of all, one under way here, and this one"
    ledger.made = {}
    clock.now = SHARED_S * 4
    assert (await turn(counts)).number == 7, "a ledger that lags takes nothing back"


async def test_a_ledger_that_cannot_be_read_holds_no_call_back_and_is_asked_again() -> None:
    ledger = Ledger(None)
    counts = Counts(ledger.read, Clock().perf, shared=False)
    assert [(await turn(counts)).number for _ in range(2)] == [1, 2]
    ledger.made = {("hero", ""): 9}
    assert (await turn(counts)).number == 12
    assert ledger.asked == 3
