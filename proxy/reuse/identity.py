"""Names a request so that identical ones of one caller have one name. It must never let the name tell anything of the request."""

from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import unquote_to_bytes

from proxy.policy.candidates import Candidate
from proxy.reuse.canonical import NoForm, canonical, read_object
from proxy.reuse.reusable import REFERS, kind_of
from proxy.upstream.base import Headers, UpstreamRequest

MOST_REQUEST_BYTES = 1024 * 1024
"""A longer request is not looked at: it holds pictures, or is not asked twice."""

READ_AT_ONCE_BYTES = 32 * 1024
"""A longer request is read in a thread."""

VERSION = b"1"
NEUTRAL = frozenset(
    b"accept accept-encoding accept-language api-key authorization baggage cache-control content-encoding content-length content-type"
    b" date dnt http-referer idempotency-key origin pragma priority referer sentry-trace traceparent tracestate user-agent via"
    b" x-amzn-trace-id x-api-key x-b3-flags x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid b3 x-client-request-id"
    b" x-cloud-trace-context x-correlation-id x-goog-api-client x-goog-api-key x-request-id x-title".split()
)
"""Request headers that change no answer; every other one is a part of what was asked, so that an unknown one is never passed over."""

NEUTRAL_PREFIXES = (b"x-stainless-", b"sec-", b"x-datadog-", b"newrelic")
NOT_KEPT = (b"no-store", b"no-cache")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked, of whom and by whom."""

    caller_id: str
    alias: str
    operation: str
    candidate: Candidate
    request: UpstreamRequest
    any_temperature: bool


class Namer:
    """Names requests with a key of its own, made of the proxy's secret."""

    __slots__ = ("_key",)

    def __init__(self, secret: bytes) -> None:
        self._key = blake2b(secret, digest_size=32, person=b"grammage-reuse").digest()

    def owner(self, caller_id: str) -> str:
        """What the names of a caller's requests begin with."""
        return blake2b(caller_id.encode("utf-8", "surrogatepass"), digest_size=8, key=self._key).hexdigest()

    def name(self, asked: Asked) -> str | None:
        """The request's name, None where it may not be answered by an earlier answer. Takes milliseconds for a long one."""
        request, candidate = asked.request, asked.candidate
        body = request.body
        form = form_of(asked.operation, body, any_temperature=asked.any_temperature) if isinstance(body, bytes) else None
        if form is None:
            return None
        place = candidate.place
        told = (
            asked.alias,
            asked.operation,
            candidate.pattern,
            candidate.provider,
            candidate.name_of(asked.alias),
            place.region or "",
            place.zone,
        )
        digest = blake2b(digest_size=32, key=self._key)
        for part in (VERSION, *(text.encode("utf-8", "surrogatepass") for text in told), _address(request.url), *_headers(request.headers)):
            digest.update(b"%d:" % len(part) + part)
        digest.update(form.encode())
        return f"{self.owner(asked.caller_id)}:{digest.hexdigest()}"


def form_of(operation: str, body: bytes, *, any_temperature: bool) -> str | None:
    """What is asked, in the form that all bodies of the same meaning share; None where it may not be answered by an earlier answer."""
    try:
        fields = read_object(body)
        kind = kind_of(operation, fields, any_temperature=any_temperature)
        form = None if kind is None else canonical({name: value for name, value in fields.items() if name not in kind.neutral})
    except NoForm:
        return None
    return None if form is None or any(mark in form for mark in REFERS) else form


def may_be_kept(headers: dict[bytes, bytes]) -> bool:
    """False when the caller says that this call is not to be kept, or not to be answered by what is."""
    return not any(word in headers.get(b"cache-control", b"").lower() for word in NOT_KEPT)


def _address(url: str) -> bytes:
    """The address less a key that stands in its query."""
    path, _, query = url.encode("utf-8", "surrogatepass").partition(b"?")
    return path + b"?" + b"&".join(pair for pair in query.split(b"&") if unquote_to_bytes(pair.split(b"=", 1)[0]) != b"key")


def _headers(headers: Headers) -> list[bytes]:
    """Names and values of the headers that count, in order of their names."""
    told = [pair for pair in headers if pair[0] not in NEUTRAL and not pair[0].startswith(NEUTRAL_PREFIXES)]
    return [name + b"=" + value for name, value in sorted(told, key=lambda pair: pair[0])]
