"""Accounts of budgets: periods, whose calls they count, and the same sums in this process as in Redis, whatever happens to them."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.budgets import Budget, Period
from proxy.budgets.account import Accounts, Claim, Entered, MemoryAccounts, Settlement, State
from proxy.budgets.rule import Rule
from proxy.budgets.shared import RedisAccounts
from proxy.budgets.span import Span, instant, span_of
from tests.contract.redis_server import RedisServer, redis_program, redis_server

RUNS = itertools.count()
NOW = 1_800_000_000_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    if redis_program() is None:
        pytest.skip("no package has a Redis server for this Python and machine, and none is installed: apt install redis")
    with redis_server() as server:
        yield server


@pytest.mark.parametrize(
    ("period", "begins", "ends"),
    [
        ("hour", "2026-12-31T23:00", "2027-01-01T00:00"),
        ("day", "2026-12-31", "2027-01-01"),
        ("week", "2026-12-28", "2027-01-04"),
        ("month", "2026-12-01", "2027-01-01"),
        ("quarter", "2026-10-01", "2027-01-01"),
        ("year", "2026-01-01", "2027-01-01"),
    ],
)
def test_a_period_begins_and_ends_by_utc(period: Period, begins: str, ends: str) -> None:
    span = span_of(period, ms("2026-12-31T23:59:59.999"))
    assert span == Span(ms(begins), ms(ends))
    assert span_of(period, ms(ends)).start_ms == ms(ends), "the next one begins where this one ends"
    assert instant(ms(begins)) == f"{begins}:00Z" if "T" in begins else f"{begins}T00:00:00Z"


def test_all_is_one_period_for_ever() -> None:
    assert span_of("all", NOW) == Span(0, None)


@given(st.sampled_from(["hour", "day", "week", "month", "quarter", "year"]), st.integers(min_value=0, max_value=4 * 10**12))
def test_every_instant_lies_in_its_period(period: Period, at_ms: int) -> None:
    span = span_of(period, at_ms)
    assert span.holds(at_ms)
    assert span.end_ms is not None
    assert span_of(period, span.end_ms - 1) == span


def test_a_budget_counts_calls_that_carry_all_its_tags_and_come_with_its_keys() -> None:
    rule = Rule(
        Budget.model_validate({"name": "b", "limit_kgco2e": 1, "match": {"campaign": ["a", "b"], "brand": "x"}, "keys": ["studio"]})
    )
    assert rule.matches({"campaign": "b", "brand": "x", "market": "fr"}, "studio")
    assert not rule.matches({"campaign": "b", "brand": "x"}, "agency")
    assert not rule.matches({"campaign": "c", "brand": "x"}, "studio")
    assert not rule.matches({"campaign": "a"}, "studio")
    assert Rule(Budget(name="all", limit_kgco2e=1)).matches({}, "anyone")


def test_a_budget_that_counts_other_calls_under_the_same_name_has_another_account_and_a_new_limit_has_not() -> None:
    one = Rule(Budget.model_validate({"name": "b", "limit_kgco2e": 1, "match": {"campaign": "a"}}))
    other = Rule(Budget.model_validate({"name": "b", "limit_kgco2e": 1, "match": {"campaign": "b"}}))
    more = Rule(Budget.model_validate({"name": "b", "limit_kgco2e": 2, "match": {"campaign": "a"}, "on_exceed": "refuse"}))
    assert one.account_at(NOW).key == more.account_at(NOW).key != other.account_at(NOW).key


def test_a_limit_is_in_whole_milligrams() -> None:
    assert Rule(Budget(name="b", limit_kgco2e=12)).limit_mg == 12_000_000
    assert Rule(Budget(name="b", limit_kgco2e=1e-9)).limit_mg == 1


def claim(key: str = "a", mg: int = 10, limit_mg: int = 100, *, blocks: bool = True, lease_ms: int = 1000) -> Claim:
    return Claim(key=key, limit_mg=limit_mg, mg=mg, blocks=blocks, lease_ms=lease_ms, drop_at_ms=0)


async def test_an_account_counts_before_it_is_seeded_only_what_the_ledger_cannot_have_had() -> None:
    accounts = MemoryAccounts()
    assert await accounts.enter(NOW, "c", [claim()]) == Entered(False, unseeded=("a",))
    accounts.settle([Settlement("a", "b", 100, NOW - 1), Settlement("a", "c", 5, NOW), Settlement("other", "d", 1000, NOW)])
    await accounts.seed("a", 7, as_of_ms=NOW, drop_at_ms=0)
    await accounts.seed("a", 70, as_of_ms=0, drop_at_ms=0)
    assert await accounts.look(NOW, "a") == State(12, 0)
    accounts.settle([Settlement("a", "e", 1, NOW)])
    assert await accounts.look(NOW, "a") == State(13, 0)


async def test_a_call_that_one_budget_refuses_reserves_nothing_of_the_others() -> None:
    accounts = MemoryAccounts()
    for key in ("a", "b"):
        await accounts.seed(key, 95 if key == "b" else 0, as_of_ms=0, drop_at_ms=0)
    entered = await accounts.enter(NOW, "c", [claim("a"), claim("b")])
    assert (entered.is_reserved, [state.fits for state in entered.states]) == (False, [True, False])
    assert await accounts.look(NOW, "a") == State(0, 0)
    assert (await accounts.enter(NOW, "c", [claim("a"), claim("b", blocks=False)])).is_reserved, "one that only warns blocks nothing"
    assert await accounts.look(NOW, "b") == State(95, 10)


async def test_a_reservation_ends_with_its_lease_and_a_late_settlement_still_counts() -> None:
    accounts = MemoryAccounts()
    await accounts.seed("a", 0, as_of_ms=0, drop_at_ms=0)
    await accounts.enter(NOW, "dead", [claim(mg=90)])
    assert not (await accounts.enter(NOW + 999, "c", [claim(mg=20)])).is_reserved
    assert (await accounts.enter(NOW + 1000, "c", [claim(mg=20)])).is_reserved
    accounts.settle([Settlement("a", "dead", 33, NOW)])
    assert await accounts.look(NOW + 1001, "a") == State(33, 20)


CALLS = st.sampled_from(["c1", "c2", "c3", "c4"])
KEYS = st.sampled_from(["a", "b"])
AMOUNTS = st.integers(min_value=0, max_value=60)
CLAIMS = st.lists(
    st.tuples(KEYS, AMOUNTS, st.booleans(), st.sampled_from([5, 10, 20])), min_size=1, max_size=2, unique_by=lambda each: each[0]
)
STEPS = st.one_of(
    st.tuples(st.just("enter"), CALLS, CLAIMS),
    st.tuples(st.just("settle"), st.one_of(CALLS, st.none()), st.tuples(KEYS, AMOUNTS)),
    st.tuples(st.just("seed"), st.none(), st.tuples(KEYS, AMOUNTS)),
    st.tuples(st.just("wait"), st.none(), st.sampled_from([5, 10])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=40))
def test_memory_and_redis_keep_the_same_accounts(redis: RedisServer, steps: list[tuple[str, str | None, object]]) -> None:
    run = next(RUNS)

    async def both() -> None:
        memory, shared = MemoryAccounts(), RedisAccounts(redis.url, writer=f"w{run}", own_time=True)
        try:
            ours = [await told(memory, run, step) for step in timed(steps)]
            theirs = [await told(shared, run, step) for step in timed(steps)]
            assert ours == theirs
        finally:
            await shared.close()

    asyncio.run(both())


def timed(steps: list[tuple[str, str | None, object]]) -> Iterator[tuple[int, str, str | None, object]]:
    now_ms = NOW
    for what, call_id, facts in steps:
        if what == "wait":
            assert isinstance(facts, int)
            now_ms += facts
        yield now_ms, what, call_id, facts


async def told(accounts: Accounts, run: int, step: tuple[int, str, str | None, object]) -> object:
    """What the accounts answer to a step, and how both stand after it."""
    now_ms, what, call_id, facts = step
    answer: object = None
    if what == "enter":
        assert isinstance(facts, list)
        claims = [claim(f"{run}{key}", mg, blocks=blocks, lease_ms=lease) for key, mg, blocks, lease in facts]
        answer = await accounts.enter(now_ms, str(call_id), claims)
    elif what == "settle":
        assert isinstance(facts, tuple)
        accounts.settle([Settlement(f"{run}{facts[0]}", call_id, facts[1], now_ms)])
        if isinstance(accounts, RedisAccounts):
            await accounts.settled()
    elif what == "seed":
        assert isinstance(facts, tuple)
        await accounts.seed(f"{run}{facts[0]}", facts[1], as_of_ms=now_ms + 15, drop_at_ms=0)
    return answer, [await accounts.look(now_ms, f"{run}{key}") for key in "ab"]
