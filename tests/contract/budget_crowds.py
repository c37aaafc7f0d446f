"""What the short tests and the long proof of shared budgets have in common. It must never wait by the clock alone."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from proxy.budgets.account import State
from proxy.budgets.shared import RedisAccounts
from tests.contract.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
CHILD = (sys.executable, "-m", "tests.contract.budget_child")
END_S = 110


def started(*arguments: object) -> "subprocess.Popen[str]":
    """A child at work."""
    return subprocess.Popen([*CHILD, *map(str, arguments)], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def crowds(redis: RedisServer, key: str, *, processes: int, calls: int, limit_mg: int, mg: int, real_mg: int) -> list[dict[str, int]]:
    """What each of the processes saw, all of them at work at once."""
    children = [started("crowd", redis.url, key, calls, limit_mg, mg, real_mg) for _ in range(processes)]
    found = []
    for child in children:
        said, _ = child.communicate(timeout=END_S)
        assert child.returncode == 0
        seen: dict[str, int] = json.loads(said)
        found.append(seen)
    return found


def prove_the_limit(redis: RedisServer, key: str, *, processes: int, calls: int) -> list[dict[str, int]]:
    """Calls that come to half as much again as their forecast never take an account further beyond its limit than by those in flight."""
    limit_mg, mg, real_mg = processes * calls * 10 // 3, 10, 15
    asyncio.run(seeded(redis, key))
    seen = crowds(redis, key, processes=processes, calls=calls, limit_mg=limit_mg, mg=mg, real_mg=real_mg)
    account = asyncio.run(looked(redis, key))
    let_in = sum(each["let_in"] for each in seen)
    assert account == State(let_in * real_mg, 0), "what was let in is settled once, and nothing stays reserved"
    assert let_in + sum(each["refused"] for each in seen) == processes * calls
    in_flight = max(each["most_in_flight"] for each in seen)
    assert limit_mg - mg < account.used_mg <= limit_mg + in_flight * (real_mg - mg)
    return seen


async def seeded(redis: RedisServer, key: str, mg: int = 0) -> None:
    accounts = RedisAccounts(redis.url, writer="seeder")
    await accounts.seed(key, mg, as_of_ms=0, drop_at_ms=0)
    await accounts.close()


async def looked(redis: RedisServer, key: str) -> State:
    accounts = RedisAccounts(redis.url, writer="looker")
    found = await accounts.look(0, key)
    await accounts.close()
    assert found is not None
    return found
