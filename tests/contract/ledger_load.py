"""A month of many calls through the real writer, and what the ledger makes of it, measured. It must never extrapolate."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from msgspec.structs import replace

from proxy.call import CallRecord
from proxy.clock import uuid7
from proxy.ledger.queries import Selection
from proxy.ledger.roll import roll
from proxy.ledger.turn import taken_turn
from proxy.ledger.writer import LedgerWriter
from proxy.reports.line import Spread
from proxy.reports.summary import Summary, summarise
from tests.contract.ledger_rows import ask_ledger
from tests.contract.ledgers import open_store, spool_beside
from tests.sample_records import attempt, call, estimate

MONTH_MS: Final = 30 * 86_400_000
FIRST_MS: Final = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp() * 1000)
AT_ONCE: Final = 512
"""Calls under way at a time: so many answers wait for their commit together."""
DRAFTS: Final = 5
"""Calls for one asset, all of one kind."""
CALL_TABLES: Final = ("calls", "attempts", "estimates")
WAYS: Final = ({"by": "model"}, {"by": "day"}, {"by": "tag", "tag_name": "campaign"}, {"by": "provider"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """calls_per_s: through the writer, each call acknowledged. bytes_per_call: tables and indices of the calls, without rollups."""

    calls: int
    calls_per_s: float
    bytes_per_call: float
    rollup_rows: int
    rollup_bytes_per_call: float
    rolled_per_s: float
    report_s: float
    reports: tuple[Summary, ...]

    def told(self, where: str) -> str:
        """One line."""
        return (
            f"{where}: {self.calls} calls, {self.calls_per_s:,.0f} inserts/s sustained, {self.bytes_per_call:.0f} bytes per call, "
            f"rolled up at {self.rolled_per_s:,.0f} calls/s into {self.rollup_rows} rows "
            f"({self.rollup_bytes_per_call:.1f} bytes per call), "
            f"slowest month report {self.report_s:.2f} s"
        )


def measure(url: str, folder: Path, calls: int) -> Measured:
    """Fills a fresh ledger, sums it up, and reads the month in every way."""
    calls_per_s = asyncio.run(_fill(url, folder, calls))
    full = size_bytes(url)
    begun = time.perf_counter()
    with taken_turn(url) as turn:
        assert turn is not None
        assert roll(turn) == calls
    rolled_s = time.perf_counter() - begun
    times: list[float] = []
    reports = tuple(_timed(times, partial(month, url, way)) for way in WAYS)
    rows = sum(ask_ledger(url, f"SELECT count(*) FROM {table}")[0][0] for table in ("rollups_hour", "rollups_day"))
    return Measured(
        calls=calls,
        calls_per_s=calls_per_s,
        bytes_per_call=full / calls,
        rollup_rows=rows,
        rollup_bytes_per_call=(size_bytes(url) - full) / calls,
        rolled_per_s=calls / rolled_s,
        report_s=max(times),
        reports=reports,
    )


def month(url: str, way: dict[str, str], *, exact: bool = False) -> Summary:
    """The month's report."""
    return summarise(url, Selection(**way, since_ms=FIRST_MS, until_ms=FIRST_MS + MONTH_MS), exact=exact)  # type: ignore[arg-type]  # WAYS


def figures(summary: Summary) -> dict[str, tuple[int, Spread | None]]:
    """Calls and grams of each line."""
    return {line.key: (line.calls, line.gco2e) for line in (*summary.lines, summary.whole)}


def _timed(times: list[float], read: Callable[[], Summary]) -> Summary:
    begun = time.perf_counter()
    found = read()
    times.append(time.perf_counter() - begun)
    return found


async def _fill(url: str, folder: Path, calls: int) -> float:
    with closing(open_store(url)) as store:
        writer = LedgerWriter(store, spool_beside(store, folder))
        writer.start()
        spent_s = 0.0
        for some in _batches(calls):
            begun = time.perf_counter()
            await asyncio.gather(*(future for record in some if (future := writer.append(record)) is not None))
            spent_s += time.perf_counter() - begun
        assert (writer.spooled_total, writer.failures_total) == (0, 0)
        await writer.close()
    return calls / spent_s


def _batches(calls: int) -> Iterator[list[CallRecord]]:
    """Calls spread evenly over the month, in the order of their start."""
    kinds = list(_kinds())
    for first in range(0, calls, AT_ONCE):
        some = []
        for number in range(first, min(first + AT_ONCE, calls)):
            started_ms = FIRST_MS + number * MONTH_MS // calls
            kind, call_id = kinds[number % len(kinds)], uuid7(started_ms)
            served = replace(kind.attempts[0], attempt_id=call_id)
            tags = (*kind.tags, ("asset", f"sku-{number // (DRAFTS * len(kinds)) * len(kinds) + number % len(kinds)}"))
            some.append(replace(kind, call_id=call_id, started_ms=started_ms, tags=tags, attempts=(served,)))
        yield some


def _kinds() -> Iterator[CallRecord]:
    """Three models at two providers, of eight campaigns of two brands: 48 kinds of calls in every hour."""
    for model in range(3):
        for provider, zone in (("openai", "US"), ("azure", "SE")):
            for campaign in range(8):
                served = attempt(provider=provider, model=f"gpt-4o-{model}", zone=zone, estimate=estimate(zone=zone))
                tags = (("brand", f"brand-{campaign % 2}"), ("campaign", f"campaign-{campaign}"))
                yield call(tags=tags, attempts=(served,))


def size_bytes(url: str) -> int:
    """What the tables and indices take."""
    if url.startswith("sqlite"):
        pages, page = (ask_ledger(url, f"PRAGMA {name}")[0][0] for name in ("page_count", "page_size"))
        return int(pages * page)
    found = ask_ledger(url, "SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables")
    return int(found[0][0])
