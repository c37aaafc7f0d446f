"""The processes of the proof: replicas, PostgreSQL, Redis and Prometheus, each can be killed. It must never share one with a test."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract.ledgers import open_store
from tests.contract.postgres_server import PostgresServer, postgres_server
from tests.contract.redis_server import RedisServer, redis_server
from tests.replicas.crowd import CAMPAIGN, KEY
from tests.serving import free_port

VIEWER = "gk-viewer-of-the-proof"
PROMETHEUS = shutil.which("prometheus")
SCRAPE_S = 1.0
START_S = 60.0
STOP_S = 60.0
LOOK_S = 0.05
_SERVE = (sys.executable, "-c", "from proxy.cli.main import main; main()", "serve")
_DIVERTING = ("GRAMMAGE_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "OPENAI_")


@dataclass(slots=True)
class Replica:
    """One `grammage serve` on a port that it keeps, with a folder of its own. lives: when each of its processes ended."""

    number: int
    folder: Path
    config: Path
    port: int = field(default_factory=free_port)
    lives: list[float] = field(default_factory=list)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Origin."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begins a process; `ready` says when it serves."""
        self.folder.mkdir(exist_ok=True)
        environ = {name: value for name, value in os.environ.items() if not name.upper().startswith(_DIVERTING)}
        command = [*_SERVE, "--config", str(self.config), "--port", str(self.port), "--log-level", "warning"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log
            )

    async def ready(self) -> None:
        """Returns once it takes calls."""
        await eventually(lambda: self.process is not None and (self.process.poll() is not None or _status(f"{self.url}/readyz") == 200))
        assert self.process is not None
        assert self.process.poll() is None, self.log

    async def end(self, number: signal.Signals) -> int:
        """Sends the signal; the exit code, once it is there."""
        assert self.process is not None
        self.process.send_signal(number)
        code = await asyncio.to_thread(self.process.wait, STOP_S)
        self.lives.append(time.perf_counter())
        return code

    @property
    def log(self) -> str:
        """All it wrote so far."""
        return (self.folder / "log").read_text(errors="replace")

    def kill(self) -> None:
        """At the end of all."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_S)


@dataclass(slots=True)
class Prometheus:
    """A Prometheus that scrapes the replicas, and keeps its folder over its deaths."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def configure(self, replicas: list[Replica]) -> None:
        """Writes its configuration."""
        targets = [f"127.0.0.1:{each.port}" for each in replicas]
        job = {"job_name": "grammage", "authorization": {"credentials": VIEWER}, "static_configs": [{"targets": targets}]}
        interval = f"{SCRAPE_S:.0f}s"
        content = {"global": {"scrape_interval": interval, "scrape_timeout": interval}, "scrape_configs": [job]}
        (self.folder / "prometheus.yml").write_text(json.dumps(content))

    def start(self) -> None:
        """Begins a process."""
        address = f"127.0.0.1:{self.port}"
        command = [str(PROMETHEUS), f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/data"]
        self.process = subprocess.Popen(
            [*command, f"--web.listen-address={address}"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    async def ready(self) -> None:
        """Returns once it answers."""
        await eventually(lambda: _status(f"http://127.0.0.1:{self.port}/-/ready") == 200)

    def samples(self, query: str) -> list[dict[str, Any]]:
        """Every sample that it has of the series."""
        asked = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{asked}", timeout=30) as reply:
            found: list[dict[str, Any]] = json.load(reply)["data"]["result"]
        return found

    def kill(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(STOP_S)


@dataclass(slots=True)
class House:
    """All of them. prometheus: None where it is not installed. gone_s: how long what was killed stays away, as a supervisor needs."""

    replicas: list[Replica]
    postgres: PostgresServer
    redis: RedisServer
    prometheus: Prometheus | None
    ledger_url: str
    config: Path
    content: dict[str, Any]
    gone_s: float

    def cap(self, limit_g: float) -> None:
        """Gives the campaign a budget that ends; replicas take it over."""
        budget = {"match": {"campaign": CAMPAIGN}, "limit_kgco2e": limit_g / 1000, "on_exceed": "refuse", "on_lost": "fail_closed"}
        self.content["budgets"].append({"name": CAMPAIGN, "period": "all", **budget})
        self.config.write_text(json.dumps(self.content))
        for each in self.replicas:
            assert each.process is not None
            each.process.send_signal(signal.SIGHUP)

    async def kill_postgres(self) -> None:
        """kill -9 of the server's first process; the others notice and end."""
        pid = postgres_pid(self.postgres)
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: not Path(f"/proc/{pid}").exists())

    async def start_postgres(self) -> None:
        """Starts it again; it may have to wait for what is left of the one before."""
        for _ in range(40):
            try:
                await asyncio.to_thread(self.postgres.start)
            except AssertionError:
                await asyncio.sleep(LOOK_S * 5)
            else:
                return
        raise AssertionError((self.postgres.folder / "log").read_text(errors="replace")[-2000:])


@contextlib.asynccontextmanager
async def house(folder: Path, upstream: str, gone_s: float) -> AsyncIterator[House]:
    """Everything, running; gone afterwards."""
    with contextlib.ExitStack() as opened:
        postgres, redis = opened.enter_context(postgres_server()), opened.enter_context(redis_server())
        postgres.create("ledger")
        url = postgres.url("ledger")
        open_store(url).close()
        config = folder / "grammage.yaml"
        content = _content(upstream, url, redis.url)
        config.write_text(json.dumps(content))
        replicas = [Replica(number, folder / f"replica-{number}", config) for number in range(2)]
        made = House(replicas, postgres, redis, _watching(folder, replicas), url, config, content, gone_s)
        opened.enter_context(_ended(made))
        for each in replicas:
            each.start()
        if made.prometheus is not None:
            made.prometheus.start()
        await asyncio.gather(*(each.ready() for each in replicas))
        yield made


def _content(upstream: str, url: str, redis: str) -> dict[str, Any]:
    deployment = {"provider": "openai", "model": "gpt-4o-mini", "api_base": upstream, "api_key": "sk-provider"}
    return {
        "version": 1,
        "server": {"listen": "127.0.0.1:0", "drain_s": 30},
        "user_hash_secret": "a secret of the proof",
        "keys": [{"key": KEY, "name": "clients"}, {"key": VIEWER, "name": "viewer", "role": "viewer"}],
        "models": {"gpt-4o-mini": {"deployments": [deployment]}},
        "tags": {"campaign": [CAMPAIGN]},
        "ledger": {"url": url},
        "redis": redis,
        "budgets": [{"name": "everything", "limit_kgco2e": 1000, "period": "all"}],
    }


def _watching(folder: Path, replicas: list[Replica]) -> Prometheus | None:
    if PROMETHEUS is None:
        return None
    (folder / "prometheus").mkdir()
    made = Prometheus(folder / "prometheus")
    made.configure(replicas)
    return made


@contextlib.contextmanager
def _ended(made: House) -> Iterator[None]:
    try:
        yield
    finally:
        for each in made.replicas:
            each.kill()
        if made.prometheus is not None:
            made.prometheus.kill()


def postgres_pid(server: PostgresServer) -> int:
    """Of the process that started all others."""
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def metric(replica: Replica, begins: str) -> float | None:
    """The first line of /metrics that begins so."""
    asked = urllib.request.Request(f"{replica.url}/metrics", headers={"authorization": f"Bearer {VIEWER}"})
    with urllib.request.urlopen(asked, timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(begins)), None)


async def eventually(probe: Any) -> None:
    """Returns once `probe` says True; asked in a thread, for it may block."""
    async with asyncio.timeout(START_S):
        while not await asyncio.to_thread(probe):
            await asyncio.sleep(LOOK_S)


def _status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=2) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
