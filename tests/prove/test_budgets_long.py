"""The long proof of shared budgets: 6,000 calls from four processes at once, and a process that is killed. `make prove` runs it.

It must never be part of `make test`.
"""

from collections.abc import Iterator

import pytest

from tests.contract.budget_crowds import prove_the_limit
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
