"""Two replicas on one PostgreSQL and one Redis: killed in turn they lose and double nothing. `make prove`: for 100,000 calls."""

from pathlib import Path

import pytest

from tests.contract.redis_server import redis_program
from tests.replicas.proof import prove
from tests.replicas.told import check, table

CALLS, CONCURRENCY = 1_500, 3

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif(redis_program() is None, reason="no package has a Redis server here, and none is installed: apt install redis"),
]


async def test_each_component_is_killed_in_turn_and_all_adds_up(tmp_path: Path) -> None:
    run = await prove(tmp_path, calls=CALLS, concurrency=CONCURRENCY, gone_s=0.2)
    print(table(run))
    check(run)
