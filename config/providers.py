"""Which dialects each provider speaks, at which public addresses and under which key header. It must never hold a key or a price."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Dialect = Literal["openai", "anthropic", "gemini"]
"""How a call is written: OpenAI's API, Anthropic's Messages, Gemini's generateContent."""

Door = Literal["wire", "litellm", "simulated"]
"""wire: the provider speaks the caller's dialect, bytes go through. litellm: the call is translated. simulated: the built-in provider."""

PUBLIC_BASES: Mapping[str, str] = {
    "cerebras": "https://api.cerebras.ai/v1",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
    "deepseek": "https://api.deepseek.com/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "google-gemini": "https://generativelanguage.googleapis.com/v1beta/openai",
    "groq": "https://api.groq.com/openai/v1",
    "huggingface": "https://router.huggingface.co/v1",
    "mistral": "https://api.mistral.ai/v1",
    "nebius": "https://api.studio.nebius.com/v1",
    "ollama": "http://127.0.0.1:11434/v1",
    "openai": "https://api.openai.com/v1",
    "openai-eu": "https://eu.api.openai.com/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "ovhcloud": "https://oai.endpoints.kepler.ai.cloud.ovh.net/v1",
    "sambanova": "https://api.sambanova.ai/v1",
    "scaleway": "https://api.scaleway.ai/v1",
    "together": "https://api.together.xyz/v1",
    "xai": "https://api.x.ai/v1",
}
"""Base URL of the OpenAI dialect, up to and including /v1, by provider id; the ids are those of the place tables."""

FOREIGN_BASES: Mapping[tuple[str, Dialect], str] = {
    ("anthropic", "anthropic"): "https://api.anthropic.com/v1",
    ("google-gemini", "gemini"): "https://generativelanguage.googleapis.com/v1beta",
}
"""Base URL of another dialect, up to and including the version, where a provider speaks it."""

TRANSLATED = frozenset(("anthropic", "aws-bedrock", "gcp-vertex", "cohere"))
"""Providers that do not speak OpenAI's dialect well enough to pass its bytes: they are reached through LiteLLM."""

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


def public_base(provider: str, dialect: Dialect = "openai") -> str | None:
    """Base URL of `dialect`, version included, where the provider publishes one; else None: then a deployment names its api_base."""
    return PUBLIC_BASES.get(provider) if dialect == "openai" else FOREIGN_BASES.get((provider, dialect))


def key_header(provider: str, dialect: Dialect) -> KeyHeader:
    """Where the provider looks for its key in a call of `dialect`."""
    return KEY_HEADERS.get((provider, dialect), BEARER)


def spoken_by(provider: str) -> frozenset[Dialect]:
    """Dialects whose bytes the provider takes as they are, unless its deployment says otherwise."""
    foreign: set[Dialect] = {dialect for name, dialect in FOREIGN_BASES if name == provider}
    own: set[Dialect] = set() if provider in TRANSLATED else {"openai"}
    return frozenset(foreign | own)
