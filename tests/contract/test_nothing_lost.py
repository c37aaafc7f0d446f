"""Whatever breaks - the proxy, the client, the provider, the disk, the ledger - a call whose answer came is in the ledger exactly once.

It must never read a ledger that is still being written: the proxy has ended before. The longer twins are in tests/prove.
"""

import asyncio
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.contract.loss_harness import (
    Row,
    assert_kept_once,
    clients,
    crowd,
    crowd_until_killed,
    ledger_in,
    left_beside,
    rows_in,
    running,
)
from tests.contract.loss_provider import INPUT_TOKENS, Provider, provider

CONCURRENCY = 8
SOON_S = 5.0
KILL_AFTER_PIECES = (3, 130, 57, 211)
SMALL_FILE_BYTES = 400_000
"""Room for a fresh ledger and little more."""

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(name="upstream")
async def _upstream() -> AsyncIterator[Provider]:
    async with provider() as serving:
        yield serving


def only_row(folder: Path) -> Row:
    (row,) = rows_in(folder)
    return row


async def test_answers_that_completed_before_a_kill_are_in_the_ledger_exactly_once(tmp_path: Path, upstream: Provider) -> None:
    answers = []
    for pieces in KILL_AFTER_PIECES:
        answers += await crowd_until_killed(tmp_path, upstream.url, pieces=pieces, concurrency=CONCURRENCY)
    async with running(tmp_path, upstream.url) as proxy:
        assert await proxy.stop() == 0
    assert sum(answer.complete for answer in answers) >= len(KILL_AFTER_PIECES)
    assert sum(not answer.complete for answer in answers) == CONCURRENCY * len(KILL_AFTER_PIECES)
    assert_kept_once(tmp_path, answers)


