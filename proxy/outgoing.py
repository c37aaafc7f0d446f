"""Writes the request that leaves for a provider: the caller's bytes, spliced where they must change. It must never re-serialise a body."""

import msgspec

from config.providers import key_header
from proxy.attribute import without_tag_metadata
from proxy.auth import key_of
from proxy.endpoints.base import Ask, decoded
from proxy.endpoints.form import with_model
from proxy.headers import outgoing
from proxy.passage import Passage
from proxy.rooms import Rooms
from proxy.splice import prepend_member, replace_value
from proxy.upstream.base import UpstreamRequest

_FORCED = b'"stream_options":{"include_usage":true}'
V1 = "/v1"
GIVES_USAGE_UNASKED = frozenset(("openrouter",))
"""Providers that end every stream with its usage: asking in the client's name would make us hide what it was due to see."""


def forces_usage(passage: Passage) -> bool:
    """True when usage must be asked for on the client's behalf."""
    ask = passage.ask
    return ask.stream and ask.endpoint.forces_usage and not ask.wants_usage and passage.candidate.provider not in GIVES_USAGE_UNASKED


def request_for(rooms: Rooms, passage: Passage, *, query: bytes) -> UpstreamRequest:
    """The request for the passage's candidate; the caller's bytes but for the model's name, the forced usage and our metadata keys."""
    candidate, ask = passage.candidate, passage.ask
    body = without_tag_metadata(ask, ask.body, rooms.metadata_tags)
    if candidate.model is not None and candidate.model != ask.alias:
        body = _with_model(ask, body, candidate.model)
    if passage.forced_usage:
        body = _with_forced_usage(ask, body)
    own_key_goes = passage.caller.forwards_own_key and not candidate.is_simulated
    dialect = ask.endpoint.dialect
    base = candidate.bases.get(dialect)
    own_key = key_of(passage.known) if base is None and own_key_goes else None
    return UpstreamRequest(
        method="POST",
        url=upstream_url(base or candidate.base_url, ask.endpoint.path, query),
        path=ask.endpoint.path,
        headers=outgoing(
            passage.headers,
            passage.known,
            api_key=candidate.api_key,
            own_key_goes=own_key_goes,
            key_header=key_header(candidate.provider, dialect),
        ),
        body=body,
        operation=ask.endpoint.operation,
        deployment=candidate.deployment,
        api_key=candidate.api_key or (own_key.decode("latin-1") if own_key else None),
    )


def upstream_url(base_url: str, path: str, query: bytes) -> str:
    """The provider's address for `path` (which starts with /v1), query kept as it came."""
    address = base_url + path[len(V1) :]
    return f"{address}?{query.decode('latin-1')}" if query else address


def _with_model(ask: Ask, body: bytes, name: str) -> bytes:
    if ask.form is not None:
        return with_model(ask.form, body, name)
    model = msgspec.json.encode(name)
    raw = bytes(ask.head.model)
    if raw:
        return replace_value(body, "model", model, raw)
    member = b'"model":' + model
    return prepend_member(body, member) if body.strip(b" \t\r\n{}") else b"{" + member + b"}"


def _with_forced_usage(ask: Ask, body: bytes) -> bytes:
    raw = bytes(ask.head.stream_options)
    if not raw:
        return prepend_member(body, _FORCED)
    options = decoded(raw)
    merged = {**options, "include_usage": True} if isinstance(options, dict) else {"include_usage": True}
    return replace_value(body, "stream_options", msgspec.json.encode(merged), raw)
