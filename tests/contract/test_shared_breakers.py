"""Breakers that replicas share through a real server of Redis's kind, and what each knows while that is gone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest

from config.settings import Settings
from config.tables import load_tables
from proxy.clock import Clock
from proxy.policy.breaker import Breakers
from proxy.policy.candidates import Candidate, candidates_from
from proxy.redis_door import RedisDoor
from proxy.replicas import breakers as shared_breakers
from proxy.replicas.breakers import KEY, SharedBreakers
from tests.contract.proxy_harness import until
from tests.contract.redis_server import RedisServer, redis_program, redis_server

PLACES = load_tables().places
ROWS = [{"provider": "azure", "api_base": "https://one.example/v1", "region": region} for region in ("swedencentral", "francecentral")]
SETTINGS = Settings.model_validate({"models": {"a": {"deployments": ROWS, "breaker": {"failures": 2, "pause_s": 60}}}})

pytestmark = pytest.mark.skipif(
    redis_program() is None, reason="no package has a Redis server for this Python and machine, and none is installed: apt install redis"
)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@dataclass(slots=True)
class Replica:
    """One replica's breakers; turns are taken by the test alone."""

    shared: SharedBreakers
    door: RedisDoor
    breakers: Breakers = field(init=False)
    plan: tuple[Candidate, ...] = field(init=False)

    def furnish(self) -> None:
        """As a start or a reload does."""
        candidates = candidates_from(SETTINGS, PLACES)
        self.breakers, self.plan = self.shared.furnish(SETTINGS, candidates), candidates.exact["a"]

    async def turn(self) -> None:
        await self.shared.turn(self.door)

    def states(self) -> list[str]:
        return [self.breakers.of(each).state(Clock().perf()) for each in self.plan]

    def fail(self, times: int = 2) -> None:
        for _ in range(times):
            self.breakers.of(self.plan[0]).failed(Clock().perf())


@contextlib.asynccontextmanager
async def replicas(url: str, count: int = 2) -> AsyncIterator[list[Replica]]:
    """On a server that knows nothing yet of breakers."""
    doors = [RedisDoor(url) for _ in range(count)]
    await (await doors[0].client()).delete(KEY)
    made = [Replica(SharedBreakers(url, Clock()), door) for door in doors]
    try:
        for each in made:
            each.shared._turning = asyncio.get_running_loop().create_task(asyncio.sleep(0))  # the test takes the turns
            each.furnish()
            await each.turn()
        yield made
    finally:
        for each in made:
            await each.shared.close()
            await each.door.close()


async def test_what_one_replica_finds_failing_the_others_pass_over(redis: RedisServer) -> None:
    async with replicas(redis.url) as (one, other):
        one.fail(1)
        await one.turn()
        await other.turn()
        assert other.states() == ["closed", "closed"], "one failure opens nothing"
        one.fail(1)
        assert one.states() == ["open", "closed"], "at once, whoever is told"
        await one.turn()
        await other.turn()
        assert other.states() == ["open", "closed"]
        assert other.breakers.ranked(other.plan, Clock().perf()) == (other.plan[1], other.plan[0])


async def test_a_late_success_of_another_replica_does_not_close_what_was_found_failing(redis: RedisServer) -> None:
    async with replicas(redis.url) as (one, other):
        one.fail()
        await one.turn()
        await other.turn()
        other.breakers.of(other.plan[0]).succeeded()
        assert other.states() == ["open", "closed"]


async def test_the_probe_of_one_replica_keeps_the_others_away_and_its_answer_closes_all(redis: RedisServer) -> None:
    async with replicas(redis.url) as (one, other):
        one.fail()
        await one.turn()
        await other.turn()
        later = Clock().perf() + 61
        one.breakers.of(one.plan[0]).trying(later)
        await one.turn()
        await other.turn()
        assert other.breakers.of(other.plan[0]).state(later) == "open", "it is being probed"
        one.breakers.of(one.plan[0]).succeeded()
        await one.turn()
        await other.turn()
        assert one.states() == other.states() == ["closed", "closed"]


