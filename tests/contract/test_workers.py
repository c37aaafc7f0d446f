"""Several workers on one address: what clients, the ledger and one scrape say when workers die, are replaced, reload and drain."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.keys.keyring import LOOK_EVERY_S
from tests.contract.crew_harness import EVERY_WORKER, HAS_ENDED, SERVES, config_of, fresh, got, has_ended, heard, scrape, workers_of
from tests.contract.loss_harness import Answer, assert_kept_once, clients, crowd, ledger_in, left_beside, rows_in, running
from tests.contract.loss_provider import Provider, provider

WORKERS = 3
CONCURRENCY = 12
SOON_S = 10.0
ENOUGH = 24
"""New connections that reach each of three workers, but once in ten thousand times."""

pytestmark = pytest.mark.timeout(110)


@pytest.fixture(name="upstream")
async def _upstream() -> AsyncIterator[Provider]:
    async with provider() as serving:
        yield serving


async def test_killed_workers_lose_and_double_nothing_in_ledger_and_scrape(tmp_path: Path, upstream: Provider) -> None:
    """What may differ: calls that the ledger had and the killed worker had not counted yet, so at most those in flight there."""
    answers: list[Answer] = []
    kills = 3
    async with running(tmp_path, upstream.url, config=config_of(WORKERS)) as proxy:
        for round_number in range(kills):
            pieces = 0

            def count(_events: int, at: int = 30 + 37 * round_number) -> None:
                nonlocal pieces
                pieces += 1
                if pieces == at:
                    os.kill(workers_of(proxy)[0], signal.SIGKILL)

            async with clients(proxy.url, count) as asking:
                answers += await crowd(asking, 240, CONCURRENCY)
            await heard(proxy, SERVES, WORKERS + round_number + 1)
        async with fresh(proxy.url) as asking:
            scrapes = [await scrape(asking) for _ in range(6)]
            assert (await got(asking, "/readyz"))[0] == 200
        assert await proxy.stop() == 0
    assert_kept_once(tmp_path, answers)
    rows = rows_in(tmp_path)
    counted = [found["grammage_requests_total"] for found in scrapes]
    assert len(set(counted)) == 1, "whoever answers the scrape, it is the same"
    assert len(rows) > 3 * CONCURRENCY
    assert 0 <= len(rows) - counted[0] <= kills * CONCURRENCY
    assert scrapes[0]["grammage_output_tokens_total"] <= sum(row.output_tokens or 0 for row in rows)
    assert scrapes[0]["grammage_request_duration_seconds_count"] == counted[0]


async def test_without_a_kill_scrape_and_ledger_are_equal(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(WORKERS)) as proxy, fresh(proxy.url) as asking:
        answers = await crowd(asking, 60, CONCURRENCY)
        found = await scrape(asking)
        records = [await got(asking, f"/v1/footprint/{answers[0].call_id}") for _ in range(ENOUGH)]
        assert await proxy.stop() == 0
    rows = rows_in(tmp_path)
    assert [status for status, _ in records] == [200] * ENOUGH, "any worker tells of a call"
    assert len(rows) == 60 == found["grammage_requests_total"]
    assert found["grammage_output_tokens_total"] == sum(row.output_tokens or 0 for row in rows)
    assert found["grammage_emissions_co2e_grams_total"] == pytest.approx(sum(row.gco2e or 0 for row in rows), rel=1e-6)


async def test_a_rolling_restart_drops_no_connection(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(2)) as proxy, fresh(proxy.url) as asking:
        before = workers_of(proxy)
        proxy.signal(signal.SIGUSR2)
        answers: list[Answer] = []
        while proxy.log.count(SERVES) < 4:
            answers += await crowd(asking, 24, CONCURRENCY)
        answers += await crowd(asking, 24, CONCURRENCY)
        assert [answer for answer in answers if not answer.complete] == []
        await heard(proxy, HAS_ENDED, 2)
        assert not set(before) & set(workers_of(proxy))
        found = await scrape(asking)
        assert await proxy.stop() == 0
    assert found["grammage_requests_total"] == len(answers) == len(rows_in(tmp_path))


async def test_a_worker_that_is_ended_alone_is_replaced_and_finishes_its_calls(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(2)) as proxy, fresh(proxy.url) as asking:
        calling = [asyncio.ensure_future(asking.ask(stream=True, behave="hold=4")) for _ in range(8)]
        for _ in calling:
            await asyncio.wait_for(upstream.held.get(), SOON_S)
        os.kill(workers_of(proxy)[0], signal.SIGTERM)
        await heard(proxy, SERVES, 3)
        assert (await asking.ask()).complete
        upstream.release.set()
        answers = await asyncio.gather(*calling)
        assert await proxy.stop() == 0
    assert all(answer.complete for answer in answers)
    assert len(rows_in(tmp_path)) == 9


async def test_sigterm_drains_streams_of_every_worker(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(2)) as proxy, fresh(proxy.url) as asking:
        calling = [asyncio.ensure_future(asking.ask(stream=True, behave="hold=4")) for _ in range(8)]
        for _ in calling:
            await asyncio.wait_for(upstream.held.get(), SOON_S)
        proxy.signal(signal.SIGTERM)
        upstream.release.set()
        assert await proxy.ended() == 0
        answers = await asyncio.gather(*calling)
    assert all(answer.complete for answer in answers)
    assert len(rows_in(tmp_path)) == 8
    assert left_beside(tmp_path) == []


async def test_a_second_sigterm_gives_up_the_calls_of_every_worker(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(2)) as proxy, fresh(proxy.url) as asking:
        calling = [asyncio.ensure_future(asking.ask(stream=True, behave="hold=4")) for _ in range(8)]
        for _ in calling:
            await asyncio.wait_for(upstream.held.get(), SOON_S)
        proxy.signal(signal.SIGTERM)
        await asyncio.sleep(0)
        proxy.signal(signal.SIGINT)
        assert await proxy.ended() == 0
        await asyncio.gather(*calling)
    assert len(rows_in(tmp_path)) == 8


MODELS = "models: {%s: {deployments: [{provider: openai, api_base: '%s'}]}}\n"


async def test_a_reload_reaches_every_worker_and_a_bad_one_none(tmp_path: Path, upstream: Provider) -> None:
    file = tmp_path / "grammage.yaml"

    async def served() -> set[int]:
        return {(await asking.ask()).status for _ in range(ENOUGH)}

    models = MODELS % ("other", upstream.url)
    async with running(tmp_path, upstream.url, config=config_of(WORKERS, models)) as proxy, fresh(proxy.url) as asking:
        assert await served() == {404}
        file.write_text(config_of(WORKERS, MODELS % ("gpt-4o-mini", upstream.url)))
        proxy.signal(signal.SIGHUP)
        await heard(proxy, EVERY_WORKER, 1)
        assert await served() == {200}
        assert (await scrape(asking))["grammage_config_reload_success"] == 1
        file.write_text("version: 1\nnonsense: 1\n")
        proxy.signal(signal.SIGHUP)
        await heard(proxy, b"not reloaded", 1)
        assert await served() == {200}
        assert {(await scrape(asking))["grammage_config_reload_success"] for _ in range(ENOUGH)} == {0}
        os.kill(workers_of(proxy)[0], signal.SIGKILL)
        await heard(proxy, SERVES, WORKERS + 1)
        assert await served() == {200}, "the one in its place has the settings in force"
        assert (await scrape(asking))["grammage_config_reload_success"] == 0
        assert await proxy.stop() == 0


ADMIN = {"authorization": "Bearer admin-0123456789"}
KEYS = "auth: keys\nkeys: [{name: boss, key: admin-0123456789, role: admin}]\n"


async def test_a_key_that_is_issued_or_revoked_is_known_to_every_worker_at_once(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(WORKERS, KEYS)) as proxy, fresh(proxy.url) as asking:
        keys = f"{proxy.url.removesuffix('/v1')}/admin/keys"

        async def all_say(is_known: bool, key: str) -> None:
            """Returns once so many connections in a row were told so; long before the workers would look by themselves."""
            alike = 0
            async with asyncio.timeout(LOOK_EVERY_S * 0.75):
                while alike < ENOUGH:
                    async with asking.session.get(f"{proxy.url}/models", headers={"authorization": f"Bearer {key}"}) as reply:
                        alike = alike + 1 if (reply.status != 401) is is_known else 0

        async with asking.session.post(keys, json={"name": "studio"}, headers=ADMIN) as reply:
            issued = await reply.json()
        await all_say(True, issued["key"])
        async with asking.session.delete(f"{keys}/{issued['id']}", headers=ADMIN) as reply:
            assert reply.status == 200
        await all_say(False, issued["key"])
        assert await proxy.stop() == 0


async def test_the_spool_of_a_dead_worker_is_replayed_once(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(2)) as proxy, fresh(proxy.url) as asking:
        with closing(sqlite3.connect(ledger_in(tmp_path), isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN IMMEDIATE")
            answers = await crowd(asking, 24, 24)
            assert all(answer.complete for answer in answers)
            assert len(left_beside(tmp_path)) == 2, "each worker has a spool of its own"
            os.kill(workers_of(proxy)[0], signal.SIGKILL)
            other.execute("ROLLBACK")
        await heard(proxy, SERVES, 3)
        found = await scrape(asking)
        assert await proxy.stop() == 0
    assert_kept_once(tmp_path, answers)
    assert left_beside(tmp_path) == []
    assert len(rows_in(tmp_path)) == 24 == found["grammage_requests_total"]
    assert found["grammage_ledger_spooled_total"] <= 24


async def test_workers_end_when_their_supervisor_is_killed(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(2)) as proxy, fresh(proxy.url) as asking:
        assert (await asking.ask()).complete
        workers = workers_of(proxy)
        proxy.signal(signal.SIGKILL)
        await proxy.ended()
        assert all([has_ended(pid, SOON_S) for pid in workers])  # noqa: C419  # all of them are waited for
    assert len(rows_in(tmp_path)) == 1


def refused(folder: Path, config: str, *more: str) -> str:
    (folder / "grammage.yaml").write_text(config)
    command = [sys.executable, "-c", "from proxy.cli.main import main; main()", "serve", "--config", "grammage.yaml", "--port", "0", *more]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "listens on" not in done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_budgets_in_the_memory_of_each_worker_are_refused(tmp_path: Path) -> None:
    budget = "budgets: [{name: b, match: {campaign: c}, limit_kgco2e: 1, period: month, on_exceed: warn}]\n"
    assert "2 workers need `redis:` to share budgets" in refused(tmp_path, f"version: 1\n{budget}", "--workers", "2")


def test_a_ledger_that_cannot_be_opened_ends_the_supervisor_with_the_reason(tmp_path: Path) -> None:
    told = refused(tmp_path, config_of(2, "ledger: {url: 'sqlite:///nowhere/calls.db'}\n"))
    assert told.count("Make the folder and the file writable") == 1
    assert "Make the folder and the file writable" in told


async def test_a_second_proxy_on_the_address_is_refused(tmp_path: Path, upstream: Provider) -> None:
    async with running(tmp_path, upstream.url, config=config_of(2)) as proxy:
        port = proxy.url.rsplit(":", 1)[1].partition("/")[0]
        folder = tmp_path / "second"
        folder.mkdir()
        for workers in ("1", "2"):
            told = await asyncio.to_thread(refused, folder, "version: 1\n", "--port", port, "--workers", workers)
            assert "cannot listen on" in told
        assert await proxy.stop() == 0


def test_a_proxy_that_works_alone_loads_nothing_of_this() -> None:
    rooms = ("proxy.crew", "proxy.workers", "proxy.attend", "proxy.metrics.sheet", "proxy.metrics.shared")
    code = f"import sys, proxy.serve; print([m for m in sys.modules if m.startswith({rooms!r})])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
