"""How long an event loop stands still while the exposition is rendered beside it.

Told in two ways. By the processor time of the rendering thread between two rests: as long as that, at most, it keeps the interpreter to
itself, whatever else the machine does. And by a heartbeat in the loop, which other people's work on the machine delays too: so each scrape
is compared with the same time without one. It must never count what the machine held up as what the scrape did.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from statistics import median

import pytest

from config.settings import Settings
from config.tables import Tables
from proxy.metrics import Metrics, pace
from proxy.metrics.shared import SharedMetrics
from proxy.metrics.sheets import Sheets
from tests.sample_records import attempt, call

BEAT_S = 0.001
CALLS_AT_ONCE = 5
BRANDS = 600
MOST_STALL_MS = 5.0
SETTINGS = Settings.model_validate({"tags": {"brand": [f"b{number}" for number in range(BRANDS)]}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stalls:
    """In ms, for each scrape: the longest hold of the interpreter; the longest gap between two heartbeats; the same without a scrape."""

    hold_ms: list[float]
    with_scrape_ms: list[float]
    without_ms: list[float]
    scrape_ms: list[float]
    series: int

    @property
    def added_ms(self) -> float:
        """What a scrape adds to the longest gap, by the medians."""
        return median(self.with_scrape_ms) - median(self.without_ms)

    def told(self) -> str:
        """In words."""
        return (
            f"{self.series} samples, {len(self.hold_ms)} scrapes of {median(self.scrape_ms):.0f} ms (median) under load; "
            f"a scrape held the event loop for {median(self.hold_ms):.2f} ms at most (median), {max(self.hold_ms):.2f} ms (worst); "
            f"longest gap of the heartbeat: {median(self.with_scrape_ms):.2f} ms with a scrape, {median(self.without_ms):.2f} ms "
            f"without (medians; worst {max(self.with_scrape_ms):.1f} and {max(self.without_ms):.1f} ms)"
        )


def fill(metrics: Metrics) -> int:
    """As many series as there may be; returns how many samples are exposed."""
    for number in range(BRANDS + 40):
        count_one(metrics, number)
    return sum(1 for line in metrics.render("")[0].splitlines() if not line.startswith(b"#"))


def _render(metrics: Metrics) -> float:
    """Renders, and returns the most processor time between two rests, in ms."""
    holds = []
    began = time.thread_time()
    really = pace.rest

    def rest() -> None:
        nonlocal began
        holds.append(time.thread_time() - began)
        really()
        began = time.thread_time()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "rest", rest)
        metrics.render("")
    return max(*holds, time.thread_time() - began) * 1000


def crew_of(sheets: Sheets, tables: Tables) -> list[SharedMetrics]:
    """A worker's metrics for each sheet, all in this process."""
    crew = []
    for number, sheet in enumerate(sheets.all):
        own = Sheets.__new__(Sheets)
        own.__dict__.update(Sheets(0).__dict__, all=sheets.all, _seen=[0] * len(sheets.all), _lock_file=sheets._lock_file)
        own.take(number)
        sheet.owner = os.getpid()
        crew.append(SharedMetrics(SETTINGS, tables, own, version="", built_in_aliases=()))
    return crew


async def stalls(metrics: Metrics, series: int, scrapes: int) -> Stalls:
    """Scrapes in a thread, one after another, each followed by as long a time without one; calls are counted in the loop all the while."""
    gaps: list[float] = []
    beating = asyncio.ensure_future(_beat(gaps, metrics))
    hold_ms, with_ms, without_ms, scrape_ms = [], [], [], []
    try:
        for _ in range(scrapes):
            gaps.clear()
            began = time.perf_counter()
            hold_ms.append(await asyncio.to_thread(_render, metrics))
            took_s = time.perf_counter() - began
            with_ms.append(max(gaps, default=0.0))
            gaps.clear()
            await asyncio.to_thread(time.sleep, took_s)
            without_ms.append(max(gaps, default=0.0))
            scrape_ms.append(took_s * 1000)
    finally:
        beating.cancel()
    return Stalls(hold_ms=hold_ms, with_scrape_ms=with_ms, without_ms=without_ms, scrape_ms=scrape_ms, series=series)


async def _beat(gaps: list[float], metrics: Metrics) -> None:
    number = 0
    while True:
        began = time.perf_counter()
        await asyncio.sleep(BEAT_S)
        gaps.append((time.perf_counter() - began - BEAT_S) * 1000)
        for _ in range(CALLS_AT_ONCE):
            number += 1
            count_one(metrics, number)


def count_one(metrics: Metrics, number: int) -> None:
    """One call of some brand, finished and in the ledger."""
    record = call(tags=(("brand", f"b{number % BRANDS}"),), attempts=(attempt(zone="SE"),))
    metrics.observe(record)
    if isinstance(metrics, SharedMetrics):
        metrics.kept(record)