async def test_a_rest_that_a_provider_asked_one_replica_for_is_kept_by_all(redis: RedisServer) -> None:
    async with replicas(redis.url) as (one, other):
        one.breakers.of(one.plan[1]).cool(Clock().perf(), 30)
        await one.turn()
        await other.turn()
        assert other.states() == ["closed", "open"]


async def test_a_replica_that_starts_or_reloads_takes_over_what_was_said_before(redis: RedisServer) -> None:
    async with replicas(redis.url) as (one, other):
        one.fail()
        await one.turn()
        await other.turn()
        for each in (one, other):
            await each.turn()
            each.furnish()
            assert each.states() == ["open", "closed"]
        late = Replica(SharedBreakers(redis.url, Clock()), one.door)
        late.shared._turning = one.shared._turning
        late.furnish()
        await late.turn()
        assert late.states() == ["open", "closed"]


async def test_without_redis_each_has_its_own_and_tells_it_once_redis_is_back() -> None:
    with redis_server() as own:
        async with replicas(own.url) as (one, other):
            own.stop()
            one.fail()
            with pytest.raises(ConnectionError):
                await one.turn()
            assert (one.states(), other.states()) == (["open", "closed"], ["closed", "closed"])
            own.start()
            await one.turn()
            await other.turn()
            assert other.states() == ["open", "closed"]


async def test_a_redis_that_forgot_everything_closes_nothing() -> None:
    with redis_server() as own:
        async with replicas(own.url) as (one, other):
            one.fail()
            await one.turn()
            await other.turn()
            own.stop()
            own.start()
            await one.turn()
            await other.turn()
            assert one.states() == other.states() == ["open", "closed"]


async def test_what_another_version_wrote_is_passed_over(redis: RedisServer) -> None:
    async with replicas(redis.url) as (one, other):
        one.fail()
        await one.turn()
        client = await one.door.client()
        (name,) = await client.hkeys(KEY)
        await client.hset(KEY, name, b'{"open": true}')
        await other.turn()
        assert other.states() == ["closed", "closed"]
        assert b"one.example" not in name, "a name tells nothing"


async def test_turns_are_taken_in_the_background_soon_after_a_change(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_breakers, "LOOK_EVERY_S", 0.02)
    async with contextlib.AsyncExitStack() as opened:
        made = [Replica(SharedBreakers(redis.url, Clock()), RedisDoor(redis.url)) for _ in range(2)]
        await (await made[0].door.client()).delete(KEY)
        for each in made:
            opened.push_async_callback(each.shared.close)
            opened.push_async_callback(each.door.close)
            each.furnish()
        made[0].fail()
        await asyncio.to_thread(until, lambda: True if made[1].states() == ["open", "closed"] else None)


async def test_one_deployment_and_no_redis_open_nothing() -> None:
    alone = Settings.model_validate({"models": {"a": {"deployments": ROWS[:1]}}})
    for url, settings in ((None, SETTINGS), ("redis://127.0.0.1:1/0", alone)):
        shared = SharedBreakers(url, Clock())
        shared.furnish(settings, candidates_from(settings, PLACES))
        assert shared._turning is None
        await shared.close()


async def test_a_connection_that_breaks_while_it_is_given_up_keeps_nobody_from_closing(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedBreakers("redis://127.0.0.1:1", Clock())
    under_way = asyncio.Event()

    async def broken(door: RedisDoor) -> None:
        under_way.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            raise ConnectionError("in place of the cancellation") from error

    monkeypatch.setattr(shared, "turn", broken)
    shared.furnish(SETTINGS, candidates_from(SETTINGS, PLACES))
    await under_way.wait()
    async with asyncio.timeout(5):
        await shared.close()
