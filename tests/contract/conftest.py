"""A scripted provider, and the proxy in front of it with its additions off and on: one of each per test module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream
from tests.contract.socket_harness import SocketUpstream, socket_upstream

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
