"""Calls that are given up - a drain that lasts too long, a second Ctrl-C, a provider that does not let go - are recorded and let go of.

It must never wait for the default drain of two minutes.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.loss_harness import Answer, Clients, clients, rows_in, running
from tests.contract.loss_provider import Provider, provider

SOON_S = 5.0
LETS_GO_S = 15.0
SHORT_DRAIN = "version: 1\nserver: {drain_s: 1}\n"

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(name="upstream")
async def _upstream() -> AsyncIterator[Provider]:
    async with provider() as serving:
        yield serving


async def held_calls(asking: Clients, upstream: Provider, count: int = 8) -> list[asyncio.Task[Answer]]:
    calling = [asyncio.ensure_future(asking.ask(stream=number % 2 == 1, behave="hold=4")) for number in range(count)]
    for _ in calling:
        await asyncio.wait_for(upstream.held.get(), SOON_S)
    return calling


async def test_calls_cut_by_the_end_of_the_drain_are_recorded_with_what_was_seen(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=SHORT_DRAIN) as proxy, clients(proxy.url) as asking:
        calling = await held_calls(asking, upstream)
        assert await proxy.stop() == 0
        answers = await asyncio.gather(*calling)
    assert not [answer for answer in answers if answer.complete]
    rows = rows_in(tmp_path)
    assert len(rows) == 8
    assert all(row.partial and row.gco2e is not None for row in rows)
    assert {answer.call_id for answer in answers if answer.events} <= {row.call_id for row in rows}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_second_signal_gives_up_waiting_and_records_what_was_open(
    tmp_path: Path, upstream: Provider, number: signal.Signals
) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        calling = await held_calls(asking, upstream)
        proxy.signal(number)
        proxy.signal(signal.SIGTERM if number is signal.SIGINT else signal.SIGINT)
        assert await proxy.ended() == 0
        await asyncio.gather(*calling)
    assert len(rows_in(tmp_path)) == 8


async def test_a_provider_that_keeps_the_body_open_behind_the_end_mark_is_let_go(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        calling = asyncio.ensure_future(asking.ask(stream=True, behave="hold-end=1"))
        assert await asyncio.wait_for(upstream.left.get(), LETS_GO_S) == "end"
        assert (await calling).complete
        assert await proxy.stop() == 0
    assert [row.outcome for row in rows_in(tmp_path)] == ["ok"]


async def test_what_had_arrived_when_the_provider_broke_off_is_passed_on_and_metered(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        answers = [await asking.ask(stream=True, behave="cut=5") for _ in range(20)]
        assert await proxy.stop() == 0
    assert [(answer.events, answer.complete) for answer in answers] == [(5, False)] * 20
    assert all(row.outcome == "upstream_cut" and row.output_tokens for row in rows_in(tmp_path))


async def test_a_break_behind_the_end_mark_is_no_error_of_ours(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        asking.on_progress = lambda _events: upstream.release.set()
        answer = await asking.ask(stream=True, behave="hold-end=1,cut-end=1")
        assert await proxy.stop() == 0
    assert b"Traceback" not in proxy.log
    assert [(row.call_id, row.outcome) for row in rows_in(tmp_path)] == [(answer.call_id, "ok")]


async def test_a_client_that_leaves_an_unmetered_call_frees_the_provider(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url) as proxy, clients(proxy.url) as asking:
        headers = {"authorization": "Bearer sk-test-1234567890", "x-behave": "hold=0"}
        calling = asyncio.ensure_future(asking.session.post(f"{proxy.url}/agents", json={"model": "gpt-4o-mini"}, headers=headers))
        assert await asyncio.wait_for(upstream.held.get(), SOON_S) == "whole"
        calling.cancel()
        await asyncio.wait((calling,))
        assert await asyncio.wait_for(upstream.left.get(), SOON_S) == "whole"
        assert await proxy.stop() == 0
    assert [(row.outcome, row.status, row.unweighed_reason) for row in rows_in(tmp_path)] == [("client_left", 499, "unmetered")]
