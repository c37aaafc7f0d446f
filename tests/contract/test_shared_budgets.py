"""Budgets that several processes count in one server of Redis's kind: nothing twice, nothing lost for longer than a lease, and what
happens when it is gone."""

import asyncio
import itertools
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from proxy.budgets import shared
from proxy.budgets.account import Claim, Settlement, State
from proxy.budgets.rule import Rule
from proxy.budgets.shared import PATIENCE_S, RedisAccounts
from tests.contract.budget_crowds import looked, prove_the_limit, seeded, started
from tests.contract.proxy_harness import GRAMMAGE, Proxy, proxy, serve_command, until
from tests.contract.redis_server import RedisServer, redis_program, redis_server
from tests.contract.scripted_upstream import ScriptedUpstream
from tests.contract.test_budgets import CALL_G, LARGE, NOEL, OK, aliases, budget, counted, gauge, ledger_g

NAMES = itertools.count()

pytestmark = pytest.mark.skipif(
    redis_program() is None, reason="no package has a Redis server for this Python and machine, and none is installed: apt install redis"
)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
def name() -> str:
    """A budget that nobody has used."""
    return f"budget-{next(NAMES)}"


def claim(key: str, mg: int = 10, limit_mg: int = 100, lease_ms: int = 60_000) -> Claim:
    return Claim(key=key, limit_mg=limit_mg, mg=mg, blocks=True, lease_ms=lease_ms, drop_at_ms=0)


def test_processes_at_once_stay_within_a_limit_but_for_the_calls_in_flight(redis: RedisServer, name: str) -> None:
    prove_the_limit(redis, name, processes=2, calls=150)


def test_a_process_that_is_killed_holds_its_reservation_no_longer_than_its_lease(redis: RedisServer, name: str) -> None:
    asyncio.run(seeded(redis, name))
    holder = started("hold", redis.url, name, 100, 90, 1_500)
    assert holder.stdout is not None
    with holder.stdout:
        assert json.loads(holder.stdout.readline()) == {"held": True}
        holder.kill()
        holder.wait(30)
    assert asyncio.run(looked(redis, name)) == State(0, 90), "killed, and held until the lease ends"
    until(lambda: asyncio.run(looked(redis, name)) == State(0, 0) or None)


async def test_only_the_first_of_several_seeds_counts(redis: RedisServer, name: str) -> None:
    pair = [RedisAccounts(redis.url, writer=f"{name}{number}") for number in range(2)]
    assert (await pair[0].enter(0, "c", [claim(name)])).unseeded == (name,)
    await asyncio.gather(*(each.seed(name, 40, as_of_ms=0, drop_at_ms=0) for each in pair))
    assert await pair[1].look(0, name) == State(40, 0)
    for each in pair:
        await each.close()


async def test_a_settlement_that_is_sent_again_counts_once(redis: RedisServer, name: str) -> None:
    accounts = RedisAccounts(redis.url, writer=name)
    await accounts.seed(name, 0, as_of_ms=0, drop_at_ms=0)
    for _ in range(2):
        await accounts._run("settle", 0, "c", [name], [7, 0, name, 1, 1])
    await accounts._run("settle", 0, "d", [name], [5, 0, name, 2, 1])
    assert await accounts.look(0, name) == State(12, 0)
    await accounts.close()


async def test_a_settlement_that_waited_while_its_account_was_seeded_anew_is_not_counted_twice(redis: RedisServer, name: str) -> None:
    accounts = RedisAccounts(redis.url, writer=name)
    await accounts.seed(name, 40, as_of_ms=1000, drop_at_ms=0)
    await accounts.enter(0, "c", [claim(name)])
    accounts.settle([Settlement(name, "c", 7, at_ms=999), Settlement(name, None, 5, at_ms=1000)])
    await accounts.settled()
    assert await accounts.look(0, name) == State(45, 0)
    await accounts.close()


async def test_a_settlement_that_came_before_its_account_was_seeded_anew_counts_unless_the_ledger_had_it(
    redis: RedisServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared, "RETRY_S", 0.01)
    accounts = RedisAccounts(redis.url, writer=name)
    accounts.settle([Settlement(name, "b", 5, at_ms=999), Settlement(name, "c", 7, at_ms=1000)])
    await accounts.settled()
    assert await accounts.look(0, name) is None
    await accounts.seed(name, 40, as_of_ms=1000, drop_at_ms=0)
    accounts.settle([Settlement(name, "d", 100, at_ms=1001)])
    assert accounts._holding is not None
    await asyncio.wait_for(accounts._holding, 15)
    await accounts.settled()
    assert await accounts.look(0, name) == State(147, 0)
    await accounts.close()


async def test_what_nobody_seeds_is_not_held_for_ever(redis: RedisServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "RETRY_S", 0.01)
    monkeypatch.setattr(shared, "HELD_S", 0.05)
    accounts = RedisAccounts(redis.url, writer=name)
    accounts.settle([Settlement(name, "b", 5, at_ms=999)])
    await accounts.settled()
    assert accounts._holding is not None
    await asyncio.wait_for(accounts._holding, 15)
    assert accounts._held == []
    await accounts.close()


async def test_settlements_wait_while_the_server_is_gone_and_are_sent_when_it_is_back(name: str) -> None:
    with redis_server() as own:
        accounts = RedisAccounts(own.url, writer=name)
        await accounts.seed(name, 0, as_of_ms=0, drop_at_ms=0)
        with own.frozen():
            for number in range(3):
                accounts.settle([Settlement(name, f"c{number}", 5, 1)])
            with pytest.raises(ConnectionError):
                await accounts.enter(0, "d", [claim(name)])
        accounts.settle([Settlement(name, "d", 4, 1)])
        await accounts.settled()
        assert await accounts.look(0, name) == State(19, 0), "also what was reserved while the answer could not come"
        await accounts.close()


