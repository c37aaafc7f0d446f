"""Writes the request that leaves for a provider: the caller's bytes, spliced where they must change. It must never re-serialise a body."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote, unquote_to_bytes

import msgspec

from config.providers import BEARER, Dialect, key_header
from proxy.attribute import without_tag_metadata
from proxy.auth import key_of
from proxy.endpoints.base import Ask
from proxy.endpoints.form import with_model
from proxy.endpoints.reading import text_of
from proxy.headers import outgoing
from proxy.large_form import length_header
from proxy.passage import Passage
from proxy.policy.candidates import Candidate
from proxy.rooms import Rooms
from proxy.route import MODEL
from proxy.splice import append_member, find_member, prepend_member, replace_value
from proxy.tracing.context import with_context
from proxy.upstream.base import Headers, UpstreamRequest

_FORCED = b'"stream_options":{"include_usage":true}'
V1 = "/v1"
GIVES_USAGE_UNASKED = frozenset(("openrouter",))
"""Providers that end every stream with its usage: asking in the client's name would make us hide what it was due to see."""

AZURE = "azure"
AZURE_KEY = b"api-key"
AZURE_V1 = "/openai/v1"
DEPLOYED = ("/v1/chat/", "/v1/completions", "/v1/embeddings", "/v1/audio/", "/v1/images/")
"""Paths that stand below a deployment in Azure's dated addresses; others stand beside them."""

BARE = 2
"""Slashes in a base URL without a path."""

DATED = re.compile(rb"\d{4}-")
_VERSION = re.compile(r"/v1(?:beta|alpha)?")
_NAMED = re.compile(rb'("model"\s*:\s*"models/)([^"\\]+)"')
SAFE_IN_PATH = "/-._~:@!$&'()*+,;="


def forces_usage(passage: Passage) -> bool:
    """True when usage must be asked for on the client's behalf."""
    ask = passage.ask
    return ask.stream and ask.endpoint.forces_usage and not ask.wants_usage and passage.candidate.provider not in GIVES_USAGE_UNASKED


def request_for(rooms: Rooms, passage: Passage, *, query: bytes) -> UpstreamRequest:
    """The request for the passage's candidate; the caller's bytes but for the model's name, the forced usage and our metadata keys."""
    candidate, ask = passage.candidate, passage.ask
    own_key_goes = passage.caller.forwards_own_key and not candidate.is_simulated
    dialect = ask.endpoint.dialect
    base = candidate.bases.get(dialect)
    is_meant = base is None and own_key_goes and dialect == "openai" and not candidate.has_credentials
    own_key = key_of(passage.known) if is_meant else None
    path = _path(passage)
    if passage.address is not None and query:
        query = _query(passage, query, own_key_goes=own_key_goes and base is not None)
    body, length = _body(rooms, passage)
    return UpstreamRequest(
        method="POST",
        url=address_for(candidate, dialect, path, query, passage.model),
        path=path,
        headers=_headers(passage, dialect, own_key_goes=own_key_goes) + length,
        body=body,
        operation=ask.endpoint.operation,
        deployment=candidate.deployment,
        api_key=candidate.api_key or (own_key.decode("latin-1") if own_key else None),
        timeouts=candidate.timeouts,
    )


def _body(rooms: Rooms, passage: Passage) -> tuple[bytes | AsyncIterator[bytes], Headers]:
    """What is sent, and the header that states its length where the client library cannot know it."""
    ask, name = passage.ask, _name_written(passage)
    if passage.upload is not None:
        return passage.upload.body(name), length_header(passage.upload, name)
    body = without_tag_metadata(ask, ask.body, rooms.metadata_tags)
    if passage.address is not None and passage.address.model is not None:
        body = _with_model_of_path(passage, body)
    elif name is not None:
        body = _with_model(ask, body, name)
    return _with_forced_usage(ask, body) if passage.forced_usage else body, []


def _name_written(passage: Passage) -> str | None:
    """The model's name that has to be written into the body, None where it is there or is not wanted."""
    candidate, ask = passage.candidate, passage.ask
    if passage.address is not None and passage.address.model is not None:
        by_path = candidate.provider == AZURE and candidate.deployment.api_version is not None
        return None if by_path else passage.model
    name = candidate.name_of(ask.alias)
    return None if name == ask.alias else name


def address_for(candidate: Candidate, dialect: Dialect, path: str, query: bytes, model: str) -> str:
    """The whole address of `path` at the candidate. model: its name there, which Azure's dated addresses hold."""
    base = candidate.bases.get(dialect, candidate.base_url)
    if candidate.provider == AZURE and dialect == "openai":
        version = candidate.deployment.api_version
        if version is not None:
            return _dated(base, path, query, model, version)
        if base.count("/") == BARE:
            base += AZURE_V1
    elif dialect == "anthropic" and base.count("/") == BARE:
        base += V1
    return upstream_url(base, path, query)


