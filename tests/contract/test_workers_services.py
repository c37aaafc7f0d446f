"""Several workers on a PostgreSQL ledger with budgets and limits in Redis: what adds up when workers die, roll and lose a server."""

import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import create_engine, pool, text

from proxy.ledger.ids import id_text
from tests.contract.crew_harness import HAS_ENDED, SERVES, fresh, got, heard, scrape, workers_of
from tests.contract.loss_harness import Answer, Clients, Proxy, clients, crowd, running
from tests.contract.loss_provider import Provider, provider
from tests.contract.postgres_server import PostgresServer
from tests.contract.redis_server import RedisServer, redis_program, redis_server

WORKERS = 2
CONCURRENCY = 8
WITHOUT_LIMIT_KG = 1000.0
MG = 0.001
NO_ROOM = 402

pytestmark = [
    pytest.mark.timeout(110),
    pytest.mark.skipif(redis_program() is None, reason="no package has a Redis server here, and none is installed: apt install redis"),
]


@pytest.fixture(name="upstream")
async def _upstream() -> AsyncIterator[Provider]:
    async with provider() as serving:
        yield serving


@pytest.fixture(scope="module", name="redis")
def _redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(name="ledger")
def _ledger(postgres: PostgresServer) -> Iterator[str]:
    with postgres.database("ledger") as url:
        yield url


def config_of(redis: RedisServer, name: str, limit_kg: float = WITHOUT_LIMIT_KG) -> str:
    budget = {"name": name, "match": {}, "limit_kgco2e": limit_kg, "period": "all", "on_exceed": "refuse", "on_lost": "fail_closed"}
    content = {"version": 1, "server": {"workers": WORKERS}, "redis": redis.url, "user_hash_secret": "of the tests", "budgets": [budget]}
    return json.dumps(content)


def descriptors_of(proxy: Proxy) -> int:
    """How many files and sockets the supervisor holds."""
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))


def kept(url: str) -> dict[str, float]:
    """Grams of each call in the ledger, by its id; each once."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"), poolclass=pool.NullPool)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT a.call_id, e.gco2e FROM attempts a LEFT JOIN estimates e ON e.attempt_id = a.attempt_id")
        ).all()
    grams = {id_text(bytes(row.call_id)): float(row.gco2e or 0.0) for row in rows}
    assert len(grams) == len(rows)
    return grams


async def used_g(asking: Clients, name: str) -> float:
    """What the scrape says is used of the budget."""
    _, body = await got(asking, "/metrics")
    return next(
        sample.value
        for family in text_string_to_metric_families(body)
        for sample in family.samples
        if sample.name == "grammage_budget_used_grams" and sample.labels == {"budget": name}
    )


async def test_killed_and_rolled_workers_lose_and_double_nothing(
    tmp_path: Path, upstream: Provider, redis: RedisServer, ledger: str
) -> None:
    answers: list[Answer] = []
    async with running(tmp_path, upstream.url, config=config_of(redis, "rolled"), ledger=ledger) as proxy, fresh(proxy.url) as asking:
        pieces, descriptors = 0, descriptors_of(proxy)

        def count(_events: int) -> None:
            nonlocal pieces
            pieces += 1
            if pieces == 40:
                os.kill(workers_of(proxy)[0], signal.SIGKILL)

        async with clients(proxy.url, count) as kept_alive:
            answers += await crowd(kept_alive, 120, CONCURRENCY)
        await heard(proxy, SERVES, WORKERS + 1)
        proxy.signal(signal.SIGUSR2)
        rolled: list[Answer] = []
        while proxy.log.count(SERVES) < 2 * WORKERS + 1:
            rolled += await crowd(asking, 16, CONCURRENCY)
        rolled += await crowd(asking, 16, CONCURRENCY)
        assert [answer for answer in rolled if not answer.complete] == []
        assert (await got(asking, "/readyz"))[0] == 200
        await heard(proxy, HAS_ENDED, WORKERS)
        assert len(workers_of(proxy)) == WORKERS, "none of the dead is left over"
        assert descriptors_of(proxy) == descriptors, "and nothing of theirs"
        counted = [(await scrape(asking))["grammage_requests_total"] for _ in range(6)]
        assert await proxy.stop() == 0
    in_ledger = kept(ledger)
    assert {answer.call_id for answer in answers + rolled if answer.complete} <= set(in_ledger)
    assert len(set(counted)) == 1
    assert 0 <= len(in_ledger) - counted[0] <= CONCURRENCY


async def test_workers_share_one_budget_and_it_ends_for_all_of_them(
    tmp_path: Path, upstream: Provider, redis: RedisServer, ledger: str
) -> None:
    async with running(tmp_path, upstream.url, config=config_of(redis, "open"), ledger=ledger) as proxy, fresh(proxy.url) as asking:
        answers = await crowd(asking, 40, CONCURRENCY)
        assert all(answer.complete for answer in answers)
        sums = [await used_g(asking, "open") for _ in range(6)]
        assert await proxy.stop() == 0
    grams = kept(ledger)
    total_g, most_g = sum(grams.values()), max(grams.values())
    assert max(sums) == pytest.approx(total_g, abs=WORKERS * MG), "each worker may hold back what is no whole milligram yet"
    (tmp_path / "second").mkdir()
    limit_kg = (total_g + 20 * most_g) / 1000
    async with (
        running(tmp_path / "second", upstream.url, config=config_of(redis, "ends", limit_kg), ledger=ledger) as proxy,
        fresh(proxy.url) as asking,
    ):
        statuses = [(await asking.ask(max_tokens=24)).status for _ in range(60)]
        assert await proxy.stop() == 0
    assert set(statuses) == {200, NO_ROOM}
    assert sum(kept(ledger).values()) <= limit_kg * 1000 + most_g
    assert statuses[-10:] == [NO_ROOM] * 10, "none of the workers has room left"


async def test_a_worker_begins_while_redis_and_the_database_are_gone_for_a_moment(
    tmp_path: Path, upstream: Provider, redis: RedisServer, ledger: str, postgres: PostgresServer
) -> None:
    async with running(tmp_path, upstream.url, config=config_of(redis, "gone"), ledger=ledger) as proxy, fresh(proxy.url) as asking:
        assert (await asking.ask()).complete
        with postgres.stopped("immediate"):
            os.kill(workers_of(proxy)[0], signal.SIGKILL)
            await heard(proxy, b"another one takes its place", 1)
            await heard(proxy, b"another one takes its place", 2)
        await heard(proxy, SERVES, WORKERS + 1)
        answers = await crowd(asking, 16, 4)
        assert all(answer.complete for answer in answers)
        assert await proxy.stop() == 0
    assert {answer.call_id for answer in answers} <= set(kept(ledger))
