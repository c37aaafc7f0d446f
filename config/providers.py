"""Which providers speak the OpenAI dialect, and at which public base URL. It must never hold a key or a price."""

from collections.abc import Mapping

PUBLIC_BASES: Mapping[str, str] = {
    "anthropic": "https://api.anthropic.com/v1",
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
"""Base URL by provider id; the ids are those of the place tables."""

SIMULATED = "simulated"
"""The built-in provider: it has no URL."""


def public_base(provider: str) -> str | None:
    """Base URL up to and including /v1 where the provider publishes one, else None: then a deployment names its api_base."""
    return PUBLIC_BASES.get(provider)
