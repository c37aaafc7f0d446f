"""The long proofs that no call is lost: kills, disconnects and failing disks again and again, and many calls. `make prove` runs them.

It must never be part of `make test`.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.loss_harness import (
    assert_kept_once,
    clients,
    crowd,
    crowd_until_killed,
    ledger_in,
    left_beside,
    rows_in,
    running,
)
from tests.contract.loss_provider import Provider, provider

CONCURRENCY = 16
KILLS = 30
SPREAD_PIECES = 617
"""Pieces of answers before a kill range up to this; a prime, so that the steps below reach all sorts of moments."""
SOON_S = 20.0

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]


@pytest.fixture(name="upstream")
async def _upstream() -> AsyncIterator[Provider]:
    async with provider() as serving:
        yield serving


async def test_thirty_kills_lose_and_double_nothing(tmp_path: Path, upstream: Provider) -> None:
    answers = []
    for round_number in range(KILLS):
        pieces = 1 + round_number * 229 % SPREAD_PIECES
        answers += await crowd_until_killed(tmp_path, upstream.url, pieces=pieces, concurrency=CONCURRENCY)
    async with running(tmp_path, upstream.url) as proxy:
        assert await proxy.stop() == 0
    completed = sum(answer.complete for answer in answers)
    print(
        f"{KILLS} kills: {completed} answers completed, {len(answers) - completed} were cut, {len(rows_in(tmp_path))} calls in the ledger"
    )
    assert completed > KILLS
    assert_kept_once(tmp_path, answers)


async def test_thirty_kills_under_a_ledger_that_comes_and_goes_lose_and_double_nothing(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy:
        assert await proxy.stop() == 0
    answers = []
    for round_number in range(KILLS):
        with closing(sqlite3.connect(ledger_in(tmp_path), isolation_level=None, timeout=30)) as other:
            if round_number % 2:
                other.execute("BEGIN IMMEDIATE")
            pieces = 1 + round_number * 229 % SPREAD_PIECES
            answers += await crowd_until_killed(tmp_path, upstream.url, pieces=pieces, concurrency=CONCURRENCY)
            if round_number % 2:
                other.execute("ROLLBACK")
    async with running(tmp_path, upstream.url) as proxy:
        assert await proxy.stop() == 0
    assert_kept_once(tmp_path, answers)
    assert left_beside(tmp_path) == []


async def test_a_file_limit_that_comes_and_goes_loses_nothing(tmp_path: Path, upstream: Provider) -> None:
    answers = []
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        for round_number in range(20):
            answers += await crowd(asking, 100, CONCURRENCY)
            full = round_number % 2 == 0
            proxy.limit_file_bytes(ledger_in(tmp_path).stat().st_size + 4096 if full else None)
            answers += await crowd(asking, 300, CONCURRENCY)
        proxy.limit_file_bytes(None)
        assert await proxy.stop() == 0
    assert all(answer.complete for answer in answers)
    assert len(rows_in(tmp_path)) == len(answers) == 8000
    assert_kept_once(tmp_path, answers)


async def test_a_thousand_clients_that_leave_are_each_recorded_once(tmp_path: Path, upstream: Provider) -> None:
    answers = []
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        for _ in range(25):
            asked = (asking.ask(stream=True, behave=f"hold={after}", leave_after=after) for after in [*range(1, 21), *range(1, 21)])
            answers += await asyncio.gather(*asked)
            for _ in range(40):
                await asyncio.wait_for(upstream.left.get(), SOON_S)
        assert await proxy.stop() == 0
    rows = rows_in(tmp_path)
    assert sorted(row.call_id for row in rows) == sorted(answer.call_id for answer in answers)
    assert all(row.outcome == "client_left" and row.partial and row.gco2e is not None for row in rows)


async def test_twenty_thousand_calls_are_counted_alike_by_clients_and_ledger(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        answers = await crowd(asking, 2000, 32)
        warm_mb = proxy.rss_mb()
        answers += await crowd(asking, 18000, 32)
        end_mb = proxy.rss_mb()
        assert await proxy.stop() == 0
    print(f"resident memory: {warm_mb:.1f} MiB after 2,000 calls, {end_mb:.1f} MiB after 20,000 ({100 * (end_mb / warm_mb - 1):+.1f} %)")
    assert sum(answer.complete for answer in answers) == 20000
    assert len(rows_in(tmp_path)) == 20000
    assert_kept_once(tmp_path, answers)
    assert end_mb < warm_mb * 1.25
