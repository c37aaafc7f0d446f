"""A configuration's mark: the same for replicas that agree, another one as soon as they do not."""

import pytest

from config.settings import Settings
from proxy.replicas.mark import MARK_DIGITS, config_mark

KEY = {"key": "gk-0123456789", "name": "studio"}
MADE = {"keys": [KEY], "models": {"a": {"deployments": [{"provider": "openai"}]}}, "server": {"listen": "127.0.0.1:8080"}}


def marked(secret: bytes = b"secret", /, **changes: object) -> str:
    return config_mark(Settings.model_validate({**MADE, **changes}), secret)


def test_replicas_that_listen_elsewhere_have_the_same_mark() -> None:
    assert marked() == marked(server={"listen": "0.0.0.0:9000"}, admin={"listen": "127.0.0.1:9001"})
    assert len(marked()) == MARK_DIGITS


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": [{**KEY, "key": "gk-another-one"}]},
        {"models": {"a": {"deployments": [{"provider": "openai", "region": "eastus"}]}}},
        {"server": {"drain_s": 1}},
        {"redis": "redis://127.0.0.1:6379/0"},
    ],
    ids=["a key", "a deployment", "the drain", "redis"],
)
def test_any_other_difference_gives_another_mark(changes: dict[str, object]) -> None:
    assert marked(**changes) != marked()


def test_another_hashing_secret_gives_another_mark() -> None:
    assert marked(b"one") != marked(b"two")
