"""Which dialects each provider speaks, at which public addresses and under which key header. It must never hold a key or a price."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Dialect = Literal["openai", "anthropic", "gemini"]
"""How a call is written: OpenAI's API, Anthropic's Messages, Gemini's generateContent."""

Door = Literal["wire", "litellm", "simulated"]
"""wire: the provider speaks the caller's dialect, bytes go through. litellm: the call is translated. simulated: the built-in provider."""

PUBLIC_BASES: Mapping[str, str] = {
    "baseten": "https://inference.baseten.co/v1",
    "cerebras": "https://api.cerebras.ai/v1",
    "dashscope": "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
    "deepseek": "https://api.deepseek.com/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "friendliai": "https://api.friendli.ai/serverless/v1",
    "google-gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "groq": "https://api.groq.com/openai/v1",
    "huggingface": "https://router.huggingface.co/v1",
    "hyperbolic": "https://api.hyperbolic.xyz/v1",
    "minimax": "https://api.minimax.io/v1",
    "mistral": "https://api.mistral.ai/v1",
    "moonshot": "https://api.moonshot.ai/v1",
    "nebius": "https://api.studio.nebius.com/v1",
    "novita": "https://api.novita.ai/v3/openai",
    "nvidia_nim": "https://integrate.api.nvidia.com/v1",
    "ollama": "http://127.0.0.1:11434/v1",
    "openai": "https://api.openai.com/v1",
    "openai-eu": "https://eu.api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "ovhcloud": "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
    "perplexity": "https://api.perplexity.ai",
    "sambanova": "https://api.sambanova.ai/v1",
    "scaleway": "https://api.scaleway.ai/v1",
    "together": "https://api.together.xyz/v1",
    "xai": "https://api.x.ai/v1",
    "zai": "https://api.z.ai/api/paas/v4",
}
"""Base URL of the OpenAI dialect, up to and including /v1, by provider id; the ids are those of the place tables."""

FOREIGN_BASES: Mapping[tuple[str, Dialect], str] = {
    ("anthropic", "anthropic"): "https://api.anthropic.com/v1",
    ("google-gemini", "gemini"): "https://generativelanguage.googleapis.com/v1beta",
}
"""Base URL of another dialect, up to and including the version, where a provider speaks it."""

LITELLM_NAMES: Mapping[str, str] = {
    "ai21": "ai21_chat",
    "anthropic": "anthropic",
    "aws-bedrock": "bedrock",
    "azure": "azure",
    "azure-ai": "azure_ai",
    "cerebras": "cerebras",
    "cloudflare": "cloudflare",
    "cohere": "cohere_chat",
    "dashscope": "dashscope",
    "databricks": "databricks",
    "deepinfra": "deepinfra",
    "deepseek": "deepseek",
    "fireworks": "fireworks_ai",
    "friendliai": "friendliai",
    "gcp-vertex": "vertex_ai",
    "google-gemini": "gemini",
    "groq": "groq",
    "huggingface": "huggingface",
    "hyperbolic": "hyperbolic",
    "ibm-watsonx": "watsonx",
    "jina": "jina_ai",
    "minimax": "minimax",
    "mistral": "mistral",
    "moonshot": "moonshot",
    "nebius": "nebius",
    "novita": "novita",
    "nvidia_nim": "nvidia_nim",
    "oci": "oci",
    "ollama": "ollama_chat",
    "openrouter": "openrouter",
    "ovhcloud": "ovhcloud",
    "perplexity": "perplexity",
    "replicate": "replicate",
    "sagemaker": "sagemaker_chat",
    "sambanova": "sambanova",
    "scaleway": "scaleway",
    "together": "together_ai",
    "vllm": "hosted_vllm",
    "voyage": "voyage",
    "xai": "xai",
    "zai": "zai",
}
"""What LiteLLM calls a provider, by our id; one that is not here is asked as an OpenAI-compatible server."""

TRANSLATED = frozenset(
    (
        "ai21", "anthropic", "aws-bedrock", "azure-ai", "cohere", "databricks", "gcp-vertex", "ibm-watsonx",
        "jina", "oci", "replicate", "sagemaker", "voyage",
    )
)  # fmt: skip
"""Providers that do not speak OpenAI's dialect well enough to pass its bytes: they are reached through LiteLLM."""

OWN_CREDENTIALS = frozenset(("aws-bedrock", "gcp-vertex", "oci", "sagemaker"))
"""Clouds that are paid by the operator: credentials stand in `params`, `api_key` or the process's environment, never in a caller's key."""

