"""Tells who calls from the key presented. It must never keep, log or return a key."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from urllib.parse import parse_qsl

from config.providers import Dialect
from config.settings import Key, Settings
from proxy.call import Caller, RateLimits
from proxy.clock import Clock
from proxy.errors import Forbidden, Unauthorized
from proxy.keys.hashing import keyed_hash, secret_id
from proxy.keys.issue import PREFIX
from proxy.keys.keyring import Holder, Keyring
from proxy.keys.moment import shown

REMEMBERED_KEYS = 10_000
ANONYMOUS = "anonymous"
_BEARER = b"bearer "
GEMINI_KEY = b"x-goog-api-key"
OTHER_PLACES = (b"x-api-key", b"api-key", GEMINI_KEY)
"""Headers in which clients of Anthropic, Azure and Google send their key."""
_OURS = PREFIX.encode()
_PAGES = ("http://", "https://", "null")
"""How the origins begin that a site's page can have; an application's own, such as app://, no site can take."""

_ENDED = {"expired": "expired at", "revoked": "was revoked at"}


def key_of(known: Mapping[bytes, bytes]) -> bytes | None:
    """The key in `authorization: Bearer` or in one of the other places, or None."""
    value = known.get(b"authorization")
    if value is not None:
        return value[7:].strip() if value[:7].lower() == _BEARER else value.strip()
    for name in OTHER_PLACES:
        if (value := known.get(name)) is not None:
            return value.strip()
    return None


def with_query_key(known: dict[bytes, bytes], dialect: Dialect, query: bytes) -> dict[bytes, bytes]:
    """`known` with the key that a Gemini call may bring as `?key=`, as if it had come in its header; a header goes before one not ours."""
    if dialect != "gemini" or b"key=" not in query:
        return known
    given = next((value for name, value in parse_qsl(query, keep_blank_values=True) if name == b"key"), None)
    if given is None or (key_of(known) is not None and not given.startswith(_OURS)):
        return known
    return {**known, GEMINI_KEY: given}


def refuse_page(known: Mapping[bytes, bytes], allowed: Sequence[str]) -> None:
    """Raises Forbidden for a page of another site that brings no key: a browser sends such calls, and opens sockets, whatever CORS says.

    allowed: `server.cors.origins`. Without this any page could spend what this machine alone may spend.
    """
    origin = known.get(b"origin", b"").decode("latin-1")
    if not origin.startswith(_PAGES) or key_of(known) is not None or origin in allowed or "*" in allowed:
        return
    if origin.partition("://")[2] != known.get(b"host", b"").decode("latin-1"):
        raise Forbidden(f"a page of {origin[:80]!r} may not call without a key; send one, or add the page to server.cors.origins.")


class Doorkeeper:
    """Identifies callers under the configured mode: keys of ours, the caller's own provider key (passthrough), or anyone (open)."""

    def __init__(self, settings: Settings, secret: bytes, keyring: Keyring | None = None, now_ms: Callable[[], int] | None = None) -> None:
        """keyring: the keys that the proxy issued itself, beside the configured ones. now_ms: tells whether a key has ended."""
        self._mode = settings.auth_mode
        self._secret = secret
        self._now_ms = now_ms or Clock().now_ms
        self._keyring = keyring or Keyring()
        self._keys: Mapping[bytes, Holder] = {_digest(key.key.encode()): _holder(key) for key in settings.keys}
        self._seen: dict[bytes, Caller] = {}

    def identify(self, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """The caller. Raises Unauthorized when keys of ours are required and none, or an unknown one, is presented."""
        return self.identify_known(dict(headers))

    def identify_known(self, known: Mapping[bytes, bytes]) -> Caller:
        """As `identify`, for headers by name."""
        key = key_of(known)
        for name in OTHER_PLACES:
            if name in known and known[name].startswith(_OURS):
                key = known[name].strip()  # ours, whatever else is presented: it must not leave beside another key
        if key is None:
            if self._mode == "keys":
                raise Unauthorized("no API key was sent; send `Authorization: Bearer <key>` with a key of this proxy.")
            return Caller(id=ANONYMOUS)
        digest = _digest(key)
        seen = self._seen.get(digest)
        return seen if seen is not None else self._learn(key, digest)

    def keyed_hash(self, text: str) -> str:
        """A keyed hash of a client's identifier, hex, 32 digits."""
        return keyed_hash(self._secret, text)

    @property
    def secret_id(self) -> str:
        """Which secret the hashes were made with; tells nothing of the secret itself."""
        return secret_id(self._secret)

    def _learn(self, key: bytes, digest: bytes) -> Caller:
        holder = self._keys.get(digest) or self._keyring.holders.get(digest)
        if holder is None and (self._mode == "keys" or key.startswith(_OURS)):
            raise Unauthorized("the API key is not one of this proxy's keys; check the key or ask its administrator.")
        if holder is not None and (holder.ends_ms is not None or digest not in self._keys):
            return self._holding(holder)
        caller = Caller(id="key:" + self.keyed_hash(key.decode("latin-1"))) if holder is None else holder.caller
        if len(self._seen) >= REMEMBERED_KEYS:
            self._seen.clear()
        self._seen[digest] = caller
        return caller

    def _holding(self, holder: Holder) -> Caller:
        """The caller of a key that can end, looked at anew with each call."""
        if holder.ends_ms is not None and holder.ends_ms <= self._now_ms():
            remedy = "ask the administrator of this proxy for a new one"
            raise Unauthorized(f"the API key of {holder.caller.id!r} {_ENDED[holder.end]} {shown(holder.ends_ms)}; {remedy}.")
        return holder.caller


def _digest(key: bytes) -> bytes:
    """Keys are looked up by digest, so that the comparison's time tells nothing of them."""
    return hashlib.sha256(key).digest()


def _holder(key: Key) -> Holder:
    limits = RateLimits(requests_per_minute=key.requests_per_minute, tokens_per_minute=key.tokens_per_minute)
    caller = Caller(
        id=key.name,
        role=key.role,
        tags=tuple(sorted(key.tags.items())),
        models=None if key.models is None else frozenset(key.models),
        forwards_own_key=False,
        brands=None if key.brands is None else frozenset(key.brands),
        limits=limits if limits.any else None,
    )
    return Holder(caller, None if key.expires is None else round(key.expires.timestamp() * 1000))
