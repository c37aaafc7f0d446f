"""What the doctor asks beyond this machine: database server, Redis, tracing receiver; and room for the spool. It must never write."""

import asyncio
import shutil
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from config.settings import Settings
from proxy.cli.finding import UNREACHABLE, Finding
from proxy.cli.probe import reach_fault
from proxy.clock import Clock
from proxy.errors import StartError

MIB: Final = 1024 * 1024
OLDEST_SERVER: Final = 130_000
"""PostgreSQL 13, as the server numbers it."""

MOST_SKEW_S: Final = 2.0
"""Between the clocks of replicas and what they share: budgets and limits go by minutes, records by the second."""

TRACING_PACKAGE: Final = "opentelemetry.exporter.otlp.proto.http"
PORTS: Final = {"http": 80, "https": 443}


def services(settings: Settings) -> list[Finding]:
    """What the settings name beyond this machine, one finding each, and whose clocks differ from ours."""
    clocks: dict[str, float] = {}
    found = []
    if not settings.ledger.url.startswith("sqlite"):
        found.append(_database(settings.ledger.url, clocks))
    if settings.redis is not None:
        found.append(_redis(settings.redis, clocks))
    if settings.tracing is not None:
        found.append(_tracing(settings.tracing.endpoint))
    return [*found, clock(clocks)]


def _database(url: str, clocks: dict[str, float]) -> Finding:
    """Whether the database server answers, is not too old, and has this version's schema."""
    from proxy.ledger.base import LedgerUnavailable  # brings the database packages, which only this check needs
    from proxy.ledger.columns import REVISIONS
    from proxy.ledger.look import look_at_server

    try:
        begun_ms = Clock().now_ms()
        seen = look_at_server(url)
    except LedgerUnavailable as error:
        return Finding("database", str(error), "start the server, or correct ledger.url", UNREACHABLE)
    except StartError as error:
        return Finding("database", str(error), "correct ledger.url in the configuration")
    clocks["the database"] = _skew_s(begun_ms, seen.now_ms)
    told = f"PostgreSQL {seen.version}, schema {seen.revision or 'missing'}"
    if seen.number < OLDEST_SERVER:
        return Finding("database", told, f"use PostgreSQL {OLDEST_SERVER // 10_000} or newer")
    if seen.revision != REVISIONS[-1]:
        return Finding("database", f"{told}, this version needs {REVISIONS[-1]}", "run: grammage db upgrade")
    return Finding("database", told)


def _redis(url: str, clocks: dict[str, float]) -> Finding:
    """Whether Redis answers."""

    from proxy.redis_door import server_time_ms

    begun_ms = Clock().now_ms()
    try:
        now_ms = asyncio.run(server_time_ms(url))
    except ConnectionError as error:
        return Finding("redis", str(error), "start the server, correct `redis:`, or: pip install 'grammage[redis]'", UNREACHABLE)
    clocks["Redis"] = _skew_s(begun_ms, now_ms)
    return Finding("redis", "answers")


def _skew_s(begun_ms: int, theirs_ms: int) -> float:
    """How far another clock is from ours, as far as the time that the question took does not explain it."""
    ended_ms = Clock().now_ms()
    return max(0, begun_ms - theirs_ms, theirs_ms - ended_ms) / 1000


def _tracing(endpoint: str) -> Finding:
    """Whether the packages are there and somebody listens at the endpoint; no span is sent."""
    if not _is_installed(TRACING_PACKAGE):
        return Finding("tracing", "the packages that send spans are not there", "pip install 'grammage[otel]'")
    parts = urlsplit(endpoint)
    fault = reach_fault(parts.hostname or "", parts.port or PORTS[parts.scheme])
    if fault:
        return Finding("tracing", f"{endpoint}: {fault}", "start the receiver, or correct tracing.endpoint", UNREACHABLE)
    return Finding("tracing", f"somebody listens at {endpoint}")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def spool_room(settings: Settings, ledger_file: Path | None) -> Finding:
    """Whether the disk has room for what the spool takes in advance."""
    from proxy.ledger.spool import spool_path  # brings the ledger's packages

    path = spool_path(ledger_file)
    folder = path.resolve().parent
    try:
        held, free = (path.stat().st_size if path.exists() else 0), shutil.disk_usage(folder).free
    except OSError as error:
        return Finding("spool", f"{path}: {error.strerror}", "make its folder readable and writable for the proxy")
    needed_mb = max(0.0, settings.ledger.spool_reserve_mb - held / MIB)
    if free < needed_mb * MIB:
        remedy = "free some room, or lower ledger.spool_reserve_mb"
        return Finding("spool", f"{folder} has {free / MIB:.0f} MiB free, the spool takes {needed_mb:.0f} MiB in advance", remedy)
    return Finding("spool", f"room for {settings.ledger.spool_reserve_mb:g} MiB in {folder}")


def clock(skews_s: dict[str, float]) -> Finding:
    """Whether this machine's clock is that of what it shares records with. skews_s: seconds apart, by whose clock."""
    now = datetime.fromtimestamp(Clock().now_ms() / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    apart = [f"{whose} {skew_s:.1f} s" for whose, skew_s in skews_s.items() if skew_s > MOST_SKEW_S]
    if apart:
        return Finding("clock", f"{now}; apart from this: {', '.join(apart)}", "set all machines by NTP")
    return Finding("clock", f"{now}, as {' and '.join(skews_s)} {'has' if len(skews_s) == 1 else 'have'} it" if skews_s else now)
