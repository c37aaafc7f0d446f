"""Real clients over a real socket: each is served as its provider alone would serve it, and finds the footprint."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.clients.conftest import Drivers
from tests.clients.environments import CURL, NODE, OWN, checks_of

OPENAI = ("openai_chat", "openai_faults", "openai_media", "openai_objects", "openai_late")
CLIENTS: dict[str, tuple[tuple[str, ...], str]] = {
    "openai-python-2": (OPENAI, OWN),
    "openai-python-3": (OPENAI, "openai3"),
    "openai-node": (("openai_node",), NODE),
    "ai-sdk": (("ai_sdk",), NODE),
    "langchain-python": (("langchain_python",), "openai3"),
    "pydantic-ai": (("pydantic_agents",), "openai3"),
    "llama-index-and-instructor": (("llama_index_python",), "openai2"),
    "litellm": (("litellm_client",), "openai2"),
    "curl": (("curl",), CURL),
    "anthropic": (("anthropic_python",), "openai3"),
    "google-genai": (("google_genai",), "openai3"),
    "langchain-node": (("langchain_node",), NODE),
}
"""Client -> driver modules and the environment that they run in."""


def cases(*, long: bool) -> list[Any]:
    """(client, check) of every check of that length."""
    return [
        pytest.param(client, check.name, id=f"{client}-{check.name}")
        for client, (driver, _) in CLIENTS.items()
        for check in checks_of(driver)
        if check.long == long
    ]


def names_of(client: str, *, long: bool) -> tuple[str, ...]:
    return tuple(check.name for check in checks_of(CLIENTS[client][0]) if check.long == long)


@pytest.mark.parametrize(("client", "name"), cases(long=False))
def test_a_client_is_served(client: str, name: str, drivers: Drivers, needs: Callable[[str], None]) -> None:
    driver, environment = CLIENTS[client]
    needs(environment)
    line = drivers.result(driver, environment, names_of(client, long=False), name)
    assert line["ok"], line.get("trace") or line


@pytest.mark.prove
@pytest.mark.parametrize(("client", "name"), cases(long=True))
def test_a_client_is_served_for_long(client: str, name: str, drivers: Drivers, needs: Callable[[str], None]) -> None:
    driver, environment = CLIENTS[client]
    needs(environment)
    line = drivers.result(driver, environment, names_of(client, long=True), name)
    assert line["ok"], line.get("trace") or line


@pytest.mark.prove
@pytest.mark.parametrize(("client", "name"), cases(long=False))
def test_a_client_sees_through_the_proxy_what_it_sees_without(
    client: str, name: str, drivers: Drivers, needs: Callable[[str], None]
) -> None:
    driver, environment = CLIENTS[client]
    needs(environment)
    names = names_of(client, long=False)
    through = drivers.result(driver, environment, names, name)
    alone = drivers.result(driver, environment, names, name, through=False)
    assert alone["ok"], alone.get("trace") or alone
    assert through.get("saw") == alone.get("saw")
