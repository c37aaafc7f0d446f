"""Measures one kind of load after another on direct mock, nginx and proxy. It must never report a figure of failed requests."""

import asyncio
import json
import sqlite3
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from tests.bench import load
from tests.bench.bodies import EVENTS, PACED_MODEL, PATH, STREAM_MODEL, UNARY_MODEL, ask
from tests.bench.servers import Running
from tests.bench.table import Row

PICTURE_BYTES = 200 * 1024
FASTEST_CLIENT = 4_000.0
LATENCY_RATE = 100.0
FIRST_BYTE_RATE = 20.0


@dataclass(frozen=True, slots=True)
class Plan:
    """How long each part runs, in seconds, and how many calls memory is watched over."""

    unary_s: float
    latency_s: float
    stream_s: float
    first_byte_s: float
    picture_s: float
    paced_streams: int
    calls: int


QUICK = Plan(unary_s=3, latency_s=5, stream_s=3, first_byte_s=4, picture_s=3, paced_streams=20, calls=5_000)
FULL = Plan(unary_s=10, latency_s=30, stream_s=10, first_byte_s=15, picture_s=8, paced_streams=100, calls=200_000)


@dataclass(frozen=True, slots=True)
class House:
    """Everything that runs. nginx is None when it is not installed."""

    unary: Running
    stream: Running
    nginx: Running | None
    proxy: Running
    folder: Path
    plan: Plan


def closed(house: House, port: int, body: bytes, *, connections: int, seconds: float) -> load.Load:
    """A closed loop by wrk, else by our own client."""
    if load.has_wrk():
        return load.wrk(f"http://127.0.0.1:{port}{PATH}", body, house.folder, connections=connections, seconds=seconds)
    return uvloop.run(load.closed_loop(port, body, connections=connections, seconds=seconds))


def check_answers(house: House) -> None:
    """Raises LoadError unless the proxy really tags a whole answer and a stream: a fast proxy that does nothing is no result."""
    whole = uvloop.run(load.one(house.proxy.port, ask(UNARY_MODEL)))
    footprint = json.loads(whole.body)["usage"].get("footprint")
    if b"x-grammage-gco2e" not in whole.headers or not footprint or not footprint["gco2e"]:
        raise load.LoadError(f"the answer is not tagged: {whole.headers} {whole.body[-300:]!r}")
    stream = uvloop.run(load.one(house.proxy.port, ask(STREAM_MODEL, stream=True)))
    if stream.events != EVENTS + 2 or b'"footprint"' not in stream.body:
        raise load.LoadError(f"the stream is not whole or not tagged: {stream.events} events, {stream.body[-400:]!r}")


def unary(house: House) -> list[Row]:
    """Processor time per unary call of 1 KB, beside nginx on the same core."""
    body, seconds = ask(UNARY_MODEL), house.plan.unary_s
    ceiling = closed(house, house.unary.port, body, connections=32, seconds=min(seconds, 3))
    yardstick = _cpu_per(house, house.nginx, lambda nginx: closed(house, nginx.port, body, connections=32, seconds=seconds))
    ours = _cpu_per(house, house.proxy, lambda proxy: closed(house, proxy.port, body, connections=32, seconds=seconds))
    assert ours is not None
    rate = min(ours.load.per_second, FASTEST_CLIENT)
    slow = _cpu_per(house, house.nginx, lambda nginx: uvloop.run(load.steady(nginx.port, body, rate=rate, seconds=min(seconds, 4))))
    ratio = ours.microseconds / yardstick.microseconds if yardstick else None
    note = f"{ours.microseconds:.0f} us a call at {ours.load.per_second:,.0f} calls/s; mock alone {ceiling.per_second:,.0f} calls/s"
    return [
        Row(
            "unary 1 KB chat: CPU per call",
            "x nginx",
            ratio,
            12,
            6,
            1.0 if yardstick else None,
            "at most",
            note if ratio else f"no nginx; {note}",
        ),
        Row("unary: CPU per call", "us", ours.microseconds, nginx=yardstick.microseconds if yardstick else None, note="both saturated"),
        Row("unary: CPU per call, nginx at the proxy's rate", "us", ours.microseconds, nginx=slow.microseconds if slow else None),
        Row("unary: calls on one core", "1/s", ours.load.per_second, nginx=yardstick.load.per_second if yardstick else None),
    ]


def latency(house: House) -> list[Row]:
    """Latency added at 100 calls a second, paired with direct calls and nginx in turns."""
    targets = [house.unary.port, house.proxy.port, *([house.nginx.port] if house.nginx else [])]
    replies = uvloop.run(load.paired(targets, ask(UNARY_MODEL), rate=LATENCY_RATE, seconds=house.plan.latency_s))
    times = [[reply.whole_s * 1e3 for reply in row] for row in replies]
    rows = []
    for name, share, floor, target in (("p50", 0.5, 2.5, 1.5), ("p99", 0.99, 6.0, 3.0)):
        direct, ours, *rest = (_percentile(row, share) for row in times)
        nginx = rest[0] - direct if rest else None
        rows.append(
            Row(
                f"added latency at 100 calls/s, {name}",
                "ms",
                ours - direct,
                floor,
                target,
                nginx,
                "at most",
                f"direct {direct:.2f} ms, {len(times[0])} calls",
            )
        )
    return rows


