"""A process that reserves and settles on a shared account, for tests of several processes. It must never share anything but Redis."""

import asyncio
import json
import os
import sys

from proxy.budgets.account import Claim, Settlement
from proxy.budgets.shared import RedisAccounts

LONG_MS = 600_000
PATIENCE_S = 10.0
AT_ONCE = 100


def claim(key: str, limit_mg: int, mg: int, lease_ms: int = LONG_MS) -> Claim:
    """A claim that is refused where it does not fit."""
    return Claim(key=key, limit_mg=limit_mg, mg=mg, blocks=True, lease_ms=lease_ms, drop_at_ms=0)


async def crowd(url: str, key: str, calls: int, limit_mg: int, mg: int, real_mg: int, lease_ms: int = LONG_MS) -> dict[str, int]:
    """So many calls at once: each that is let in comes to `real_mg`. `most_in_flight`: calls of all
    processes that had reserved and not settled, as far as any of these saw."""
    accounts = RedisAccounts(url, writer=f"p{os.getpid()}", patience_s=PATIENCE_S)
    seen = {"let_in": 0, "refused": 0, "most_in_flight": 0}

    turns = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        call_id = f"{os.getpid()}-{number}"
        async with turns:
            entered = await accounts.enter(0, call_id, [claim(key, limit_mg, mg, lease_ms)])
            await asyncio.sleep(0)  # some of the others come in before it ends
        (state,) = entered.states
        seen["most_in_flight"] = max(seen["most_in_flight"], state.reserved_mg // mg + 1)
        if not entered.is_reserved:
            seen["refused"] += 1
            return
        seen["let_in"] += 1
        accounts.settle([Settlement(key, call_id, real_mg, 1)])

    await asyncio.gather(*(one(number) for number in range(calls)))
    await accounts.settled()
    await accounts.close()
    return seen


async def hold(url: str, key: str, limit_mg: int, mg: int, lease_ms: int) -> None:
    """Reserves, says so, and never settles: whoever started it ends it."""
    accounts = RedisAccounts(url, writer="holder")
    entered = await accounts.enter(0, "held", [claim(key, limit_mg, mg, lease_ms)])
    print(json.dumps({"held": entered.is_reserved}), flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """`budget_child crowd|hold URL KEY NUMBERS...`."""
    what, url, key, *numbers = sys.argv[1:]
    told = [int(number) for number in numbers]
    if what == "crowd":
        print(json.dumps(asyncio.run(crowd(url, key, *told))), flush=True)
    else:
        asyncio.run(hold(url, key, *told))


if __name__ == "__main__":
    main()
