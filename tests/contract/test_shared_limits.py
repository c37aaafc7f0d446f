"""Rate limits that several processes share through a real server of Redis's kind, and what happens when it is gone."""

import asyncio
import itertools
import json
import multiprocessing
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.call import Caller, RateLimits
from proxy.errors import RateLimited
from proxy.keys.counters import PATIENCE_S
from proxy.keys.limits import Limiter, Ticket
from tests.contract.proxy_harness import ask, serve_command
from tests.contract.redis_server import RedisServer, redis_program, redis_server
from tests.contract.scripted_upstream import ScriptedUpstream, whole

REPLY = whole(b'{"model":"gpt-4o-mini","usage":{"prompt_tokens":10,"completion_tokens":5}}')
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
    """A key that nobody has used."""
    return f"team-{next(NAMES)}"


def caller(name: str, **per_minute: int) -> Caller:
    return Caller(id=name, limits=RateLimits(**per_minute))


@asynccontextmanager
async def limiters(*urls: str) -> AsyncIterator[list[Limiter]]:
    made = [Limiter(url) for url in urls]
    try:
        yield made
    finally:
        for each in made:
            await each.close()


async def tried(limiter: Limiter, who: Caller, tokens: int = 1) -> Ticket | RateLimited | None:
    try:
        return await limiter.enter(who, tokens)
    except RateLimited as error:
        return error


def told(ticket: Ticket | RateLimited | None) -> dict[str, str]:
    assert isinstance(ticket, Ticket)
    return {name.decode(): value.decode() for name, value in ticket.headers}


async def test_two_limiters_share_the_windows_of_a_key(redis: RedisServer, name: str) -> None:
    who = caller(name, requests_per_minute=3, tokens_per_minute=1000)
    async with limiters(redis.url, redis.url) as (one, other):
        assert told(await tried(one, who, 300))["x-ratelimit-remaining-tokens"] == "700"
        seen = told(await tried(other, who, 300))
        assert (seen["x-ratelimit-remaining-tokens"], seen["x-ratelimit-remaining-requests"]) == ("400", "1")
        assert isinstance(await tried(one, who, 500), RateLimited), "tokens"
        assert isinstance(await tried(one, who, 100), Ticket)
        for limiter in (one, other):
            refused = await tried(limiter, who, 100)
            assert isinstance(refused, RateLimited)
            assert f"key '{name}' may use 3 requests in a minute" in str(refused)
        assert isinstance(await tried(other, caller(f"{name}-other", requests_per_minute=1)), Ticket)


async def test_what_a_call_used_beyond_its_forecast_counts_at_the_other_process(redis: RedisServer, name: str) -> None:
    who = caller(name, tokens_per_minute=1000)
    async with limiters(redis.url, redis.url) as (one, other):
        ticket = await tried(one, who, 10)
        assert isinstance(ticket, Ticket)
        await one.settle(ticket, 900)
        assert isinstance(await tried(other, who, 200), RateLimited)
        assert told(await tried(other, who, 60))["x-ratelimit-remaining-tokens"] == "40"


async def test_of_calls_at_once_at_two_limiters_only_so_many_pass(redis: RedisServer, name: str) -> None:
    who = caller(name, requests_per_minute=7)
    async with limiters(redis.url, redis.url) as pair:
        results = await asyncio.gather(*(tried(pair[number % 2], who) for number in range(40)))
    assert sum(isinstance(each, Ticket) for each in results) == 7


async def test_while_the_server_is_gone_calls_go_on_at_once_and_afterwards_they_count_again(
    redis: RedisServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    who, now = caller(name, requests_per_minute=1), [0.0]
    limiter = Limiter(redis.url, perf=lambda: now[0])
    assert isinstance(await tried(limiter, who), Ticket)
    assert isinstance(await tried(limiter, who), RateLimited)
    redis.stop()
    try:
        before = time.monotonic()
        for now[0] in (10.0, 10.1, 20.0, 20.9):
            assert await tried(limiter, who) is None
        assert time.monotonic() - before < 2
    finally:
        redis.start()
    assert await tried(limiter, who) is None, "nobody asked the server yet"
    now[0] = 21.1
    assert isinstance(await tried(limiter, who), Ticket), "an empty window"
    assert isinstance(await tried(limiter, who), RateLimited)
    await limiter.close()
    assert [line for line in caplog.messages if "rate limits" in line] == [
        "rate limits are not kept: the shared counters cannot be reached (ConnectionError)",
        "rate limits are kept again: the shared counters are back",
    ]


async def test_a_server_that_hangs_holds_up_one_call_in_a_second_and_no_longer_than_said(redis: RedisServer, name: str) -> None:
    who, now = caller(name, requests_per_minute=100), [0.0]
    limiter = Limiter(redis.url, perf=lambda: now[0])
    assert isinstance(await tried(limiter, who), Ticket)
    with redis.frozen():
        before = time.monotonic()
        for now[0] in (10.0, 10.5, 10.9):
            assert await tried(limiter, who) is None
        waited_s = time.monotonic() - before
    await limiter.close()
    assert PATIENCE_S * 0.9 < waited_s < PATIENCE_S * 3


def enter_often(url: str, name: str, tries: int) -> int:
    """How many of the tries passed, in a process of its own."""

    async def run() -> int:
        async with limiters(url) as (limiter,):
            return sum([isinstance(await tried(limiter, caller(name, requests_per_minute=20)), Ticket) for _ in range(tries)])

    return asyncio.run(run())


def test_processes_share_one_window(redis: RedisServer, name: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        passed = pool.starmap(enter_often, [(redis.url, name, 15)] * 3)
    assert sum(passed) == 20


def test_two_proxies_on_one_redis_hold_a_key_to_its_limit_together(redis: RedisServer, tmp_path: Path, upstream: ScriptedUpstream) -> None:
    upstream.answers(*REPLY)
    deployment = {"provider": "azure", "api_base": f"{upstream.url}/v1", "api_key": "sk-provider-azure-1"}
    content: dict[str, Any] = {
        "version": 1,
        "server": {"listen": "127.0.0.1:0"},
        "redis": redis.url,
        "keys": [{"key": "gk-shared-by-two", "name": "shared", "requests_per_minute": 4}],
        "models": {"*": {"deployments": [deployment]}},
    }
    (tmp_path / "c.yaml").write_text(json.dumps(content))
    with serve_command(tmp_path, "--config", "c.yaml") as first, serve_command(tmp_path, "--config", "c.yaml") as second:
        pair = [child.proxy(tmp_path) for child in (first, second)]
        statuses = [pair[number % 2].chat(ask(), authorization="Bearer gk-shared-by-two").status for number in range(6)]
        redis.stop()
        try:
            alone = [made.chat(ask(), authorization="Bearer gk-shared-by-two").status for made in pair]
        finally:
            redis.start()
        for child in (first, second):
            child.process.terminate()
            assert child.exit_code() == 0
    assert statuses == [200, 200, 200, 200, 429, 429]
    assert alone == [200, 200], "a limit that cannot be counted holds nobody up"