CREDENTIAL = re.compile(r"(?:^|_)(?:api_?key|key|token|secret|credentials?|password)(?:_|$)")
"""Names of LiteLLM's arguments that hold what a call is paid with."""

OWN_ADDRESS = frozenset(("azure", "azure-ai", "databricks", "vllm"))
"""Providers whose address is each customer's own."""

OTHER_NAMES: Mapping[str, str] = {
    "ai21_chat": "ai21",
    "amazon_bedrock": "aws-bedrock",
    "aws": "aws-bedrock",
    "aws_bedrock": "aws-bedrock",
    "azure-openai": "azure",
    "azure_ai": "azure-ai",
    "azure_openai": "azure",
    "bedrock": "aws-bedrock",
    "claude": "anthropic",
    "cohere_chat": "cohere",
    "fireworks_ai": "fireworks",
    "foundry": "azure-ai",
    "gcp": "gcp-vertex",
    "gemini": "google-gemini",
    "google": "google-gemini",
    "google-ai-studio": "google-gemini",
    "google_ai_studio": "google-gemini",
    "google-vertex": "gcp-vertex",
    "hf": "huggingface",
    "hosted_vllm": "vllm",
    "ibm": "ibm-watsonx",
    "jina_ai": "jina",
    "mistralai": "mistral",
    "moonshotai": "moonshot",
    "nvidia": "nvidia_nim",
    "ollama_chat": "ollama",
    "oracle": "oci",
    "ovh": "ovhcloud",
    "together_ai": "together",
    "togetherai": "together",
    "vertex": "gcp-vertex",
    "vertex_ai": "gcp-vertex",
    "vertexai": "gcp-vertex",
    "voyage_ai": "voyage",
    "voyageai": "voyage",
    "watsonx": "ibm-watsonx",
    "workers_ai": "cloudflare",
    "x-ai": "xai",
    "grok": "xai",
    "z-ai": "zai",
}
"""Other ways to write a provider id; the place tables know them too."""

SIMULATED = "simulated"
"""The built-in provider: it has no URL."""


@dataclass(frozen=True, slots=True)
class KeyHeader:
    """Where a key stands in a request: the header's name, and what comes before the key."""

    name: bytes
    before: bytes = b""


BEARER = KeyHeader(b"authorization", b"Bearer ")
KEY_HEADERS: Mapping[tuple[str, Dialect], KeyHeader] = {
    ("anthropic", "anthropic"): KeyHeader(b"x-api-key"),
    ("google-gemini", "gemini"): KeyHeader(b"x-goog-api-key"),
    ("azure", "openai"): KeyHeader(b"api-key"),
}


KNOWN_NAMES = frozenset((*PUBLIC_BASES, *LITELLM_NAMES, *OTHER_NAMES, SIMULATED))
"""Every way to write a provider that something is known of."""


def provider_id(name: str) -> str:
    """The one id of a provider, however it is written."""
    written = name.strip().lower()
    return OTHER_NAMES.get(written, written)


def names_of(provider: str) -> frozenset[str]:
    """Every way to write a provider's id, LiteLLM's included."""
    others = {name for name, meant in OTHER_NAMES.items() if meant == provider}
    return frozenset({provider, litellm_name(provider), *others} if provider in LITELLM_NAMES else {provider, *others})


def litellm_name(provider: str) -> str:
    """What LiteLLM calls the provider of this id."""
    return LITELLM_NAMES.get(provider, "openai")


def public_base(provider: str, dialect: Dialect = "openai") -> str | None:
    """Base URL of `dialect`, version included, where the provider publishes one; else None: then a deployment names its api_base."""
    provider = provider_id(provider)
    return PUBLIC_BASES.get(provider) if dialect == "openai" else FOREIGN_BASES.get((provider, dialect))


def key_header(provider: str, dialect: Dialect) -> KeyHeader:
    """Where the provider looks for its key in a call of `dialect`."""
    return KEY_HEADERS.get((provider_id(provider), dialect), BEARER)


def spoken_by(provider: str) -> frozenset[Dialect]:
    """Dialects whose bytes the provider takes as they are, unless its deployment says otherwise."""
    provider = provider_id(provider)
    foreign: set[Dialect] = {dialect for name, dialect in FOREIGN_BASES if name == provider}
    own: set[Dialect] = set() if provider in TRANSLATED else {"openai"}
    return frozenset(foreign | own)