async def test_a_client_that_leaves_a_stream_is_recorded_with_what_it_saw(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        answer = await asking.ask(stream=True, behave="hold=6", leave_after=6)
        assert await asyncio.wait_for(upstream.left.get(), SOON_S) == "stream"
        assert await proxy.stop() == 0
    row = only_row(tmp_path)
    assert (row.call_id, row.outcome, row.partial, row.stream_complete) == (answer.call_id, "client_left", True, False)
    assert row.usage_source in ("counted", "estimated")
    assert row.output_tokens is not None
    assert 6 <= row.output_tokens <= 18, "six words were seen"
    assert row.input_tokens


async def test_the_high_end_of_a_left_stream_covers_what_may_have_been_written(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        whole = await asking.ask(stream=True, behave="events=300", max_tokens=300)
        left = await asking.ask(stream=True, behave="hold=3", leave_after=3, max_tokens=300)
        await asyncio.wait_for(upstream.left.get(), SOON_S)
        assert await proxy.stop() == 0
    rows = {row.call_id: row for row in rows_in(tmp_path)}
    finished, partial = rows[whole.call_id], rows[left.call_id]
    assert finished.gco2e is not None
    assert partial.gco2e is not None
    assert partial.gco2e_high is not None
    assert partial.gco2e < finished.gco2e <= partial.gco2e_high


async def test_a_client_that_leaves_a_slow_whole_answer_frees_the_provider_and_is_recorded(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        calling = asyncio.ensure_future(asking.ask(behave="hold=0"))
        assert await asyncio.wait_for(upstream.held.get(), SOON_S) == "whole"
        calling.cancel()
        await asyncio.wait((calling,))
        assert await asyncio.wait_for(upstream.left.get(), SOON_S) == "whole"
        assert await proxy.stop() == 0
    row = only_row(tmp_path)
    assert (row.outcome, row.status, row.partial, row.usage_source) == ("client_left", 499, True, "estimated")
    assert row.input_tokens
    assert row.gco2e is not None
    assert row.gco2e_high is not None
    assert row.gco2e_high > row.gco2e


async def test_many_clients_that_leave_are_each_recorded_once(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        asked = (asking.ask(stream=True, behave=f"hold={after}", leave_after=after) for after in range(1, 21))
        answers = await asyncio.gather(*asked)
        for _ in answers:
            await asyncio.wait_for(upstream.left.get(), SOON_S)
        assert await proxy.stop() == 0
    rows = rows_in(tmp_path)
    assert sorted(row.call_id for row in rows) == sorted(answer.call_id for answer in answers)
    assert all(row.outcome == "client_left" and row.partial and row.gco2e is not None for row in rows)


async def test_a_stream_the_provider_cuts_ends_uncleanly_and_is_recorded_as_cut(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        asking.on_progress = lambda events: upstream.release.set() if events == 5 else None
        answer = await asking.ask(stream=True, behave="hold=5,cut=5")
        assert await proxy.stop() == 0
    assert (answer.status, answer.events, answer.complete) == (200, 5, False)
    row = only_row(tmp_path)
    assert (row.call_id, row.outcome, row.partial, row.stream_complete) == (answer.call_id, "upstream_cut", True, False)
    assert row.gco2e is not None
    assert row.output_tokens is not None
    assert 5 <= row.output_tokens <= 15


async def test_a_disk_that_fills_up_loses_nothing(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        answers = await crowd(asking, 20, CONCURRENCY)
        proxy.limit_file_bytes(ledger_in(tmp_path).stat().st_size)
        answers += await crowd(asking, 400, CONCURRENCY)
        await proxy.has_said(b"the ledger takes no calls")
        proxy.limit_file_bytes(None)
        answers += await crowd(asking, 20, CONCURRENCY)
        assert await proxy.stop() == 0
    assert [answer for answer in answers if answer.status != 200 or not answer.complete] == []
    async with running(tmp_path, upstream.url) as proxy:
        assert await proxy.stop() == 0
    assert len(rows_in(tmp_path)) == len(answers) == 440
    assert_kept_once(tmp_path, answers)


async def test_a_disk_that_was_full_from_the_start_loses_nothing_over_a_kill(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, most_file_bytes=SMALL_FILE_BYTES) as proxy, clients(proxy.url) as asking:
        answers = await crowd(asking, 400, CONCURRENCY)
        await proxy.has_said(b"the ledger takes no calls")
        await proxy.kill()
    assert all(answer.complete for answer in answers)
    async with running(tmp_path, upstream.url) as proxy:
        assert await proxy.stop() == 0
    assert_kept_once(tmp_path, answers)
    assert len(rows_in(tmp_path)) == 400
    assert left_beside(tmp_path) == []


async def test_calls_kept_in_the_spool_while_the_ledger_is_locked_survive_a_kill(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        answers = await crowd(asking, 16, CONCURRENCY)
        with closing(sqlite3.connect(ledger_in(tmp_path), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            answers += await crowd(asking, 64, CONCURRENCY)
            await proxy.kill()
            other.execute("ROLLBACK")
    assert all(answer.complete for answer in answers)
    assert left_beside(tmp_path) != []
    async with running(tmp_path, upstream.url) as proxy:
        assert await proxy.stop() == 0
    assert_kept_once(tmp_path, answers)
    assert len(rows_in(tmp_path)) == 80


async def test_a_deleted_ledger_is_made_anew_with_every_call_since(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        await crowd(asking, 8, CONCURRENCY)
        for file in tmp_path.glob("calls.db*"):
            if ".spool" not in file.name:
                file.unlink()
        answers = await crowd(asking, 32, CONCURRENCY)
        assert await proxy.stop() == 0
    assert all(answer.complete for answer in answers)
    async with running(tmp_path, upstream.url) as proxy:
        assert await proxy.stop() == 0
    assert_kept_once(tmp_path, answers)
    assert len(rows_in(tmp_path)) == 32


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_proxy_told_to_end_lets_open_answers_finish(tmp_path: Path, upstream: Provider, number: signal.Signals) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        done = await crowd(asking, 8, CONCURRENCY)
        calling = [asyncio.ensure_future(asking.ask(stream=count % 2 == 1, behave="hold=4")) for count in range(12)]
        for _ in calling:
            await asyncio.wait_for(upstream.held.get(), SOON_S)
        proxy.signal(number)
        upstream.release.set()
        answers = done + list(await asyncio.gather(*calling))
        assert await proxy.ended() == 0
    assert all(answer.complete for answer in answers)
    assert_kept_once(tmp_path, answers)
    assert [row.outcome for row in rows_in(tmp_path)] == ["ok"] * 20
    assert left_beside(tmp_path) == []


async def test_usage_of_a_finished_stream_is_the_providers(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        answer = await asking.ask(stream=True, behave="events=7")
        assert await proxy.stop() == 0
    row = only_row(tmp_path)
    assert (row.call_id, row.usage_source, row.input_tokens, row.output_tokens) == (answer.call_id, "provider", INPUT_TOKENS, 7)
