"""Names a deployment as LiteLLM knows it: provider, model, address, key, region. It must never read the environment or a call's body."""

from collections.abc import Mapping
from dataclasses import dataclass

from config.deployment import Deployment
from config.providers import litellm_name, names_of, provider_id

Value = str | int | float | bool
REGION_FIELDS: Mapping[str, str] = {"aws-bedrock": "aws_region_name", "gcp-vertex": "vertex_location", "oci": "oci_region"}
"""Where LiteLLM wants the cloud region, by provider."""

KEYLESS = frozenset(("openai", "hosted_vllm", "ollama_chat"))
"""Servers of one's own, by LiteLLM's names, which may ask for no key; LiteLLM would look for one in the environment."""

SHORTEST_SECRET = 8

BASES: Mapping[str, str] = {"anthropic": "https://api.anthropic.com", "openai": "https://api.openai.com/v1"}
"""Addresses that are said each time: clients point the environment's own variables for them at this proxy."""

TAILS: Mapping[str, str] = {"anthropic": "/v1"}
"""What our base URLs end with and LiteLLM appends itself."""

FULL_ADDRESSES: Mapping[str, Mapping[str, str]] = {
    "cohere": {"chat": "/chat", "embeddings": "/embed"},
}
"""Where LiteLLM wants an operation's whole address: what comes after the base URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to ask. `settings` are LiteLLM's per-call arguments; `secrets` must never show in a message."""

    model: str
    provider: str
    settings: Mapping[str, Value]
    secrets: tuple[str, ...]


def target_of(deployment: Deployment, name: str, api_key: str | None, operation: str) -> Target:
    """The target of one call for model `name`, as the caller or the deployment writes it."""
    provider = provider_id(deployment.provider)
    settings: dict[str, Value] = {}
    if api_key is not None:
        settings["api_key"] = api_key
    if base := _base(provider, deployment, operation):
        settings["api_base"] = base
        if api_key is None and litellm_name(provider) in KEYLESS:
            settings["api_key"] = "none"
    if deployment.api_version is not None:
        settings["api_version"] = deployment.api_version
    if deployment.region is not None and (field := REGION_FIELDS.get(provider)):
        settings[field] = deployment.region
    settings.update(deployment.params)
    secrets = tuple(
        str(value) for value in (api_key, *deployment.params.values()) if isinstance(value, str) and len(value) >= SHORTEST_SECRET
    )
    return Target(
        model=f"{litellm_name(provider)}/{bare_name(provider, name)}",
        provider=litellm_name(provider),
        settings=settings,
        secrets=secrets,
    )


def bare_name(provider: str, name: str) -> str:
    """The model's name less the provider's own in front of it, as in `bedrock/amazon.nova-lite-v1:0`."""
    head, slash, rest = name.partition("/")
    return rest if slash and rest and head in names_of(provider) else name


def _base(provider: str, deployment: Deployment, operation: str) -> str | None:
    if deployment.api_base is None:
        return BASES.get(provider)
    base = deployment.api_base.rstrip("/")
    tail = FULL_ADDRESSES.get(provider, {}).get(operation)
    return base + tail if tail else base.removesuffix(TAILS.get(provider, ""))