def upstream_url(base_url: str, path: str, query: bytes) -> str:
    """The provider's address for `path`, query kept as it came. The path's version stands for the base's where they are not the same."""
    if path.startswith(V1 + "/"):
        bare, own = path[len(V1) :], V1
    else:
        found = _VERSION.match(path)
        bare, own = (path[found.end() :], found[0]) if found else (path, "")
    if own != V1 or base_url.endswith(("/v1beta", "/v1alpha")):
        base_url = re.sub(r"/v1(?:beta|alpha)?$", "", base_url) + own
    address = base_url + bare
    return f"{address}?{query.decode('latin-1')}" if query else address


def without_parameters(query: bytes, *names: bytes) -> bytes:
    """The query less the parameters of these names; its other bytes stay."""
    if not names:
        return query
    return b"&".join(pair for pair in query.split(b"&") if unquote_to_bytes(pair.split(b"=", 1)[0]) not in names)


def query_for(candidate: Candidate, dialect: Dialect, query: bytes, *, own_key_goes: bool) -> bytes:
    """The query less the key that a Gemini call may bring there, where the caller's own does not go along."""
    goes = own_key_goes and candidate.api_key is None
    return query if dialect != "gemini" or goes else without_parameters(query, b"key")


def _dated(base: str, path: str, query: bytes, model: str, version: str) -> str:
    """Azure's older scheme: the deployment's name in the path, a date in the query."""
    root = base.removesuffix("/v1").removesuffix("/openai")
    rest = without_parameters(query, b"api-version").decode("latin-1")
    below = f"/deployments/{quote(model, safe='')}" if model and path.startswith(DEPLOYED) else ""
    address = f"{root}/openai{below}{path[len(V1) :]}?api-version={quote(version)}"
    return f"{address}&{rest}" if rest else address


def _query(passage: Passage, query: bytes, *, own_key_goes: bool) -> bytes:
    """The query less what is none of the provider's: Google's key where another key goes, Azure's version where Azure is not.

    Azure's newer addresses take no dated version.
    """
    candidate, address = passage.candidate, passage.address
    query = query_for(candidate, passage.ask.endpoint.dialect, query, own_key_goes=own_key_goes)
    if address is not None and address.azure and (candidate.provider != AZURE or DATED.search(query)):
        return without_parameters(query, b"api-version")
    return query


def _path(passage: Passage) -> str:
    """The caller's path in its dialect, with the model's name at the provider where the model stands in it."""
    address = passage.address
    if address is None:
        return passage.ask.endpoint.path
    return address.path.replace(MODEL, quote(passage.model, safe=SAFE_IN_PATH))


def _headers(passage: Passage, dialect: Dialect, *, own_key_goes: bool) -> Headers:
    """The headers that leave; a key that came in Azure's way goes to others in theirs."""
    candidate, address = passage.candidate, passage.address
    headers = outgoing(
        passage.headers,
        passage.known,
        api_key=candidate.api_key,
        own_key_goes=own_key_goes,
        key_header=key_header(candidate.provider, dialect),
    )
    if passage.trace is not None:
        headers = with_context(headers, passage.trace, len(passage.failed), passage.sent)
    if address is None or not address.azure or candidate.provider == AZURE or b"authorization" in passage.known:
        return headers
    return [(BEARER.name, BEARER.before + value) if name == AZURE_KEY else (name, value) for name, value in headers]


def _with_model_of_path(passage: Passage, body: bytes) -> bytes:
    """The body of a call whose path names the model: it must not name another one."""
    ask, candidate, name = passage.ask, passage.candidate, passage.model
    if ask.endpoint.dialect == "gemini":
        old, new = ask.alias.encode(), name.encode()
        return body if old == new else _NAMED.sub(lambda found: found[1] + (new if found[2] == old else found[2]) + b'"', body)
    by_path = candidate.provider == AZURE and candidate.deployment.api_version is not None
    return body if by_path or text_of(ask.head.model) == name else _with_model(ask, body, name)


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
    member = find_member(body, "stream_options")
    if member is None:
        return body
    return body[: member.value] + _with_include_usage(body[member.value : member.end]) + body[member.end :]


def _with_include_usage(options: bytes) -> bytes:
    """The client's own options with usage asked for; what is no object gives way to one."""
    if not options.startswith(b"{"):
        return b'{"include_usage":true}'
    if find_member(options, "include_usage") is not None:
        return replace_value(options, "include_usage", b"true")
    return append_member(options, b'"include_usage":true')