async def test_a_server_that_hangs_holds_a_crowd_up_no_longer_than_one_call(name: str) -> None:
    with redis_server() as own:
        accounts = RedisAccounts(own.url, writer=name)
        await accounts.seed(name, 0, as_of_ms=0, drop_at_ms=0)
        with own.frozen():
            before = time.monotonic()
            crowd = (accounts.enter(0, f"c{number}", [claim(name)]) for number in range(500))
            found = await asyncio.gather(*crowd, return_exceptions=True)
            waited_s = time.monotonic() - before
        await accounts.close()
    assert all(isinstance(each, ConnectionError) for each in found)
    assert waited_s < 8 * PATIENCE_S, "in turns of 32 they would wait 16 times as long as one"


async def test_beyond_many_settlements_that_wait_are_added_up_and_none_is_lost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.budgets.shared.MOST_WAITING", 10)
    with redis_server() as own:
        accounts = RedisAccounts(own.url, writer=name)
        await accounts.seed(name, 0, as_of_ms=0, drop_at_ms=0)
        with own.frozen():
            accounts.settle([Settlement(name, f"c{number}", 1, 1) for number in range(100)])
            assert len(accounts._waiting) <= 10
        await accounts.settled()
        assert await accounts.look(0, name) == State(100, 0)
        await accounts.close()


def content(folder: Path, url: str, redis: str, *budgets: dict[str, Any]) -> Path:
    file = folder / "c.yaml"
    settings = {"server": {"listen": "127.0.0.1:0"}, "redis": redis, "models": aliases(url), "budgets": list(budgets)}
    file.write_text(json.dumps({"version": 1, **settings}))
    return file


def test_two_proxies_on_one_redis_hold_a_budget_together_and_seed_it_once(
    redis: RedisServer, name: str, tmp_path: Path, upstream: ScriptedUpstream
) -> None:
    upstream.answers(*OK)
    content(tmp_path, upstream.url, redis.url, budget(0.35, name=name))
    ledger = tmp_path / "grammage.db"
    with serve_command(tmp_path, "--config", "c.yaml") as first:
        one = first.proxy(ledger)
        assert [one.chat(LARGE, **NOEL).status for _ in range(2)] == [200, 200]
        with serve_command(tmp_path, "--config", "c.yaml") as second:
            pair = (one, second.proxy(ledger))
            statuses = [pair[number % 2].chat(LARGE, **NOEL).status for number in range(6)]
            assert sorted(statuses) == [200, 200, 402, 402, 402, 402]
            until(lambda: gauge(pair[0], "reserved", name) == 0 or None)
            shown = told(tmp_path)
            assert shown["used_kgco2e"] * 1000 == pytest.approx(ledger_g(pair[1]), abs=0.002)
            assert shown["reserved_kgco2e"] == 0


def told(folder: Path) -> dict[str, Any]:
    command = [*GRAMMAGE, "budgets", "--config", "c.yaml", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (line,) = json.loads(done.stdout)
    found: dict[str, Any] = line
    return found


@pytest.mark.parametrize(("on_lost", "status"), [("fail_open", 200), ("fail_closed", 503)])
def test_while_redis_is_gone_a_budget_says_itself_what_becomes_of_calls(
    name: str, tmp_path: Path, upstream: ScriptedUpstream, on_lost: str, status: int
) -> None:
    upstream.answers(*OK)
    with redis_server() as own:
        one = budget(10, name=name, on_lost=on_lost)
        with proxy(tmp_path, models=aliases(upstream.url), budgets=[one], redis=own.url) as made:
            assert made.chat(LARGE, **NOEL).status == 200
            until(lambda: gauge(made, "reserved", name) == 0 or None)
            with own.frozen():
                answer = made.chat(LARGE, **NOEL)
                assert answer.status == status
                if status == 503:
                    assert answer.error["code"] == "budget_unavailable"
                    assert name in answer.error["message"]
                assert made.chat(LARGE).status == 200, "a call that no budget counts"
                assert counted(made, on_lost, name) == 1
            until(lambda: made.chat(LARGE, **NOEL).status == 200 or None)
            until(lambda: shared_g(own, made, one) or None)


def shared_g(own: RedisServer, made: Proxy, one: dict[str, Any]) -> bool:
    """True once Redis has counted what the ledger has of the campaign."""
    rule = Rule(Settings.model_validate({"budgets": [one]}).budgets[0])
    state = asyncio.run(looked(own, rule.account_at(0).key))
    counts = [row["gco2e"] for row in made.calls() if "noel-26" in row["tags"]]
    return state.reserved_mg == 0 and abs(state.used_mg / 1000 - sum(counts)) < 0.002


def test_a_redis_that_lost_its_memory_is_seeded_again_from_the_ledger(name: str, tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*OK)
    one = budget(0.35, name=name, on_lost="fail_closed")
    with redis_server() as own, proxy(tmp_path, models=aliases(upstream.url), budgets=[one], redis=own.url) as made:
        assert [made.chat(LARGE, **NOEL).status for _ in range(2)] == [200, 200]
        until(lambda: gauge(made, "reserved", name) == 0 or None)
        own.stop()
        own.start()
        until(lambda: made.chat(LARGE, **NOEL).status == 402 or None)
        assert ledger_g(made) <= 0.35 + CALL_G
        assert shared_g(own, made, one)
