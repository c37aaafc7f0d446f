"""A scripted provider, and the proxy in front of it with its additions off and on: one of each per test module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.ledger.store import Store
from tests.contract.ledgers import open_store, sqlite_url
from tests.contract.postgres_server import PostgresServer, postgres_server
from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream
from tests.contract.socket_harness import SocketUpstream, socket_upstream

LEDGER = "ledger"
OFF = {"headers": False, "body": False}


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def plain(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("plain"), upstream.url, tagging=OFF) as made:
        yield made


@pytest.fixture(scope="module")
def tagging(upstream: ScriptedUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxy(tmp_path_factory.mktemp("tagging"), upstream.url) as made:
        yield made


@pytest.fixture(scope="module")
def sockets() -> Iterator[SocketUpstream]:
    with socket_upstream() as made:
        yield made


@pytest.fixture
def provider(sockets: SocketUpstream) -> SocketUpstream:
    """A provider of sockets that has seen nothing yet."""
    sockets.reset()
    return sockets


@pytest.fixture
def front(provider: SocketUpstream, tmp_path: Path) -> Iterator[Proxy]:
    """A proxy in front of `provider`."""
    with proxy(tmp_path, provider.url) as made:
        yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of these tests' own, started when the first of them needs it. `LEDGER` is a database with this version's schema."""
    with postgres_server() as server:
        server.create(LEDGER)
        open_store(server.url(LEDGER)).close()
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where one test's ledger is, on each database in turn. SQLite: not there yet; PostgreSQL: with its schema."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database(LEDGER) as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def bare_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where no ledger is yet, on each database in turn."""
    if request.param == "sqlite":
        yield sqlite_url(tmp_path)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as made:
        yield made


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """One test's ledger, on each database in turn."""
    opened = open_store(url)
    yield opened
    opened.close()
