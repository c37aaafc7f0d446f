"""One local server that speaks every provider's format, and one `grammage serve` with all examples at once, turned to that server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from config.load import load_settings
from config.providers import public_base
from tests.contract.proxy_harness import Child, Proxy, serve_command
from tests.contract.scripted_upstream import ScriptedUpstream, scripted_upstream
from tests.providers.case import KEY

EXAMPLES = Path(__file__).resolve().parents[2] / "config" / "examples" / "providers"
BASES = {"anthropic": "/v1", "cohere": "/v2", "google-gemini": "/v1beta", "gemini": "/v1beta"}
"""Paths of the addresses that LiteLLM knows by itself."""

LONG_ENOUGH = "a-second-secret-of-the-tests"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ScriptedUpstream]:
    with scripted_upstream() as made:
        yield made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("providers")


@pytest.fixture(scope="module")
def child(upstream: ScriptedUpstream, folder: Path) -> Iterator[Child]:
    (folder / "grammage.yaml").write_text(json.dumps(configuration(upstream.url, folder)))
    with serve_command(folder, "--config", "grammage.yaml") as made:
        yield made


@pytest.fixture(scope="module")
def proxy(child: Child, folder: Path) -> Proxy:
    """The proxy, ready."""
    made = child.proxy(folder / "calls.db")
    made.headers = {}
    return made


def configuration(url: str, folder: Path) -> dict[str, Any]:
    """All examples in one document: aliases but for patterns with their file's name before them, addresses on the local server."""
    models: dict[str, Any] = {}
    for file in sorted(EXAMPLES.glob("*.yaml")):
        settings = load_settings(file, environment(url))
        for alias, entry in settings.models.items():
            found = entry.model_dump(mode="json", exclude_defaults=True)
            for deployment in found["deployments"]:
                deployment["api_base"] = url + _path(deployment)
            models[alias if alias.endswith("*") else f"{file.stem}:{alias}"] = found
    return {
        "version": 1,
        "server": {"listen": "127.0.0.1:0"},
        "auth": "open",
        "models": models,
        "ledger": {"url": f"sqlite:///{folder / 'calls.db'}"},
        "user_hash_secret": LONG_ENOUGH,
    }


def environment(url: str) -> dict[str, str]:
    """Every variable that the examples name."""
    names = {name for file in EXAMPLES.glob("*.yaml") for name in _variables(file.read_text())}
    return {**dict.fromkeys(names, KEY), "VERTEX_CREDENTIALS": _service_account(url)}


def _variables(text: str) -> list[str]:
    return [part.split("}")[0].split(":-")[0] for part in text.split("${")[1:]]


def _path(deployment: dict[str, Any]) -> str:
    """The path of the deployment's own address."""
    if deployment.get("door") == "litellm" or (deployment.get("api_base") is None and public_base(deployment["provider"]) is None):
        return BASES.get(deployment["provider"], "")
    return urlsplit(deployment.get("api_base") or public_base(deployment["provider"]) or "").path


def _service_account(url: str) -> str:
    """A service account whose tokens the local server makes."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    account = {
        "type": "service_account",
        "project_id": "my-project",
        "private_key_id": "1",
        "private_key": pem,
        "client_email": "tests@my-project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{url}/token",
    }
    return json.dumps(account)
