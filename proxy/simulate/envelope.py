"""Writes the simulated provider's refusals in the shape of the dialect they answer. It must never decide what is refused."""

from config.providers import Dialect
from proxy.errors import anthropic_type, gemini_status
from proxy.simulate.exchange import Asked, JsonObject, Refused

_GEMINI = ("/v1beta/", "/v1alpha/")


def dialect_of(asked: Asked) -> Dialect:
    """Whose API a request belongs to, by its path, else by the header that the maker's client sends."""
    if asked.path.startswith(_GEMINI) or (asked.path.startswith("/v1/models/") and asked.method == "POST"):
        return "gemini"
    if asked.path.startswith("/v1/messages") or "anthropic-version" in asked.headers:
        return "anthropic"
    return "gemini" if "x-goog-api-key" in asked.headers or "x-goog-api-client" in asked.headers else "openai"


def envelope_of(refused: Refused, asked: Asked) -> JsonObject:
    """The error's document."""
    dialect = dialect_of(asked)
    if dialect == "anthropic":
        return {"type": "error", "error": {"type": anthropic_type(refused.status), "message": refused.message}, "request_id": None}
    if dialect == "gemini":
        return {"error": {"code": refused.status, "message": refused.message, "status": gemini_status(refused.status)}}
    return refused.document()