def streams(house: House) -> list[Row]:
    """Processor time per event of streams sent in bulk and paced, and time added to the first byte."""
    plan, bulk = house.plan, ask(STREAM_MODEL, stream=True)

    def bulk_load(running: Running) -> load.Load:
        return uvloop.run(load.closed_loop(running.stream_port, bulk, connections=16, seconds=plan.stream_s))

    yardstick = _cpu_per(house, house.nginx, bulk_load, of_events=True)
    ours = _cpu_per(house, house.proxy, bulk_load, of_events=True)
    assert ours is not None
    note = f"{ours.load.events / ours.load.seconds:,.0f} events/s"
    rows = [
        Row("stream: CPU per SSE event", "us", ours.microseconds, 8, 4, yardstick.microseconds if yardstick else None, "at most", note),
        _first_byte(house, bulk),
        _paced(house),
    ]
    return rows


def _first_byte(house: House, body: bytes) -> Row:
    targets = [house.stream.port, house.proxy.port, *([house.nginx.stream_port] if house.nginx else [])]
    replies = uvloop.run(load.paired(targets, body, rate=FIRST_BYTE_RATE, seconds=house.plan.first_byte_s))
    direct, ours, *rest = (_percentile([reply.first_byte_s * 1e3 for reply in row], 0.5) for row in replies)
    nginx = rest[0] - direct if rest else None
    return Row("stream: time added to first byte, p50", "ms", ours - direct, 2, 1, nginx, "at most", f"direct {direct:.2f} ms")


def _paced(house: House) -> Row:
    body = ask(PACED_MODEL, stream=True)

    def paced_load(running: Running) -> load.Load:
        return uvloop.run(load.closed_loop(running.stream_port, body, connections=house.plan.paced_streams, seconds=house.plan.stream_s))

    yardstick = _cpu_per(house, house.nginx, paced_load, of_events=True)
    ours = _cpu_per(house, house.proxy, paced_load, of_events=True)
    assert ours is not None
    note = f"{house.plan.paced_streams} streams, one event in 20 ms each, so every event is a packet of its own"
    return Row("stream, paced: CPU per SSE event", "us", ours.microseconds, nginx=yardstick.microseconds if yardstick else None, note=note)


def pictures(house: House) -> list[Row]:
    """Calls with a picture of 200 KB inlined."""
    body, seconds = ask(UNARY_MODEL, picture_bytes=PICTURE_BYTES), house.plan.picture_s
    nginx = closed(house, house.nginx.port, body, connections=8, seconds=seconds).per_second if house.nginx else None
    ours = closed(house, house.proxy.port, body, connections=8, seconds=seconds)
    return [Row("200 KB body (image input)", "calls/s", ours.per_second, 1200, 2000, nginx, "at least")]


def memory(house: House, tell: Callable[[str], None]) -> list[Row]:
    """Resident memory of a proxy that has just started, and its growth over many calls."""
    body, idle = ask(UNARY_MODEL), house.proxy.rss_mb()
    done = closed(house, house.proxy.port, body, connections=32, seconds=2).requests
    warm = house.proxy.rss_mb()
    while done < house.plan.calls:
        done += closed(house, house.proxy.port, body, connections=32, seconds=5).requests
        tell(f"{done:,} of {house.plan.calls:,} calls, {house.proxy.rss_mb():.0f} MB")
    end = house.proxy.rss_mb()
    note = f"{idle:.0f} MB idle, {warm:.0f} MB after two seconds of load, {end:.0f} MB after {done:,} calls"
    return [
        Row("RSS idle", "MB", idle, 110, 85, sense="at most"),
        Row("RSS growth from idle", "%", (end / idle - 1) * 100, 10, 3, sense="at most", note=note),
        Row("RSS growth from warm", "%", (end / warm - 1) * 100),
    ]


def calls_in_ledger(folder: Path) -> int:
    """Calls that the ledger holds."""
    with sqlite3.connect(folder / "ledger.db") as ledger:
        return int(ledger.execute("SELECT count(*) FROM calls").fetchone()[0])


@dataclass(frozen=True, slots=True)
class _Cost:
    load: load.Load
    microseconds: float


def _cpu_per(house: House, running: Running | None, work: Callable[[Running], load.Load], *, of_events: bool = False) -> _Cost | None:
    if running is None:
        return None
    work_before = running.cpu_s()
    done = work(running)
    used = running.cpu_s() - work_before
    count = done.events if of_events else done.requests
    if not count:
        raise load.LoadError("nothing was answered")
    return _Cost(done, used / count * 1e6)


def _percentile(values: Sequence[float], share: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


def settle() -> None:
    """Lets the machine come to rest between parts."""
    asyncio.run(asyncio.sleep(0.2))
