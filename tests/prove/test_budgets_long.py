"""The long proof of shared budgets: 6,000 calls from four processes at once, and a process that is killed. `make prove` runs it.

It must never be part of `make test`.
"""

import asyncio
from collections.abc import Iterator

import pytest

from tests.contract.budget_crowds import looked, prove_the_limit, seeded, started
from tests.contract.proxy_harness import until
from tests.contract.redis_server import RedisServer, redis_program, redis_server

PROCESSES, CALLS = 4, 1_500

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(300),
    pytest.mark.skipif(redis_program() is None, reason="no package has a Redis server here, and none is installed: apt install redis"),
]


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.mark.parametrize("run", range(3))
def test_6000_calls_of_four_processes_stay_within_a_limit_but_for_those_in_flight(redis: RedisServer, run: int) -> None:
    seen = prove_the_limit(redis, f"proof-{run}", processes=PROCESSES, calls=CALLS)
    print([each["let_in"] for each in seen], "in flight at most", max(each["most_in_flight"] for each in seen))


def test_processes_killed_amid_their_calls_hold_nothing_for_longer_than_a_lease(redis: RedisServer) -> None:
    key, limit_mg, mg, real_mg, lease_ms = "killed", 10_000_000, 10, 15, 3_000
    asyncio.run(seeded(redis, key))
    children = [started("crowd", redis.url, key, 20_000, limit_mg, mg, real_mg, lease_ms) for _ in range(PROCESSES)]
    until(lambda: asyncio.run(looked(redis, key)).reserved_mg > 20 * mg or None)
    for child in children:
        child.kill()
    for child in children:
        child.communicate(timeout=30)
    held = asyncio.run(looked(redis, key))
    assert held.reserved_mg > 0, "none of them settled what it held"
    until(lambda: asyncio.run(looked(redis, key)).reserved_mg == 0 or None)
    after = asyncio.run(looked(redis, key))
    assert after.used_mg == held.used_mg
    assert after.used_mg % real_mg == 0, "every settlement counted whole"
