"""A real proxy of several workers: which processes they are, what its scrape says, and connections that are made anew for each question.

It must never take a worker's word for another's.
"""

import asyncio
import contextlib
import os
import select
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.contract.loss_harness import STOP_S, Clients, Proxy

SERVES = b"serves on seat"
HAS_ENDED = b"has ended"
EVERY_WORKER = b"by every worker"
KEY = {"authorization": "Bearer sk-test-1234567890"}


def config_of(workers: int, more: str = "", server: str = "") -> str:
    """A configuration with so many workers."""
    return f"version: 1\nserver: {{workers: {workers}{server and ', '}{server}}}\n{more}"


def workers_of(proxy: Proxy) -> list[int]:
    """The processes that serve, oldest first."""
    pid = proxy.process.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def heard(proxy: Proxy, words: bytes, times: int) -> None:
    """Waits until the proxy has said the words so often."""
    async with asyncio.timeout(STOP_S):
        while proxy.log.count(words) < times:
            proxy.heard.clear()
            await proxy.heard.wait()


def has_ended(pid: int, patience_s: float) -> bool:
    """Waits for a process that is not our child."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], patience_s)[0])
    finally:
        os.close(descriptor)


@contextlib.asynccontextmanager
async def fresh(url: str) -> AsyncIterator[Clients]:
    """Clients that make a connection for each call, so that the system chooses a worker each time."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as session:
        yield Clients(session, url)


async def got(asking: Clients, path: str) -> tuple[int, Any]:
    """Status and body of a GET below the proxy's root."""
    async with asking.session.get(f"{asking.url.removesuffix('/v1')}{path}", headers=KEY) as reply:
        body = await reply.text()
        return reply.status, body


async def scrape(asking: Clients) -> dict[str, float]:
    """The sums of all samples, by name."""
    status, text = await got(asking, "/metrics")
    assert status == 200
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return sums
