"""What calls cost: processor time of proxy, database and Redis by durability and features. `python -m tests.replicas.size` prints it.

It must never be read as a limit of throughput: the clients and the provider run on the same machine.
"""

import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.contract.ledgers import open_store
from tests.contract.postgres_server import postgres_server
from tests.contract.redis_server import redis_server
from tests.replicas.crowd import KEY, Crowd
from tests.replicas.house import VIEWER, Replica, eventually, metric, postgres_pid
from tests.replicas.provider import provider

WARM_CALLS, CALLS, CONCURRENCY, ROUNDS = 300, 3_000, 16, 3
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU milliseconds per call of each process, and the proxy's resident memory in MiB."""

    proxy_ms: float
    database_ms: float
    redis_ms: float
    rss_mb: float
    calls_per_s: float


BUDGET = {"budgets": [{"name": "everything", "limit_kgco2e": 1000, "period": "all"}]}
POLICY = {
    "policies": [
        {"name": "short", "when": {"alias": "gpt-4o-mini"}, "apply": {"max_output_tokens": 400}, "mode": "enforce"},
        {"name": "never", "when": {"alias": "gpt-4o", "tags": {"stage": "draft"}}, "prefer": {"among": ["gpt-4o-mini"]}, "mode": "enforce"},
    ]
}
LIMITS = {"keys": [{"key": KEY, "name": "clients", "requests_per_minute": 10_000_000}, {"key": VIEWER, "name": "viewer", "role": "viewer"}]}
VARIANTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "SQLite, commit": ("sqlite", {}),
    "SQLite, fsync": ("sqlite", {"durability": "fsync"}),
    "SQLite, async": ("sqlite", {"durability": "async"}),
    "PostgreSQL, commit": ("postgres", {}),
    "PostgreSQL, async": ("postgres", {"durability": "async"}),
    "PostgreSQL, commit, two policies": ("postgres", POLICY),
    "PostgreSQL, commit, a budget in Redis": ("postgres", {"redis": True, **BUDGET}),
    "PostgreSQL, commit, a key's limits in Redis": ("postgres", {"redis": True, **LIMITS}),
    "PostgreSQL, commit, all of these": ("postgres", {"redis": True, **BUDGET, **LIMITS, **POLICY}),
}


async def measured(
    folder: Path, upstream: str, urls: Mapping[str, str], changes: Mapping[str, Any], database: str, servers: tuple[int, int]
) -> Cost:
    """One variant, once: a fresh process, warmed, then `CALLS` calls."""
    folder.mkdir()
    config = folder / "grammage.yaml"
    config.write_text(json.dumps(_content(folder, upstream, urls, dict(changes), database)))
    replica = Replica(0, folder / "run", config)
    replica.start()
    try:
        await replica.ready()
        await Crowd((replica.url,), WARM_CALLS, CONCURRENCY).run()
        crowd = Crowd((replica.url,), CALLS, CONCURRENCY)
        before, began = _cpu_s(replica, servers), asyncio.get_running_loop().time()
        await crowd.run()
        took_s = asyncio.get_running_loop().time() - began
        await eventually(lambda: metric(replica, "grammage_ledger_oldest_call_seconds") == 0)
        after = _cpu_s(replica, servers)
        assert not [tried for tried in crowd.tries.values() if tried.outcome != "completed"]
        proxy_ms, database_ms, redis_ms = (1000 * (late - early) / CALLS for late, early in zip(after, before, strict=True))
        return Cost(proxy_ms=proxy_ms, database_ms=database_ms, redis_ms=redis_ms, rss_mb=_rss_mb(replica), calls_per_s=CALLS / took_s)
    finally:
        replica.kill()


def _content(folder: Path, upstream: str, urls: Mapping[str, str], changes: dict[str, Any], database: str) -> dict[str, Any]:
    deployment = {"provider": "openai", "model": "gpt-4o-mini", "api_base": upstream, "api_key": "sk-provider"}
    durability, with_redis = changes.pop("durability", "commit"), changes.pop("redis", False)
    return {
        "version": 1,
        "user_hash_secret": "a secret of the measurement",
        "keys": [{"key": KEY, "name": "clients"}, {"key": VIEWER, "name": "viewer", "role": "viewer"}],
        "models": {"gpt-4o-mini": {"deployments": [deployment]}, "gpt-4o": {"deployments": [deployment]}},
        "ledger": {"url": urls.get(database, f"sqlite:///{folder}/calls.db"), "durability": durability},
        "redis": urls["redis"] if with_redis else None,
        **changes,
    }


def _cpu_s(replica: Replica, servers: tuple[int, int]) -> tuple[float, float, float]:
    """Processor seconds so far: the proxy's, those of PostgreSQL with what it started, and Redis's."""
    assert replica.process is not None
    spent: defaultdict[int, float] = defaultdict(float)
    for pid, parent, spent_s in _processes():
        spent[pid] += spent_s
        if parent == servers[0]:
            spent[parent] += spent_s
    return spent[replica.process.pid], spent[servers[0]], spent[servers[1]]


def _processes() -> Iterator[tuple[int, int, float]]:
    """Id, parent and processor seconds, of ended children too, of all that run."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):  # it has ended
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), int(fields[1]), sum(map(int, fields[11:15])) / TICKS


def _rss_mb(replica: Replica) -> float:
    assert replica.process is not None
    pages = int(Path(f"/proc/{replica.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


async def main(rounds: int) -> None:
    """Every variant in turn, so often; medians are printed."""
    seen: dict[str, list[Cost]] = {name: [] for name in VARIANTS}
    with tempfile.TemporaryDirectory() as folder, postgres_server() as postgres, redis_server() as redis:
        assert redis.pid is not None
        servers = postgres_pid(postgres), redis.pid
        async with provider() as upstream:
            for number in range(rounds):
                for at, (name, (database, changes)) in enumerate(VARIANTS.items()):
                    with postgres.database() as url:
                        open_store(url).close()
                        places = {"postgres": url, "redis": redis.url}
                        seen[name].append(await measured(Path(folder) / f"{number}-{at}", upstream.url, places, changes, database, servers))
    print(f"{'CPU ms per call, median of ' + str(rounds):<46}{'proxy':>8}{'database':>10}{'Redis':>8}{'RSS MiB':>9}{'calls/s':>9}")
    for name, costs in seen.items():
        told = [statistics.median(getattr(cost, what) for cost in costs) for what in Cost.__slots__]
        print(f"{name:<46}{told[0]:>8.2f}{told[1]:>10.2f}{told[2]:>8.2f}{told[3]:>9.0f}{told[4]:>9.0f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
