"""Which headers cross the proxy, each way. It must never let a header of ours reach a provider, nor a hop-by-hop one anywhere."""

from collections.abc import Mapping

from config.providers import BEARER, Dialect, KeyHeader
from proxy.upstream.base import Headers

HOP_MARK = b"1.1 grammage"
DRY_RUN = b"x-grammage-dry-run"
LIMIT = b"x-grammage-max-gco2e"
_OURS = b"x-grammage-"
_HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade".split()
)
_KEYS = frozenset((b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"))
_NOT_FORWARDED = _HOP_BY_HOP | frozenset(
    b"host content-length accept-encoding cookie expect via baggage forwarded x-real-ip"
    b" x-forwarded-for x-forwarded-host x-forwarded-proto x-forwarded-port".split()
)
_NOT_FORWARDED_NOR_KEYS = _NOT_FORWARDED | _KEYS
_TELLING: Mapping[bytes, Dialect] = {b"anthropic-version": "anthropic", b"x-goog-api-key": "gemini", b"x-goog-api-client": "gemini"}
_USUAL_CONNECTION = (b"", b"keep-alive", b"close")
_NOT_RETURNED = _HOP_BY_HOP | {b"content-length"}


def outgoing(
    headers: Headers,
    known: dict[bytes, bytes],
    *,
    api_key: str | None,
    own_key_goes: bool,
    encoding: bytes = b"identity",
    key_header: KeyHeader = BEARER,
) -> Headers:
    """Request headers for the provider: the caller's, less what is not its business, with the deployment's key when it has one.

    known: the same headers by name. key_header: where the provider looks for its key.
    """
    dropped = _NOT_FORWARDED if own_key_goes and api_key is None else _NOT_FORWARDED_NOR_KEYS
    kept = [pair for pair in headers if pair[0] not in dropped and not pair[0].startswith(_OURS)]
    if api_key is not None:
        kept.append((key_header.name, key_header.before + api_key.encode()))
    kept = _without_named_hops(kept, known)
    if b"baggage" in known and (rest := _foreign_baggage([value for name, value in headers if name == b"baggage"])):
        kept.append((b"baggage", rest))
    marks = [value for name, value in headers if name == b"via"] if b"via" in known else []
    kept.append((b"via", b", ".join([*marks, HOP_MARK])))
    if encoding:
        kept.append((b"accept-encoding", encoding))
    return kept


def returned(headers: Headers) -> Headers:
    """Response headers for the caller: the provider's, in its order, without hop-by-hop ones and the length (framed anew)."""
    kept = [pair for pair in headers if pair[0] not in _NOT_RETURNED and not pair[0].startswith(_OURS)]
    return _without_named_hops(kept, dict(headers))


def _without_named_hops(kept: Headers, known: dict[bytes, bytes]) -> Headers:
    """`kept` without what the connection header names as belonging to its hop only."""
    named = known.get(b"connection", b"").lower()
    if named in _USUAL_CONNECTION:
        return kept
    hops = {name.strip() for name in named.split(b",")}
    return [pair for pair in kept if pair[0] not in hops]


def value_of(headers: Headers, wanted: bytes) -> bytes | None:
    """The first value of header `wanted`; all names are in lower case."""
    for name, value in headers:
        if name == wanted:
            return value
    return None


def told_dialect(headers: Headers) -> Dialect:
    """The dialect of a call whose path could be of several: each maker's client says in a header which one it speaks."""
    for name, _ in headers:
        if name in _TELLING:
            return _TELLING[name]
    return "openai"


def is_loop(headers: Headers) -> bool:
    """True when the call has been through a proxy of this kind already."""
    return any(HOP_MARK in value for name, value in headers if name == b"via")


def _foreign_baggage(values: list[bytes]) -> bytes:
    members = [member.strip() for value in values for member in value.split(b",")]
    return b",".join(member for member in members if member and not member.startswith(b"grammage."))
