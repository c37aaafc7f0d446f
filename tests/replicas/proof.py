"""The run: a crowd, and each component killed and started again in turn. It must never look at the books before it is over."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.replicas.books import Books, books
from tests.replicas.crowd import CAPPED_EACH, Crowd
from tests.replicas.house import LOOK_S, House, Replica, eventually, house, metric
from tests.replicas.provider import Provider, provider

CAPPED_SHARE = 0.6
"""Of what the campaign's calls would come to, what its budget lets them: it ends amid the run."""

FIRST_CALLS = 4


class Window(NamedTuple):
    """What was done to whom, from when until when, monotonic seconds. killed: the replica that was killed, and when."""

    name: str
    began: float
    ended: float
    killed: tuple[int, float] | None = None


@dataclass(slots=True)
class Run:
    """What there is to look at afterwards. limit_g: of the campaign's budget. wall: added to monotonic seconds, those since 1970."""

    crowd: Crowd
    provider: Provider
    limit_g: float
    windows: list[Window]
    house: House
    wall: float
    took_s: float
    books: Books = field(init=False)

    @property
    def kills(self) -> list[tuple[int, float]]:
        """Replicas that were killed, and when."""
        return [window.killed for window in self.windows if window.killed is not None]


Step = Callable[[House], Awaitable[tuple[int, float] | None]]


async def _restart_each(made: House) -> None:
    for each in made.replicas:
        code = await each.end(signal.SIGTERM)
        assert code == 0, each.log[-2000:]
        each.start()
        await each.ready()


def _kill_replica(number: int) -> Step:
    async def kill(made: House) -> tuple[int, float]:
        replica, at = made.replicas[number], time.perf_counter()
        await replica.end(signal.SIGKILL)
        await asyncio.sleep(made.gone_s)
        replica.start()
        await replica.ready()
        return number, at

    return kill


async def _kill_postgres(made: House) -> None:
    await made.kill_postgres()
    await asyncio.sleep(made.gone_s)
    await made.start_postgres()


async def _kill_redis(made: House) -> None:
    await asyncio.to_thread(made.redis.stop)
    await asyncio.sleep(made.gone_s)
    await asyncio.to_thread(made.redis.start)


async def _kill_prometheus(made: House) -> None:
    if made.prometheus is not None:
        await asyncio.to_thread(made.prometheus.kill)
        await asyncio.sleep(made.gone_s)
        made.prometheus.start()
        await made.prometheus.ready()


STEPS: tuple[tuple[str, Step], ...] = (
    ("rolling restart", _restart_each),
    ("kill -9 Redis", _kill_redis),
    ("kill -9 replica 1", _kill_replica(0)),
    ("kill -9 PostgreSQL", _kill_postgres),
    ("kill -9 replica 2", _kill_replica(1)),
    ("kill -9 Prometheus", _kill_prometheus),
)


async def prove(folder: Path, *, calls: int, concurrency: int, gone_s: float = 1.0) -> Run:
    """A whole run; its books hold what ledger, budgets and Prometheus say afterwards. gone_s: how long what was killed stays away."""
    async with provider() as upstream, house(folder, upstream.url, gone_s) as made:
        urls = tuple(each.url for each in made.replicas)
        first = Crowd(urls, FIRST_CALLS, 1)
        await first.run()
        grams = await asyncio.to_thread(lambda: sum(metric(each, "grammage_budget_used_grams") or 0.0 for each in made.replicas[:1]))
        limit_g = CAPPED_SHARE * calls / CAPPED_EACH * grams / FIRST_CALLS
        made.cap(limit_g)
        await eventually(lambda: all(metric(each, 'grammage_budget_limit_grams{budget="capped"}') for each in made.replicas))
        windows: list[Window] = []
        crowd = Crowd(urls, calls, concurrency, lambda: len(windows) == len(STEPS), first.tries, _numbers=first._numbers)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(crowd.run())
            tasks.create_task(_take_steps(made, crowd, windows))
        wall = time.time() - time.perf_counter()  # noqa: TID251  # Prometheus's clock is the machine's
        run = Run(crowd, upstream, limit_g, windows, made, wall, time.perf_counter() - began)
        await _written(made)
        run.books = await books(made, crowd, wall)
        for each in made.replicas:
            assert await each.end(signal.SIGTERM) == 0, each.log[-2000:]
        return run


async def _take_steps(made: House, crowd: Crowd, windows: list[Window]) -> None:
    """One after the other, spread over the calls."""
    for number, (name, step) in enumerate(STEPS, 1):
        while len(crowd.done) < crowd.calls * number / (len(STEPS) + 1):
            await asyncio.sleep(LOOK_S)
        began = time.perf_counter()
        killed = await step(made)
        await asyncio.sleep(2 * made.gone_s)
        windows.append(Window(name, began, time.perf_counter(), killed))


async def _written(made: House) -> None:
    """Returns once no replica holds a call that the database has not."""

    def is_written(replica: Replica) -> bool:
        return metric(replica, "grammage_ledger_oldest_call_seconds") == 0

    await eventually(lambda: all(is_written(each) for each in made.replicas))


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so great a share of all does not exceed; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
