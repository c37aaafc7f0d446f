"""The long proof of several replicas: 100,000 calls while each component is killed in turn. `make prove` runs it and prints a table.

GRAMMAGE_PROVE_REPLICA_CALLS takes another number. It must never be part of `make test`.
"""

import os
from pathlib import Path

import pytest

from tests.contract.redis_server import redis_program
from tests.replicas.proof import prove
from tests.replicas.told import check, table

CALLS = int(os.environ.get("GRAMMAGE_PROVE_REPLICA_CALLS", "100_000"))
CONCURRENCY = 32

pytestmark = [
    pytest.mark.prove,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(redis_program() is None, reason="no package has a Redis server here, and none is installed: apt install redis"),
]


async def test_two_replicas_whose_every_component_is_killed_lose_and_double_nothing(tmp_path: Path) -> None:
    run = await prove(tmp_path, calls=CALLS, concurrency=CONCURRENCY)
    print(f"\n{table(run)}")
    check(run)
