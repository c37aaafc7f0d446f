"""Several workers, long: what a call costs them, how long a scrape holds a loop up, and kill after kill. `make prove` runs it.

It must never be part of `make test`.
"""

import asyncio
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import pytest

from config.tables import load_tables
from proxy.metrics import Metrics
from proxy.metrics.sheets import Sheets
from tests.contract.crew_harness import SERVES, config_of, fresh, heard, scrape, workers_of
from tests.contract.loss_harness import Clients, Proxy, assert_kept_once, clients, crowd, rows_in, running
from tests.contract.loss_provider import Provider, provider
from tests.contract.stall_harness import MOST_STALL_MS, SETTINGS, crew_of, fill, stalls

ROUNDS = 16
CALLS = 640
CONCURRENCY = 16
HEAVY = 64
"""Calls at a time that make both workers busy."""
MOST_RATIO = 1.2
KILLS = 20
SCRAPES = 40

pytestmark = [pytest.mark.prove, pytest.mark.timeout(900)]


@pytest.fixture(name="upstream")
async def _upstream() -> AsyncIterator[Provider]:
    async with provider() as serving:
        yield serving


@pytest.fixture
def _as_served() -> Iterator[None]:
    """The garbage collector as `grammage serve` sets it."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def cpu_s(proxy: Proxy) -> float:
    """Processor time of the proxy and all its workers so far."""
    ticks = 0
    for pid in (proxy.process.pid, *workers_of(proxy)):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def keep_to(pids: Iterable[int], cores: set[int]) -> None:
    """From now on all threads of these processes, and those to come, run on these cores alone."""
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


@pytest.fixture(name="cores")
def _cores() -> Iterator[set[int]]:
    """Cores for proxies; clients and provider get the others: what is measured is work, not how many cores two processes share out."""
    usable = sorted(os.sched_getaffinity(0))
    half = max(1, len(usable) // 2)
    os.sched_setaffinity(0, set(usable[half:]) or set(usable))
    yield set(usable[:half])
    os.sched_setaffinity(0, set(usable))


@dataclass(slots=True)
class Arm:
    """Proxies that share a load evenly, and so many calls at a time on each of their workers; what a call cost them, in us, by round."""

    name: str
    crew: list[tuple[Proxy, Clients]]
    concurrency: int
    cost_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)

    async def measure(self) -> None:
        """One round."""
        before_s, began, shares = sum(cpu_s(proxy) for proxy, _ in self.crew), time.perf_counter(), len(self.crew)
        done = await asyncio.gather(*(crowd(asking, CALLS // shares, self.concurrency // shares) for _, asking in self.crew))
        self.per_s.append(CALLS / (time.perf_counter() - began))
        self.cost_us.append((sum(cpu_s(proxy) for proxy, _ in self.crew) - before_s) / CALLS * 1e6)
        assert all(answer.complete for answers in done for answer in answers)

    def ratio(self, other: "Arm") -> float:
        """What a call costs here over there, by the median of rounds; the quartiles are printed."""
        ratios = [mine / its for mine, its in zip(self.cost_us, other.cost_us, strict=True)]
        low, middle, high = quantiles(ratios, n=4)
        print(
            f"{self.name}: {median(self.cost_us):.0f} us a call, {middle:.3f} times {other.name} ({median(other.cost_us):.0f} us); "
            f"quartiles {low:.3f} to {high:.3f}, {min(ratios):.3f} to {max(ratios):.3f} in {len(ratios)} rounds"
        )
        return middle


async def test_a_call_costs_two_workers_hardly_more_than_one(tmp_path: Path, upstream: Provider, cores: set[int]) -> None:
    """In rounds, in turns, for the machine is not ours alone; with as many calls in flight on each worker.

    A proxy does more for each wake-up the busier it is: a load that is divided costs more, also where the two know nothing of each other.
    """
    async with AsyncExitStack() as stack:

        async def begun(name: str, workers: int) -> tuple[Proxy, Clients]:
            (folder := tmp_path / name).mkdir()
            proxy = await stack.enter_async_context(running(folder, upstream.url, config=config_of(workers)))
            asking = await stack.enter_async_context(clients(proxy.url))
            keep_to((proxy.process.pid, *workers_of(proxy)), cores)
            await crowd(asking, CALLS, HEAVY)
            return proxy, asking

        one, two = await begun("one", 1), await begun("two", 2)
        strangers = [await begun(name, 1) for name in ("left", "right")]
        half = Arm(f"one worker with {HEAVY // 2} calls at a time", [one], HEAVY // 2)
        full = Arm(f"one worker with {HEAVY} calls at a time", [one], HEAVY)
        both = Arm(f"two workers with {HEAVY} calls at a time", [two], HEAVY)
        apart = Arm("two proxies of one worker each, for themselves, with half of them each", strangers, HEAVY)
        arms = [half, full, both, apart]
        for turn in range(ROUNDS):
            for arm in arms if turn % 2 else reversed(arms):
                await arm.measure()
    ratio, together, _, _ = both.ratio(half), both.ratio(apart), both.ratio(full), apart.ratio(full)
    if (os.cpu_count() or 1) >= 4:
        print(f"throughput: {median(both.per_s) / median(full.per_s):.2f} times one worker's")
    else:
        print(f"throughput is not compared: {os.cpu_count()} cores, and clients and provider need some of them")
    assert ratio <= MOST_RATIO
    assert together <= MOST_RATIO


@pytest.mark.usefixtures("_as_served")
@pytest.mark.parametrize("workers", [1, 2])
async def test_a_scrape_of_5000_series_holds_the_event_loop_for_less_than_5_ms(workers: int) -> None:
    tables = load_tables()
    crew = crew_of(Sheets(workers), tables) if workers > 1 else [Metrics(SETTINGS, tables)]
    series = max(fill(metrics) for metrics in crew)
    found = await stalls(crew[0], series, SCRAPES)
    print(f"{workers} worker(s): {found.told()}")
    assert max(found.hold_ms) < MOST_STALL_MS
    assert found.added_ms < MOST_STALL_MS


async def test_twenty_kills_of_workers_lose_and_double_nothing(tmp_path: Path, upstream: Provider) -> None:
    answers = []
    async with running(tmp_path, upstream.url, config=config_of(3)) as proxy:
        for round_number in range(KILLS):
            pieces = 0

            def count(_events: int, at: int = 1 + 229 * round_number % 317) -> None:
                nonlocal pieces
                pieces += 1
                if pieces == at:
                    os.kill(workers_of(proxy)[0], signal.SIGKILL)

            async with clients(proxy.url, count) as asking:
                answers += await crowd(asking, 600, CONCURRENCY)
            await heard(proxy, SERVES, 3 + round_number + 1)
        async with fresh(proxy.url) as asking:
            found = [await scrape(asking) for _ in range(6)]
        assert await proxy.stop() == 0
    assert_kept_once(tmp_path, answers)
    counted = {each["grammage_requests_total"] for each in found}
    rows = len(rows_in(tmp_path))
    print(f"{KILLS} kills of workers: {rows} calls in the ledger, {counted} in every scrape, {len(found[0])} names in it")
    assert len(counted) == 1
    assert 0 <= rows - counted.pop() <= KILLS * CONCURRENCY


async def test_a_rolling_restart_under_traffic_drops_no_connection(tmp_path: Path, upstream: Provider) -> None:
    answers = []
    async with running(tmp_path, upstream.url, config=config_of(2)) as proxy, fresh(proxy.url) as asking:
        for round_number in range(5):
            proxy.signal(signal.SIGUSR2)
            while proxy.log.count(SERVES) < 2 * (round_number + 2):
                answers += await crowd(asking, 48, CONCURRENCY)
        answers += await crowd(asking, 48, CONCURRENCY)
        await asyncio.sleep(0)
        found = await scrape(asking)
        assert await proxy.stop() == 0
    broken = [answer for answer in answers if not answer.complete]
    print(f"5 rolling restarts of 2 workers: {len(answers)} calls on as many connections, {len(broken)} broken")
    assert broken == []
    assert found["grammage_requests_total"] == len(answers) == len(rows_in(tmp_path))
