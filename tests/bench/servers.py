"""Starts and ends the processes of a run, pinned to a core, and reads what they use. It must never leave a process behind."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.bench.bodies import PACED_MODEL, STREAM_MODEL, UNARY_MODEL, unary_answer

READY_S = 60.0
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

NGINX_HEAD = """
{user}
worker_processes 1;
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_buffer_size 1m;
  keepalive_requests 1000000000;
  client_body_temp_path {folder}/{name}-1;
  proxy_temp_path {folder}/{name}-2;
  fastcgi_temp_path {folder}/{name}-3;
  uwsgi_temp_path {folder}/{name}-4;
  scgi_temp_path {folder}/{name}-5;
"""
NGINX_MOCK = """
  server {{ listen 127.0.0.1:{port}; default_type application/json; location / {{ return 200 '{answer}'; }} }}
}}
"""
NGINX_PROXY = """
  upstream unary {{ server 127.0.0.1:{unary}; keepalive 128; keepalive_requests 1000000000; }}
  upstream stream {{ server 127.0.0.1:{stream}; keepalive 128; keepalive_requests 1000000000; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://unary; }} }}
  server {{ listen 127.0.0.1:{stream_port}; location / {{ proxy_pass http://stream; proxy_buffering off; }} }}
}}
"""
CONFIG = """
version: 1
server: {{listen: "127.0.0.1:{port}"}}
tags: {{campaign: [bench]}}
ledger: {{url: "sqlite:///{folder}/ledger.db"}}
models:
  {unary_model}: {{deployments: [{{provider: openai, model: gpt-4o-mini, api_base: "http://127.0.0.1:{unary}/v1"}}]}}
  {stream_model}: {{deployments: [{{provider: openai, api_base: "http://127.0.0.1:{stream}/v1", catalogue_model: gpt-4o-mini}}]}}
  {paced_model}: {{deployments: [{{provider: openai, api_base: "http://127.0.0.1:{stream}/v1", catalogue_model: gpt-4o-mini}}]}}
"""


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for what is measured, the other for load and mock; None when there is but one, or no taskset."""

    load: int | None
    measured: int | None


def choose_cores() -> Cores:
    """The first and the last core that this process may use."""
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2 or shutil.which("taskset") is None:
        return Cores(None, None)
    return Cores(mine[0], mine[-1])


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Running:
    """A process and the port it listens on."""

    process: subprocess.Popen[bytes]
    port: int
    stream_port: int
    ready_s: float

    def cpu_s(self) -> float:
        """Processor seconds used so far by the process and its children, all threads."""
        return sum(_cpu_s(pid) for pid in _family(self.process.pid))

    def rss_mb(self) -> float:
        """Resident memory of the process and its children, MiB."""
        return sum(_rss_mb(pid) for pid in _family(self.process.pid))


@contextlib.contextmanager
def nginx_mock(folder: Path, core: int | None) -> Iterator[Running]:
    """nginx that answers every request with the same JSON."""
    port = free_port()
    text = _nginx_head(folder, "mock") + NGINX_MOCK.format(port=port, answer=unary_answer().decode())
    with _nginx(folder, "mock", text, core, port, 0) as running:
        yield running


@contextlib.contextmanager
def nginx_proxy(folder: Path, core: int | None, unary: int, stream: int) -> Iterator[Running]:
    """nginx in front of the mocks: the yardstick."""
    port, stream_port = free_port(), free_port()
    text = _nginx_head(folder, "proxy") + NGINX_PROXY.format(port=port, stream_port=stream_port, unary=unary, stream=stream)
    with _nginx(folder, "proxy", text, core, port, stream_port) as running:
        yield running


@contextlib.contextmanager
def stream_mock(core: int | None) -> Iterator[Running]:
    """The streaming provider."""
    port = free_port()
    with _started([sys.executable, "-m", "tests.bench.mock", str(port)], core, subprocess.DEVNULL) as process:
        _wait_port(process, port)
        yield Running(process, port, port, 0.0)


@contextlib.contextmanager
def proxy(folder: Path, core: int | None, unary: int, stream: int) -> Iterator[Running]:
    """The proxy with everything on: metering, tags, log lines to a file, ledger in `folder`."""
    folder.mkdir(exist_ok=True)
    port = free_port()
    config = folder / "grammage.yaml"
    names = {"unary_model": UNARY_MODEL, "stream_model": STREAM_MODEL, "paced_model": PACED_MODEL}
    config.write_text(CONFIG.format(port=port, folder=folder, unary=unary, stream=stream, **names))
    command = [sys.executable, "-c", "from proxy.cli.main import main; main()", "serve", "--config", str(config)]
    with (folder / "log.jsonl").open("ab") as log:
        start = time.perf_counter()
        with _started(command, core, log.fileno()) as process:
            _wait_ready(process, port, folder / "log.jsonl")
            yield Running(process, port, port, time.perf_counter() - start)


def _nginx_head(folder: Path, name: str) -> str:
    return NGINX_HEAD.format(folder=folder, name=name, user="user root;" if os.geteuid() == 0 else "")


@contextlib.contextmanager
def _nginx(folder: Path, name: str, text: str, core: int | None, port: int, stream_port: int) -> Iterator[Running]:
    config = folder / f"{name}.conf"
    config.write_text(text)
    command = ["nginx", "-e", str(folder / f"{name}.log"), "-p", str(folder), "-c", str(config)]
    with _started(command, core, subprocess.DEVNULL) as process:
        _wait_port(process, port)
        yield Running(process, port, stream_port, 0.0)


@contextlib.contextmanager
def _started(command: list[str], core: int | None, errors: int) -> Iterator[subprocess.Popen[bytes]]:
    pinned = command if core is None else ["taskset", "-c", str(core), *command]
    process = subprocess.Popen(pinned, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_port(process: subprocess.Popen[bytes], port: int) -> None:
    until = time.perf_counter() + READY_S
    while time.perf_counter() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.005)
    raise RuntimeError(f"{process.args!r} does not listen on port {port}")


def _wait_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.perf_counter() + READY_S
    while time.perf_counter() < until and process.poll() is None:
        with contextlib.suppress(URLError, ConnectionError), urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
            if reply.status == 200:
                return
        time.sleep(0.005)
    raise RuntimeError(f"the proxy did not get ready: {log.read_text()[-2000:]}")


def _family(pid: int) -> list[int]:
    pids = [pid]
    for parent in pids:
        with contextlib.suppress(OSError):
            pids += [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    return pids


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def _rss_mb(pid: int) -> float:
    line = next((line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")), "VmRSS: 0 kB")
    return int(line.split()[1]) / 1024
