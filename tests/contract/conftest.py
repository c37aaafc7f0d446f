"""A scripted provider, and the proxy in front of it with its additions off and on: one of each per test module."""

from collections.abc import Iterator

import pytest

from tests.contract.proxy_harness import Proxy, proxy
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream

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
