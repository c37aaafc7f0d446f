"""The long proof that sums by hour and day are a recount: killed at every statement, and beneath proxies that are killed amid their work.

`make prove` runs it. It must never be part of `make test`.
"""

import random  # noqa: TID251  # seeded by each test
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from proxy.ledger.left_over import bring_in
from proxy.ledger.queries import Selection
from proxy.ledger.read_sums import read_sums
from proxy.ledger.store import Store
from tests.contract.ledger_rows import ask_ledger
from tests.contract.ledgers import open_store, sqlite_url
from tests.contract.loss_harness import assert_kept_once, clients, crowd, ledger_in, running
from tests.contract.loss_provider import Provider, provider
from tests.contract.postgres_server import postgres_server
from tests.contract.rolled_ledgers import DAY_MS, MIDNIGHT_MS, any_calls, assert_recounted, rolled_up

ROOT = Path(__file__).resolve().parents[2]
STATEMENTS = 30
KILLS = 10
CONCURRENCY = 16
EACH_SECOND = "version: 1\nledger: {rollup_every_s: 1}\nserver: {host: {sample_s: 1}}\n"

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]


@pytest.fixture(name="ledger", params=["sqlite", "postgresql"])
def _ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, Store]]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path)
        yield url, open_store(url)
        return
    with postgres_server() as server, server.database() as url:
        store = open_store(url)
        yield url, store
        store.close()


@pytest.fixture(name="upstream")
async def _upstream() -> AsyncIterator[Provider]:
    async with provider() as serving:
        yield serving


def killed_at(url: str, before_ms: int, statement: int) -> bool:
    """Whether a process that rolls (0 before_ms) or prunes was killed at that statement; False: it had fewer to send."""
    command = [sys.executable, "-m", "tests.contract.rolling_child", url, str(before_ms), "kill", str(statement)]
    code = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False).returncode
    assert code in (0, -signal.SIGKILL)
    return code != 0


def test_a_roller_killed_at_any_statement_leaves_sums_that_are_a_recount(ledger: tuple[str, Store]) -> None:
    url, store = ledger
    dice = random.Random(41)
    kept = any_calls(dice, 10 * STATEMENTS)
    killed = 0
    for statement in range(1, STATEMENTS + 1):
        store.write(kept[(statement - 1) * 10 : statement * 10])
        killed += killed_at(url, 0, statement)
        assert_recounted(url, dice)
    rolled_up(url)
    assert_recounted(url, dice)
    print(f"{url.partition(':')[0]}: {killed} of {STATEMENTS} rollers killed amid their work, every report a recount")
    assert killed > STATEMENTS // 2


def test_a_pruner_killed_at_any_statement_leaves_totals_as_they_were(ledger: tuple[str, Store]) -> None:
    url, store = ledger
    store.write(any_calls(random.Random(42), 400))
    rolled_up(url)
    before = read_sums(url, Selection(by="model")).whole
    killed = 0
    for statement in range(1, STATEMENTS + 1):
        killed += killed_at(url, MIDNIGHT_MS + 2 * DAY_MS, statement)
        rolled_up(url)
        now = read_sums(url, Selection(by="model")).whole
        assert (now.calls, now.attempts) == (before.calls, before.attempts)
    left = ask_ledger(url, "SELECT count(*) FROM calls")[0][0]
    print(f"{url.partition(':')[0]}: {killed} of {STATEMENTS} pruners killed amid their work, {left} calls left, totals as they were")
    assert killed > STATEMENTS // 2


async def test_proxies_that_sum_each_second_and_are_killed_leave_sums_that_are_a_recount(tmp_path: Path, upstream: Provider) -> None:
    answers = []
    url = f"sqlite:///{ledger_in(tmp_path)}"
    for round_number in range(KILLS):
        async with running(tmp_path, upstream.url, config=EACH_SECOND) as proxy:
            async with clients(proxy.url) as asking:
                answers += await crowd(asking, 200 + 97 * round_number, CONCURRENCY)
            await proxy.kill()
        assert_recounted(url, random.Random(round_number))
    bring_in(url)
    assert_kept_once(tmp_path, answers)
    summed = ask_ledger(url, "SELECT coalesce(sum(calls), 0) FROM rollups_hour")[0][0]
    rolled_up(url)
    calls = ask_ledger(url, "SELECT count(*) FROM calls")[0][0]
    assert ask_ledger(url, "SELECT sum(calls) FROM rollups_hour") == [(calls,)]
    own = ask_ledger(url, "SELECT count(*) FROM ledger_meta WHERE key LIKE 'own.%'")[0][0]
    print(f"{KILLS} kills: {calls} calls, {summed} of them were summed by the proxies themselves; {own} rows of their own weight")
    assert_recounted(url, random.Random(99))
