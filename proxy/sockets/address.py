"""Reads and rewrites the query and the subprotocols of a handshake. It must never let a key into a message of ours."""

from collections.abc import Iterable
from urllib.parse import quote, unquote_plus

from proxy.outgoing import address_for
from proxy.policy.candidates import Candidate

KEY_SUBPROTOCOL = "openai-insecure-api-key."
KEY_PARAMETER = "api-key"
DEPLOYMENT = "deployment"
API_VERSION = "api-version"


def parameter(query: str, name: str) -> str | None:
    """The first value of a query parameter, None when it is absent or empty."""
    for part in query.split("&"):
        key, _, value = part.partition("=")
        if unquote_plus(key) == name and value:
            return unquote_plus(value)
    return None


def without(query: str, *names: str) -> str:
    """The query less some parameters, the others as they stood."""
    return "&".join(part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) not in names)


def with_parameter(query: str, name: str, value: str) -> str:
    """The query with one parameter set where it stood, or at the end; the others as they stood."""
    member = f"{name}={quote(value, safe='')}"
    parts = [part for part in query.split("&") if part]
    named = [unquote_plus(part.partition("=")[0]) == name for part in parts]
    if not any(named):
        return "&".join([*parts, member])
    return "&".join(member if here else part for part, here in zip(parts, named, strict=True))


def key_in(subprotocols: Iterable[str], query: str) -> str | None:
    """The key that a browser presents, which can send no header: in a subprotocol, or in the query as Azure's clients do."""
    for name in subprotocols:
        if name.startswith(KEY_SUBPROTOCOL) and len(name) > len(KEY_SUBPROTOCOL):
            return name[len(KEY_SUBPROTOCOL) :]
    return parameter(query, KEY_PARAMETER)


def without_key(subprotocols: Iterable[str]) -> tuple[str, ...]:
    """The subprotocols less the one that is a key."""
    return tuple(name for name in subprotocols if not name.startswith(KEY_SUBPROTOCOL))


def upstream_address(candidate: Candidate, path: str, query: str, model: str | None) -> str:
    """The provider's address for `path`, with `model` in it where the caller named one: Azure's dated scheme, or OpenAI's."""
    if candidate.deployment.api_version is not None:
        query = without(query, "model") if model is None else with_parameter(without(query, "model"), DEPLOYMENT, model)
    elif parameter(query, DEPLOYMENT) is not None:
        query = without(query, DEPLOYMENT, API_VERSION)
    if model is not None and candidate.deployment.api_version is None and parameter(query, "model") != model:
        query = with_parameter(query, "model", model)
    return address_for(candidate, "openai", path, query.encode("latin-1", "replace"), model or "")
